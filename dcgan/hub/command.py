"""What the commands push, space and static share: their arguments, thumbnails and temporary files."""

import argparse
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcgan.checkpoint import Checkpoint
from dcgan.errors import reason
from dcgan.hub_errors import HubError
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
