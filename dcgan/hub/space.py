"""Make a Gradio Space of the demo: the program, its checkpoints, and a README.md that starts it."""

import argparse
import re
import shlex
import shutil
from pathlib import Path

from huggingface_hub import HfApi, SpaceCard, SpaceHardware

from dcgan.checkpoint import Checkpoint, find_checkpoints, load_checkpoint, no_checkpoint
from dcgan.cli import guarded, new_folder, nonempty, user_path, user_source
from dcgan.demo.checkpoints import about
from dcgan.hub.card import dataset_id, parsed_card
from dcgan.hub.command import copy_checkpoint, repo_id, save_thumbnail, temporary_folder, upload
from dcgan.hub.pull import local_folder
from dcgan.hub_errors import HUB_ERRORS, HubError

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ("requirements.txt", "requirements-hub.txt")  # a Space's real images come from the Hub
PYTHON = "3.12"  # the one of ZeroGPU's that the program runs on
PATTERNS = (  # files of an older version that are deleted from a Space
    *("app.py", "LICENSE", "README.md", "requirements.txt", "thumbnail.jpg"),
    *("dcgan/*", "checkpoints/*", "node_modules/*"),
)


def write_space(
    folder: Path, space: str, source: str, title: str | None = None, hardware: SpaceHardware | None = None
) -> None:
    """Write a Space `owner/name` that shows the checkpoints at `source` into a folder.

    Local checkpoints, and a single revision of a model on the Hub, are copied into the Space. A model's id without a
    revision stays an id: the Space downloads it when it is built. Raises CheckpointError or HubError.
    """
    checkpoints = [load_checkpoint(found) for found in find_checkpoints(local_folder(source))]
    if not checkpoints:
        raise no_checkpoint(Path(source))
    model = None if Path(source).exists() or "@" in source else source
    copy_program(folder)
    if model is None:
        for number, checkpoint in enumerate(checkpoints):
            # The name is an author's, who may be anyone: no character of it that means something in a path is used.
            name = re.sub(r"[^\w-]+", "-", checkpoint.name, flags=re.ASCII).strip("-")
            copy_checkpoint(checkpoint.folder, folder / "checkpoints" / f"{number}-{name}")
    save_thumbnail(checkpoints[0], folder / "thumbnail.jpg")

    readme = ROOT / "README.md"
    card = parsed_card(SpaceCard, readme.read_text(encoding="utf-8"), readme)
    card.data["title"] = title or card.data["title"]
    if hardware:
        card.data["suggested_hardware"] = hardware.value
        card.data["python_version"] = PYTHON
    card.data["models"] = [model] if model else None
    card.data["preload_from_hub"] = [model] if model and not is_private(model) else None  # a build has no token
    card.data["datasets"] = sorted({data for c in checkpoints if (data := dataset_id(c))}) or None
    card.data["thumbnail"] = f"https://huggingface.co/spaces/{space}/resolve/main/thumbnail.jpg"
    card.text = description(card.data["title"], checkpoints, model)
    card.save(folder / "README.md")


def copy_program(folder: Path) -> None:
    """Copy the demo from its repository. Raises HubError where the package was installed without the repository."""
    if not (ROOT / "app.py").is_file():
        raise HubError("a Space is made from a clone of the repository, and this is an installed package")
    shutil.copytree(ROOT / "dcgan", folder / "dcgan", ignore=shutil.ignore_patterns("__pycache__", "training"))
    for name in ("app.py", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / name)
    requirements = "".join((ROOT / name).read_text(encoding="utf-8") for name in REQUIREMENTS)
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")


def is_private(model: str) -> bool:
    """Return whether a model on the Hub is private; False without a network."""
    try:
        return bool(HfApi().model_info(model).private)
    except HUB_ERRORS:
        return False


def description(title: str, checkpoints: list[Checkpoint], model: str | None) -> str:
    """Return the text of the Space's README.md."""
    shown = [f"- **{checkpoint.name}**: {about(checkpoint)}" for checkpoint in checkpoints]
    source = (
        f"They come from [{model}](https://huggingface.co/{model}). To show another model, duplicate this Space and "
        "name it under `models` and `preload_from_hub` in README.md.\n"
    )
    heading = f"# {title}\n\nNobody you see here exists. A DCGAN draws them from numbers.\n"
    return "\n".join([heading, *shown, "", source if model else ""])


@guarded("space")
def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dcgan space", description="Make a Gradio Space of the demo.")
    parser.add_argument("repo", type=repo_id, help="owner/name of the Space; made if it is not there")
    parser.add_argument(
        "--checkpoint",
        type=user_source,
        default="checkpoints",
        help="run, checkpoint folder or a folder of them, which are copied; or owner/name on the Hub, which the Space "
        "downloads when it is built (default: checkpoints)",
    )
    parser.add_argument("--title", type=nonempty, help="the Space's title (default: the README's)")
    parser.add_argument(
        "--hardware",
        type=SpaceHardware,
        choices=list(SpaceHardware),
        metavar="FLAVOR",
        help="cpu-basic, zero-a10g (ZeroGPU) or another of the Hub's (default: the Hub's own, cpu-basic)",
    )
    parser.add_argument("--private", action="store_true", help="make it private (only when it is made)")
    parser.add_argument("--out", type=user_path, help="write the Space to this folder instead of uploading it")
    flags = parser.parse_args(argv)
    if flags.out:
        with new_folder(flags.out) as folder:
            write_space(folder, flags.repo, flags.checkpoint, flags.title, flags.hardware)
        if flags.private:
            print("--private is not used: --out uploads nothing")
        print(f"wrote {flags.out}; try it with:  cd {shlex.quote(str(flags.out))} && python app.py")
        return 0
    with temporary_folder() as folder:
        write_space(folder, flags.repo, flags.checkpoint, flags.title, flags.hardware)
        options = {"private": flags.private, "space_sdk": "gradio", "space_hardware": flags.hardware}
        try:
            print(upload(folder, flags.repo, "The demo", PATTERNS, **options))
        except HubError as error:
            if error.status not in (402, 403):
                raise
            what = f"--checkpoint {shlex.quote(flags.checkpoint)}"
            raise HubError(
                f"{error}; free are a page without a server,  python -m dcgan static OUT {what} --push "
                f"{flags.repo}  and a Space on ZeroGPU,  python -m dcgan space {flags.repo} {what} --hardware "
                "zero-a10g"
            ) from None
    return 0
