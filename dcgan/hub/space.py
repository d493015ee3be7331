"""What a Gradio Space of the demo consists of: the program, its checkpoints, and a README that starts it."""

import re
import shutil
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path

from huggingface_hub import HfApi, SpaceCard

from dcgan.checkpoint import Checkpoint, CheckpointError, find_checkpoints, load_checkpoint
from dcgan.hub.pull import local_folder
from dcgan.hub.push import copy_checkpoint, dataset_id
from dcgan.hub_errors import TROUBLE, HubError
from dcgan.pictures import enlarged, grid, picture
from dcgan.sampling import sample

ROOT = Path(__file__).resolve().parents[2]
APP = "app.py"
ALONG = ("LICENSE", "dcgan/demo/explorer/*")
THUMBNAIL = "thumbnail.jpg"
# What is ours in a Space: deleted there where a new version has none of that name.
OURS = ("app.py", "LICENSE", "README.md", "requirements.txt", THUMBNAIL)
SPACE_FILES = (*OURS, "dcgan/*", "checkpoints/*", "node_modules/*")
MAX_PLAIN = 10_000_000  # bytes of a file outside LFS, where the Hub puts weights and pictures by itself
LARGE = (".safetensors", ".webp", ".jpg", ".wasm")

# What the Hub takes in a Space's front matter (https://huggingface.co/docs/hub/spaces-config-reference).
ID = r"\w[\w.-]*/\w[\w.-]*"
COLOUR = "red|yellow|green|blue|indigo|purple|pink|gray"
FRONT_MATTER = {
    "title": ".+",
    "emoji": r"\S+",
    "colorFrom": COLOUR,
    "colorTo": COLOUR,
    "sdk": "gradio",
    "sdk_version": r"\d+\.\d+\.\d+",
    "python_version": r"3\.\d+(\.\d+)?",
    "app_file": r"\S+",
    "license": r"[a-z0-9][a-z0-9.+-]*",
    "short_description": ".{1,60}",
    "thumbnail": r"https://\S+",
    "models": ID,
    "datasets": ID,
    "preload_from_hub": rf"{ID}( \S+( [0-9a-f]{{40}})?)?",  # and files, and a commit
}
OPTIONAL = ("thumbnail", "models", "datasets", "preload_from_hub")


def write_space(folder: Path, space: str, source: str, title: str | None = None) -> None:
    """Write the Space `owner/name` that shows the checkpoints at `source` into a folder.

    Checkpoints on this machine go along, and so does a single revision of one on the Hub. A model's id alone stays
    an id: the Space fetches it when it is built. Raises CheckpointError or HubError.
    """
    checkpoints = [load_checkpoint(found) for found in find_checkpoints(local_folder(source))]
    if not checkpoints:
        raise CheckpointError(f"no checkpoint at '{source}': train.py --out makes one")
    model = source if re.fullmatch(ID, source) and not Path(source).exists() else None
    _write_program(folder)
    if model is None:
        _write_checkpoints(folder / "checkpoints", checkpoints)
    faces = sample(checkpoints[0].generator, range(32)).numpy()
    enlarged(picture(grid(faces)), max(1, 128 // faces.shape[1])).save(folder / THUMBNAIL, quality=88)

    card = SpaceCard((ROOT / "README.md").read_text(encoding="utf-8"))
    card.data["title"] = title or card.data["title"]
    card.data["models"] = [model] if model else None
    card.data["preload_from_hub"] = [model] if model and not _is_private(model) else None  # a build has no token
    card.data["datasets"] = sorted({dataset_id(c.hub) for c in checkpoints if c.hub}) or None
    card.data["thumbnail"] = f"https://huggingface.co/spaces/{space}/resolve/main/{THUMBNAIL}"
    card.text = _words(card.data["title"], checkpoints, model)
    (folder / "README.md").write_text(str(card), encoding="utf-8")
    if wrong := problems(folder):
        raise HubError(f"the Hub would not take this Space: {'; '.join(wrong)}")


def problems(folder: Path) -> list[str]:
    """What the Hub would not take, or not start, in the folder of a Space; each in a few words."""
    front = SpaceCard((folder / "README.md").read_text(encoding="utf-8")).data.to_dict()
    wrong = [f"{key} is missing" for key in FRONT_MATTER if key not in front and key not in OPTIONAL]
    for key in FRONT_MATTER.keys() & front.keys():
        for value in front[key] if isinstance(front[key], list) else [front[key]]:
            if not isinstance(value, str) or not re.fullmatch(FRONT_MATTER[key], value, re.ASCII * (key != "emoji")):
                wrong.append(f"{key} must not be {value!r}")
    requirements = (folder / "requirements.txt").read_text(encoding="utf-8")
    if f"gradio=={front.get('sdk_version')}\n" not in requirements:
        wrong.append("sdk_version is not the gradio that requirements.txt asks for")
    if not (folder / str(front.get("app_file"))).is_file():
        wrong.append("app_file is not there")
    plain = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in LARGE)
    return wrong + [f"{path.name} is larger than 10 MB" for path in plain if path.stat().st_size > MAX_PLAIN]


@cache
def _modules() -> list[Path]:
    """The app and all of ours that it imports."""
    # It looks at no other place, so that it finds nothing else. A Space does not train.
    finder = ModuleFinder([str(ROOT)], excludes=["dcgan.training.loop"])
    finder.run_script(str(ROOT / APP))
    return [Path(file) for module in finder.modules.values() if (file := getattr(module, "__file__", None))]


def _write_program(folder: Path) -> None:
    for path in [*_modules(), *(found for pattern in ALONG for found in ROOT.glob(pattern))]:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    requirements = ["requirements.txt", "requirements-hub.txt"]  # the reals come from the Hub
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in requirements]
    (folder / "requirements.txt").write_text("".join(texts), encoding="utf-8")


def _write_checkpoints(folder: Path, checkpoints: list[Checkpoint]) -> None:
    for number, checkpoint in enumerate(checkpoints):
        # Its name is its author's, who may be anyone: of it goes into a path what can do no harm there.
        name = re.sub(r"[^\w-]+", "-", checkpoint.name, flags=re.ASCII).strip("-")
        copy_checkpoint(checkpoint.folder, folder / f"{number}-{name}")


def _is_private(model: str) -> bool:
    try:
        return bool(HfApi().model_info(model).private)
    except TROUBLE:  # no network: it came from the cache
        return False


def _words(title: str, checkpoints: list[Checkpoint], model: str | None) -> str:
    shown = [
        f"- **{c.name}**: {c.model.image_size} x {c.model.image_size} pixels, after {c.images_seen:,} images seen of "
        f"{c.data.get('name') or 'images without a name'}. Terms of the data: {c.data.get('license') or 'not stated'}."
        for c in checkpoints
    ]
    other = (
        f"They come from [{model}](https://huggingface.co/{model}). To show another model, duplicate this Space and "
        "name it under `models` and `preload_from_hub` in README.md.\n"
    )
    return f"# {title}\n\nNobody you see here exists. A DCGAN draws them from numbers.\n\n" + "\n".join(
        [*shown, "", other if model else ""]
    )
