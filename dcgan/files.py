"""Files and folders that are written whole or not at all, and tensors read from a file of any name."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` when the block ends well, and vanishes when it fails."""
    new, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
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
    old = folder.with_name(folder.name + ".old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def writing(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary name that becomes `path` when the block ends well, and vanishes when it fails.

    durable: the content is on the disk before it gets the name, so that a power cut cannot leave an empty file.
    """
    temporary = path.with_name(path.name + ".tmp")
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


def reason(error: Exception) -> str:
    """The message of an exception in one line of at most 300 characters."""
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
