"""What the commands push, space and static share: arguments, copies, thumbnails, temporary files and the upload."""

import argparse
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.utils import logging

from dcgan.checkpoint import Checkpoint, checkpoint_files
from dcgan.errors import reason
from dcgan.hub_errors import HUB_ERRORS, HubError, error_message, http_status
from dcgan.pictures import enlarged, grid, picture
from dcgan.provenance import xmp
from dcgan.sampling import sample


def repo_id(text: str) -> str:
    """Parse an argument that must be owner/name."""
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"must be owner/name, not '{text}'")
    return text


def save_thumbnail(checkpoint: Checkpoint, file: Path) -> None:
    """Write a grid of 32 faces as a JPEG."""
    faces = sample(checkpoint.generator, range(32)).numpy()
    enlarged(picture(grid(faces)), max(1, 128 // faces.shape[1])).save(file, quality=88, xmp=xmp(checkpoint))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder that is deleted at the end. Raises HubError where the system has no room for it."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    except OSError as error:
        raise HubError(
            f"temporary files cannot be written ({reason(error)}): make room, or set TMPDIR to another folder"
        ) from None


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy the files of a checkpoint, and nothing else that lies in its folder.

    Raises CheckpointError if one of them is a link that leaves the folder.
    """
    for path in checkpoint_files(source):
        copy = target / path.relative_to(source.resolve())
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def upload(folder: Path, repo: str, message: str, patterns: Iterable[str], **options: Any) -> str:
    """Upload a folder in one commit, all of it or nothing, and return the repository's address.

    patterns: files of the repository that are deleted if the folder lacks them. options: as `HfApi.create_repo` takes
    them: private, and of a Space space_sdk and space_hardware, which a Space that is there gets, too. Raises HubError.
    """
    kind = "space" if "space_sdk" in options else "model"
    logging.set_verbosity_error()  # the library would report an error at length
    api = HfApi(token=True)  # the token of the user who is logged in, also where reading needs none
    try:
        url = api.create_repo(repo, repo_type=kind, exist_ok=True, **options)
        if hardware := options.get("space_hardware"):
            api.request_space_hardware(repo, hardware)
        api.upload_folder(
            repo_id=repo, repo_type=kind, folder_path=folder, delete_patterns=list(patterns), commit_message=message
        )
    except HUB_ERRORS as error:
        why = error_message(error, f"{kind} of that name")
        raise HubError(f"'{repo}' was not changed: {why}", http_status(error)) from None
    return str(url)
