"""Make a Gradio Space of the demo: the program, its checkpoints, and a README.md that starts it."""

import argparse
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from huggingface_hub import HfApi, SpaceCard

from dcgan.checkpoint import Checkpoint, CheckpointError, find_checkpoints, load_checkpoint
from dcgan.cli import interruptible, place
from dcgan.hub.card import dataset_id
from dcgan.hub.command import new_folder, repo_id, run_command
from dcgan.hub.pull import local_folder
from dcgan.hub.push import copy_checkpoint, upload
from dcgan.hub_errors import TROUBLE, HubError
from dcgan.pictures import enlarged, grid, picture
from dcgan.sampling import sample

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "dcgan"
NOT_COPIED = ("__pycache__",)
REQUIREMENTS = ("requirements.txt", "requirements-hub.txt")  # its real images come from the Hub
THUMBNAIL = "thumbnail.jpg"
# Files of an older version that are deleted from a Space; "node_modules" was part of earlier ones.
PATTERNS = ("app.py", "LICENSE", "README.md", "requirements.txt", THUMBNAIL, f"{PACKAGE}/*", "checkpoints/*")
MAX_PLAIN = 10_000_000  # bytes of a file that the Hub stores without LFS
LARGE = (".safetensors", ".webp", ".jpg", ".wasm")  # in LFS by themselves

# Front matter that the Hub accepts: https://huggingface.co/docs/hub/spaces-config-reference
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
}
OPTIONAL = {
    "thumbnail": r"https://\S+",
    "models": ID,
    "datasets": ID,
    "preload_from_hub": rf"{ID}( \S+( [0-9a-f]{{40}})?)?",  # model, files, commit
}


def write_space(folder: Path, space: str, source: str, title: str | None = None) -> None:
    """Write a Space `owner/name` that shows the checkpoints at `source` into a folder.

    Local checkpoints, and a single revision of a model on the Hub, are copied into the Space. A model's id without a
    revision stays an id: the Space downloads it when it is built. Raises CheckpointError or HubError.
    """
    checkpoints = [load_checkpoint(found) for found in find_checkpoints(local_folder(source))]
    if not checkpoints:
        raise CheckpointError(f"no checkpoint at '{source}': train.py --out makes one")
    model = source if re.fullmatch(ID, source) and not Path(source).exists() else None
    copy_program(folder)
    if model is None:
        copy_checkpoints(checkpoints, folder / "checkpoints")
    faces = sample(checkpoints[0].generator, range(32)).numpy()
    enlarged(picture(grid(faces)), max(1, 128 // faces.shape[1])).save(folder / THUMBNAIL, quality=88)

    card = SpaceCard.load(ROOT / "README.md")
    card.data["title"] = title or card.data["title"]
    card.data["models"] = [model] if model else None
    card.data["preload_from_hub"] = [model] if model and not is_private(model) else None  # a build has no token
    card.data["datasets"] = sorted({dataset_id(c.hub) for c in checkpoints if c.hub}) or None
    card.data["thumbnail"] = f"https://huggingface.co/spaces/{space}/resolve/main/{THUMBNAIL}"
    card.text = description(card.data["title"], checkpoints, model)
    card.save(folder / "README.md")
    if found := problems(folder):
        raise HubError(f"the Hub would not take this Space: {'; '.join(found)}")


def problems(folder: Path) -> list[str]:
    """Return what keeps the Hub from accepting or starting the Space in a folder, each in a few words."""
    front = SpaceCard.load(folder / "README.md").data.to_dict()
    found = [f"{key} is missing" for key in FRONT_MATTER if key not in front]
    for key, pattern in {**FRONT_MATTER, **OPTIONAL}.items():
        values = front.get(key, [])
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII * (key != "emoji")):
                found.append(f"{key} must not be {value!r}")
    requirements = (folder / "requirements.txt").read_text(encoding="utf-8")
    if f"gradio=={front.get('sdk_version')}\n" not in requirements:
        found.append("sdk_version is not the gradio that requirements.txt asks for")
    if not (folder / str(front.get("app_file"))).is_file():
        found.append("app_file is not there")
    plain = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in LARGE)
    return found + [f"{path.name} is larger than 10 MB" for path in plain if path.stat().st_size > MAX_PLAIN]


def copy_program(folder: Path) -> None:
    """Copy the demo from its repository. Raises HubError where the package was installed without the repository."""
    if not (ROOT / "app.py").is_file():
        raise HubError("a Space is made from a clone of the repository, and this is an installed package")
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for name in ("app.py", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / name)
    requirements = "".join((ROOT / name).read_text(encoding="utf-8") for name in REQUIREMENTS)
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")


def copy_checkpoints(checkpoints: list[Checkpoint], folder: Path) -> None:
    """Copy checkpoints into numbered folders."""
    for number, checkpoint in enumerate(checkpoints):
        # The name is an author's, who may be anyone: no character of it that means something in a path is used.
        name = re.sub(r"[^\w-]+", "-", checkpoint.name, flags=re.ASCII).strip("-")
        copy_checkpoint(checkpoint.folder, folder / f"{number}-{name}")


def is_private(model: str) -> bool:
    """Return whether a model on the Hub is private; False without a network."""
    try:
        return bool(HfApi().model_info(model).private)
    except TROUBLE:
        return False


def description(title: str, checkpoints: list[Checkpoint], model: str | None) -> str:
    """Return the text of the Space's README.md."""
    shown = [
        f"- **{c.name}**: {c.model.image_size} x {c.model.image_size} pixels, after {c.images_seen:,} images seen of "
        f"{c.data.get('name') or 'images without a name'}. Terms of the data: {c.data.get('license') or 'not stated'}."
        for c in checkpoints
    ]
    source = (
        f"They come from [{model}](https://huggingface.co/{model}). To show another model, duplicate this Space and "
        "name it under `models` and `preload_from_hub` in README.md.\n"
    )
    heading = f"# {title}\n\nNobody you see here exists. A DCGAN draws them from numbers.\n"
    return "\n".join([heading, *shown, "", source if model else ""])


@interruptible("space: stopped")
def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code; 2, after one line on stderr, for an error that the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m dcgan space", description="Make a Gradio Space of the demo.")
    parser.add_argument("repo", type=repo_id, help="owner/name of the Space; made if it is not there")
    parser.add_argument(
        "--checkpoint",
        default="checkpoints",
        help="run, checkpoint folder or a folder of them, which are copied; or owner/name on the Hub, which the Space "
        "downloads when it is built (default: checkpoints)",
    )
    parser.add_argument("--title", help="the Space's title (default: the README's)")
    parser.add_argument("--private", action="store_true", help="make it private (only when it is made)")
    parser.add_argument("--out", type=place, help="write the Space to this folder instead of uploading it")
    flags = parser.parse_args(argv)

    def work() -> str:
        if flags.out:
            with new_folder(flags.out) as folder:
                write_space(folder, flags.repo, flags.checkpoint, flags.title)
            return f"wrote {flags.out}; try it with:  cd {shlex.quote(str(flags.out))} && python app.py"
        with tempfile.TemporaryDirectory() as temporary:
            write_space(Path(temporary), flags.repo, flags.checkpoint, flags.title)
            return upload(Path(temporary), flags.repo, "space", "The demo", PATTERNS, flags.private, "gradio")

    return run_command("space", work)


if __name__ == "__main__":
    sys.exit(main())
