"""Files and folders that are written whole or not at all, and tensors read from a file of any name."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open


def beside(path: Path, suffix: str) -> Path:
    """The name that this program alone gives to what it writes or sets aside beside `path`: hidden, and nobody's own.

    suffix: ".tmp" of a file, ".new" and ".old" of a folder, while they take its place.
    """
    return path.with_name(f".dcgan-{path.name}{suffix}")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` when the block ends well, and vanishes when it fails."""
    new, old = beside(folder, ".new"), beside(folder, ".old")
    recover(folder)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        recover(folder)
        shutil.rmtree(new, ignore_errors=True)


def recover(folder: Path) -> None:
    """Undo a replacement that was interrupted between its two moves, and remove what it left."""
    old = beside(folder, ".old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def writing(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary name that becomes `path` when the block ends well, and vanishes when it fails.

    durable: the content is on the disk before it gets the name, so that a power cut cannot leave an empty file.
    """
    temporary = beside(path, ".tmp")
    try:
        yield temporary
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def opened_tensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file as `safe_open` does, which takes no path that is not UTF-8."""
    with path.open("rb") as file:
        name = str(path)
        if name.encode(errors="replace") != os.fsencode(path):
            name = f"/dev/fd/{file.fileno()}"
        with safe_open(name, "pt") as tensors:
            yield tensors
