"""The image cache: where it is, and how it is kept under a size.

It holds a folder for each set of packed images and, in `hub/`, a zip for each data set fetched from the Hub. The
modification time of such a folder or zip says when it was last used.
"""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from dcgan.errors import DataError

DEFAULT_SIZE = "50"  # GB
# Names of its sets (also of half-made ones, and as earlier versions called these) and of its zips.
OWN = re.compile(r".+-\d+-[0-9a-f]{12}(\.new|\.old|-\w{8})?|.+--.+-[0-9a-f]{12}-\w+\.zip", re.DOTALL)


def cache_directory() -> Path:
    """The cache: $DCGAN_CACHE, else `dcgan` in the user's cache directory. Raises DataError if there is none."""
    named = os.environ.get("DCGAN_CACHE") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/dcgan"
    path = Path(os.path.expanduser(named))  # noqa: PTH111  # pathlib fails where there is no home
    if path.parts[0] == "~":
        raise DataError("there is no folder for the image cache: set HOME, or DCGAN_CACHE to a folder")
    return path


def cache_size() -> int:
    """The most bytes that the cache may take: $DCGAN_CACHE_SIZE GB (10**9 bytes), by default 50. Raises DataError."""
    size = os.environ.get("DCGAN_CACHE_SIZE") or DEFAULT_SIZE
    try:
        return int(float(size) * 10**9)
    except (ValueError, OverflowError):
        raise DataError(f"DCGAN_CACHE_SIZE must be a number of GB, such as {DEFAULT_SIZE}, not '{size}'") from None


def mark_used(path: Path) -> None:
    """Mark a set or a zip of the cache as used now."""
    with suppress(OSError):  # the cache of another user
        os.utime(path)


def make_room(cache: Path, need: int, keep: str = "") -> None:
    """Remove what was used longest ago until `need` more bytes fit into the cache's size. Raises DataError.

    What is named `keep` and what is not the cache's own stays. What is in use when it is removed stays readable there.
    """
    limit, found = cache_size() - need, []
    for path in (*cache.iterdir(), *cache.glob("hub/*.zip")):
        if OWN.fullmatch(path.name):
            with suppress(OSError):  # another process has removed it
                files = path.iterdir() if path.is_dir() else [path]
                found.append((path.stat().st_mtime_ns, sum(file.stat().st_size for file in files), path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total > limit and path.name != keep:
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                total -= size
