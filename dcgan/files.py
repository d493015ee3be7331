"""Files and folders that are written whole or not at all, by one process at a time; tensors of a file of any name."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def beside(path: Path, suffix: str) -> Path:
    """The hidden name of what this program writes or sets aside beside `path`. suffix: ".tmp", ".new" or ".old"."""
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

    durable: the content is on the disk first, so that a power cut cannot leave an empty file.
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


_locked: set[int] = set()


@contextmanager
def alone(path: Path, wait: bool = True) -> Iterator[None]:
    """Run the block while no other process or thread runs one with this lock, a folder or a file that is made.

    wait: as long as it takes; else BlockingIOError is raised. The system drops the lock (flock) when the process ends,
    in whatever way. Windows and some network file systems have no such locks: there the block just runs.
    """
    if not fcntl:
        yield
        return
    lock = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    _locked.add(lock)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        if lock in _locked:  # not in a fork
            _locked.remove(lock)
            os.close(lock)


def _unlock_fork() -> None:
    """Close a fork's copies: a process that decodes, and outlives a killed program, must not keep its locks."""
    for lock in _locked:
        os.close(lock)
    _locked.clear()


if fcntl:
    os.register_at_fork(after_in_child=_unlock_fork)


@contextmanager
def opened_tensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file as `safe_open` does, which takes no path that is not UTF-8."""
    with path.open("rb") as file:
        name = str(path)
        if name.encode(errors="replace") != os.fsencode(path):
            name = f"/dev/fd/{file.fileno()}"
        with safe_open(name, "pt") as tensors:
            yield tensors
