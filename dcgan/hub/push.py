"""Checkpoints on the Hugging Face Hub, and Spaces that show them.

python -m dcgan.hub.push push runs/mine owner/name
python -m dcgan.hub.push space owner/demo --checkpoint owner/name
python -m dcgan.hub.push static OUT --checkpoint RUN --push owner/page

Log in once with `hf auth login`, or set HF_TOKEN to a token that may write.
"""

import argparse
import math
import re
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    EvalResult,
    HfApi,
    ModelCard,
)
from huggingface_hub.utils import filter_repo_objects, logging

from dcgan.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from dcgan.cli import interruptible, place
from dcgan.hub.pull import FILES, local_folder
from dcgan.hub_errors import TROUBLE, HubError, trouble

TASK = "unconditional-image-generation"


# To the Hub


def push(run: str, repo: str, private: bool = False, license: str | None = None) -> str:
    """Put the checkpoint of a run on the Hub as `owner/name`, in one commit, and return its address.

    The card is completed on the way; the folder here stays as it is. What an older push left and this one has not is
    deleted. Raises CheckpointError or HubError.
    """
    checkpoint = load_checkpoint(local_folder(run))
    with tempfile.TemporaryDirectory() as staged:
        folder = Path(staged)
        copy_checkpoint(checkpoint.folder, folder)
        text = folder / "README.md"
        card = text.read_text(encoding="utf-8") if text.is_file() else ""
        text.write_text(completed_card(card, checkpoint, repo, license), encoding="utf-8")
        return upload(folder, repo, "model", private, FILES, f"{checkpoint.images_seen:,} images seen")


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy what belongs to a checkpoint, whatever else lies in its folder."""
    names = [path.relative_to(source).as_posix() for path in sorted(source.rglob("*")) if path.is_file()]
    for name in filter_repo_objects(names, allow_patterns=list(FILES)):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def upload(
    folder: Path, repo: str, kind: str, private: bool, ours: Iterable[str], message: str, sdk: str | None = None
) -> str:
    """Make the repository if need be, and put the folder there in one commit: all of it, or nothing.

    ours: patterns of the files that are deleted there where the folder has none of that name.
    """
    api = HfApi(token=True)  # that is, the one of whoever is logged in
    try:
        url = api.create_repo(repo, repo_type=kind, private=private, exist_ok=True, space_sdk=sdk)
        new = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        old = filter_repo_objects(api.list_repo_files(repo, repo_type=kind), allow_patterns=list(ours))
        api.create_commit(
            repo,
            [CommitOperationAdd(name, path) for name, path in new.items()]
            + [CommitOperationDelete(name) for name in old if name not in new],
            commit_message=message,
            repo_type=kind,
        )
    except TROUBLE as error:
        raise HubError(f"'{repo}' was not changed: {trouble(error, f'{kind} of that name')}") from None
    return str(url)


def completed_card(text: str, checkpoint: Checkpoint, repo: str, license: str | None = None) -> str:
    """The model card with all that the Hub reads. What its author wrote stays, but for a licence given here."""
    data, hub = checkpoint.data, dataset_id(checkpoint.hub or "")
    card = ModelCard(text or f"---\n{{}}\n---\n# {checkpoint.name}\n")
    card.text = card.text.replace('load_checkpoint("PATH")', f'load_checkpoint("{repo}")')
    facts: dict[str, Any] = {
        "library_name": "dcgan",
        "pipeline_tag": TASK,
        "tags": ["dcgan", "gan", "image-generation"],
        "datasets": [hub] if hub else None,
    }
    if license or not card.data.get("license"):
        terms = license or data.get("license") or ""
        named = bool(re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", terms))  # such as mit, or cc-by-nc-4.0; else words
        card.data["license"] = terms if named else "other"
        card.data["license_name"] = None if named else "terms-of-the-data"
        card.data["license_link"] = None
    metrics = checkpoint.config.get("metrics") or {}
    measured = {k: v for k, v in metrics.items() if isinstance(v, int | float) and math.isfinite(v)}
    if measured:
        name = data.get("name") or "images"
        kind = hub or re.sub(r"\W+", "-", name).strip("-").lower() or "images"
        facts["model_name"] = checkpoint.name
        facts["eval_results"] = [EvalResult(TASK, kind, name, metric, value) for metric, value in measured.items()]
        facts["metrics"] = list(measured)
    for key, value in facts.items():
        if value and not card.data.get(key):
            card.data[key] = value
    return str(card)


def dataset_id(hub: str) -> str:
    """OWNER/NAME of OWNER/NAME[@revision][/file]."""
    return "/".join(re.split(r"[@/]", hub)[:2])


# The command line


@interruptible("hub: stopped")
def main(argv: list[str] | None = None) -> int:
    """Run a command. Exit code 2, after one line on stderr, for what the user can mend."""
    flags = build_parser().parse_args(argv)
    logging.set_verbosity_error()  # what went wrong is said below, once
    try:
        print(flags.run_command(flags))
    except (CheckpointError, HubError) as error:
        print(f"hub: {error}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dcgan.hub.push", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="push|space|static")

    one = commands.add_parser("push", help="put a checkpoint on the Hub", description="Put a checkpoint on the Hub.")
    one.add_argument("run", help="run folder or checkpoint folder")
    one.add_argument("repo", type=repo_id, help="owner/name of the model on the Hub; made if it is not there")
    one.add_argument("--private", action="store_true", help="make it private (only when it is made)")
    one.add_argument("--license", help="licence in the card, such as mit or cc-by-nc-4.0 (default: the data's terms)")
    one.set_defaults(run_command=lambda flags: push(flags.run, flags.repo, flags.private, flags.license))

    one = commands.add_parser("space", help="make a Gradio Space", description="Make a Gradio Space of the demo.")
    one.add_argument("repo", type=repo_id, help="owner/name of the Space; made if it is not there")
    one.add_argument(
        "--checkpoint",
        default="checkpoints",
        help="run, checkpoint folder or a folder of them, which go along; or owner/name on the Hub, which the Space "
        "fetches when it is built (default: checkpoints)",
    )
    one.add_argument("--title", help="the Space's title (default: the README's)")
    one.add_argument("--private", action="store_true", help="make it private (only when it is made)")
    one.add_argument("--out", type=place, help="write the Space to this folder instead of uploading it")
    one.set_defaults(run_command=make_space)

    one = commands.add_parser(
        "static", help="make a page that needs no server", description="Make a page of plain files, for a static Space."
    )
    one.add_argument("out", type=place, help="folder to write; it must be new or empty")
    one.add_argument(
        "--checkpoint",
        default="checkpoints/faces",
        help="run, checkpoint folder or owner/name on the Hub (default: checkpoints/faces)",
    )
    one.add_argument("--title", help="the Space's title (default: the README's)")
    one.add_argument("--push", type=repo_id, metavar="OWNER/NAME", help="put it on the Hub, too, as this static Space")
    one.add_argument("--private", action="store_true", help="make that Space private (only when it is made)")
    one.set_defaults(run_command=make_static)
    return parser


def repo_id(text: str) -> str:
    """owner/name, as argparse wants it."""
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"must be owner/name, not '{text}'")
    return text


def make_space(flags: argparse.Namespace) -> str:
    from dcgan.hub.space import SPACE_FILES, write_space

    if flags.out:
        with new_folder(flags.out) as folder:
            write_space(folder, flags.repo, flags.checkpoint, flags.title)
        return f"wrote {flags.out}; try it with:  cd {shlex.quote(str(flags.out))} && python app.py"
    with tempfile.TemporaryDirectory() as staged:
        write_space(Path(staged), flags.repo, flags.checkpoint, flags.title)
        return upload(Path(staged), flags.repo, "space", flags.private, SPACE_FILES, "The demo", "gradio")


def make_static(flags: argparse.Namespace) -> str:
    from dcgan.hub.static import MAX_SIZE, STATIC_FILES, write_static

    with new_folder(flags.out) as new:
        write_static(new, flags.checkpoint, flags.title)
    if (size := sum(file.stat().st_size for file in flags.out.rglob("*") if file.is_file())) > MAX_SIZE:
        large = f"'{flags.out}' has {size / 1e6:.1f} MB: above {MAX_SIZE / 1e6:.0f} MB visitors wait long"
        print(f"hub: {large}; fewer filters (train.py --ngf) make a smaller one", file=sys.stderr)
    if flags.push:
        return upload(flags.out, flags.push, "space", flags.private, STATIC_FILES, "The page", "static")
    folder = shlex.quote(str(flags.out))
    return f"wrote {flags.out}; try it with:  python -m http.server --bind 127.0.0.1 --directory {folder}"


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder that becomes `out` when the block ends well. Raises HubError where `out` holds something."""
    if out.exists() and (out.samefile(".") or not out.is_dir() or any(out.iterdir())):
        raise HubError(f"'{out}' is there already: name a new folder")
    half = out.with_name(f".{out.name}-{secrets.token_hex(4)}")
    try:
        half.mkdir(parents=True)
        yield half
        if out.exists():
            out.rmdir()
        half.rename(out)
    except OSError as error:
        raise HubError(f"'{out}' cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
