"""The image cache: where it is, what in it is in use, and how it is kept under a size.

It holds a folder for each set of packed images and, in `hub/`, a zip for each data set fetched from the Hub. The
modification time of their files says when they were last used, and a shared lock (flock) on one that they are in use:
the system drops such a lock when its process ends, in whatever way.
"""

import os
import re
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from dcgan.data.sources import DataError

try:
    import fcntl
except ImportError:  # Windows has no such locks, and does not remove what is open
    fcntl = None  # type: ignore[assignment]

DEFAULT_SIZE = "50"  # GB
# Names of its sets (also of half-made ones, and as earlier versions called these) and of its zips.
OWN = re.compile(r".+-\d+-[0-9a-f]{12}(\.new|\.old|-\w{8})?|.+--.+-[0-9a-f]{12}-\w+\.zip", re.DOTALL)


def cache_directory() -> Path:
    """The cache: $DCGAN_CACHE, else `dcgan` in the user's cache directory."""
    if named := os.environ.get("DCGAN_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcgan"


def cache_size() -> int:
    """The most bytes that the cache may take: $DCGAN_CACHE_SIZE GB (10**9 bytes), by default 50. Raises DataError."""
    size = os.environ.get("DCGAN_CACHE_SIZE") or DEFAULT_SIZE
    try:
        return int(float(size) * 10**9)
    except (ValueError, OverflowError):
        raise DataError(f"DCGAN_CACHE_SIZE must be a number of GB, such as {DEFAULT_SIZE}, not '{size}'") from None


def hold(path: Path, owner: object) -> None:
    """Mark a file as used now, and as in use for as long as `owner` lives."""
    with suppress(OSError):  # the cache of another user
        os.utime(path)
    with suppress(OSError):  # a file system without locks
        file = path.open("rb")
        weakref.finalize(owner, file.close)
        _lock(file, shared=True)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Run the block while no other process runs one with this lock file; wait as long as it takes."""
    while True:
        with path.open("w") as file:
            with suppress(OSError):  # a file system without locks
                _lock(file)
            try:
                if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    continue
            except FileNotFoundError:  # the process before has removed it
                continue
            try:
                yield
            finally:
                with suppress(OSError):
                    path.unlink()
            return


def make_room(cache: Path, need: int) -> None:
    """Remove what was used longest ago until `need` more bytes fit into the cache's size.

    What is in use and what is not the cache's own stays. Raises DataError if the size is no number.
    """
    limit, found = cache_size() - need, []
    for path in (*cache.iterdir(), *cache.glob("hub/*.zip")):
        with suppress(OSError):  # another process has removed it
            files = [*path.iterdir()] if path.is_dir() else [path]
            if OWN.fullmatch(path.name) and files:
                stats = [file.stat() for file in files]
                found.append((max(s.st_mtime_ns for s in stats), sum(s.st_size for s in stats), path, files))
    total = sum(size for _, size, _, _ in found)
    for _, size, path, files in sorted(found):
        if total > limit and not any(map(_in_use, files)):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                total -= size


def _in_use(path: Path) -> bool:
    """Whether any process holds the file, or the system does not say."""
    try:
        with path.open("rb") as file:
            _lock(file, wait=False)
    except OSError:
        return True
    return False


_locked: weakref.WeakSet[IO[Any]] = weakref.WeakSet()


def _lock(file: IO[Any], shared: bool = False, wait: bool = True) -> None:
    """Lock a file until it is closed. Raises OSError if another process has, or the file system knows no locks."""
    if fcntl:
        _locked.add(file)
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def _unlock_fork() -> None:
    """Close a fork's copies: a process that decodes, and outlives a killed program, must not keep its locks."""
    for file in _locked:
        file.close()


if fcntl:
    os.register_at_fork(after_in_child=_unlock_fork)
