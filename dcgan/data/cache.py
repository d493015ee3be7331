"""The image cache: where it is, what in it is in use, and how it is kept under a size.

It holds a folder for each set of packed images and, in `hub/`, a zip for each data set fetched from the Hub. Their
modification time says when they were last used, and a shared lock (flock) that they are in use: the system drops such
a lock when its process ends, in whatever way.
"""

import os
import re
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dcgan.data.sources import DataError

try:
    import fcntl
except ImportError:  # Windows has no such locks, and does not remove what is open
    fcntl = None  # type: ignore[assignment]

DEFAULT_SIZE = "50"  # GB
OWN = re.compile(r".+-\d+-[0-9a-f]{12}(\.new|\.old)?|.+--.+-[0-9a-f]{12}-\w+\.zip", re.DOTALL)  # names of its content


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
    """Mark a file or folder as used now, and as in use for as long as `owner` lives."""
    with suppress(OSError):  # a file system without locks, or a cache of another user's
        descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(owner, os.close, descriptor)
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        os.utime(path)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Run the block while no other process runs one with this lock file; wait as long as it takes."""
    while True:
        with lock.open("w") as file:
            with suppress(OSError):  # a file system without locks
                if fcntl:
                    fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if not os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                    continue
            except FileNotFoundError:  # the process before has removed it
                continue
            try:
                yield
            finally:
                with suppress(OSError):
                    lock.unlink()
            return


def make_room(cache: Path, need: int) -> None:
    """Remove what was used longest ago until `need` more bytes fit into the cache's size.

    What is in use and what is not the cache's own stays. Raises DataError if the size is no number.
    """
    limit, found = cache_size() - need, []
    for path in (*cache.iterdir(), *cache.glob("hub/*.zip")):
        with suppress(OSError):  # another process has removed it
            if OWN.fullmatch(path.name):
                files = path.iterdir() if path.is_dir() else [path]
                found.append((path.stat().st_mtime_ns, sum(file.stat().st_size for file in files), path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total > limit and not _in_use(path):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                total -= size


def _in_use(path: Path) -> bool:
    """Whether any process holds the file or folder, or the system does not say."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
