"""Where images come from: a folder, a zip, the drawn faces, the Hub, or one picture that anyone may have sent."""

import hashlib
import math
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import IO, Any, Protocol

from PIL import Image

from dcgan.data import avatars
from dcgan.data.crop import turned
from dcgan.files import reason

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".apng", ".webp", ".avif"),
    *(".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
)
# Pillow is held to these decoders: a file named .jpg that holds PostScript must not start an interpreter.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM")
SETTINGS = Path("state") / "settings.json"  # marks a run's folder: its pictures are no photos
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MAX_FILE = 256 * 2**20  # bytes: more than a picture of the most pixels that Pillow opens without a warning takes


class DataError(Exception):
    """Images that cannot be had; the message is one line saying what was looked for, and what was found."""


class Source(Protocol):
    """Where images come from: `names` in a fixed order, and a picture for each."""

    name: str
    names: list[str]
    others: Counter[str]
    fingerprint: str

    def open(self, index: int) -> Image.Image: ...


class FolderSource:
    """All images in a folder and below it but those of runs, in the order of their paths, not in the disk's."""

    def __init__(self, root: Path):
        self.root, self.name = root, printable(root.resolve().name)
        self.others: Counter[str] = Counter()
        files = sorted(self._walk(root))
        self.names = [name for name, _ in files]
        self.fingerprint = digest(f"{root.resolve()}\n{files}")

    def _walk(self, root: Path) -> Iterator[tuple[str, tuple[int, int]]]:
        visited = set()
        for folder, below, files in os.walk(root, onerror=self._unreadable, followlinks=True):
            real = os.path.realpath(folder)
            if real in visited:  # a link that leads back up
                below.clear()
                continue
            visited.add(real)
            below[:] = sorted(d for d in below if not is_junk(d) and not Path(folder, d, SETTINGS).is_file())
            for file in files:
                path = Path(folder, file)
                if is_image(file) and (found := _size_and_time(path)):
                    yield path.relative_to(root).as_posix(), found
                elif not is_junk(file):
                    self.others[path.suffix.lower()] += 1

    def _unreadable(self, error: OSError) -> None:
        self.others["folder that cannot be read"] += 1

    def open(self, index: int) -> Image.Image:
        path = self.root / self.names[index]
        _check_size(path.stat().st_size)
        return Image.open(path, formats=_formats())


def _size_and_time(path: Path) -> tuple[int, int] | None:
    """What changes with a file; None for a pipe or a device. A file that is gone is to be missed when it is read."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return (stat.st_size, stat.st_mtime_ns) if S_ISREG(stat.st_mode) else None


def _check_size(size: int) -> None:
    if size > MAX_FILE:  # some decoders read a file whole
        raise DataError(f"it has {size / 2**20:,.0f} MiB, and no more than {MAX_FILE / 2**20:,.0f} are read")


class ZipSource:
    """All images in a zip, in the order of their names. Read in place, never unpacked."""

    def __init__(self, path: Path):
        self.path, self.name = path, printable(path.stem)
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        try:
            entries = self._zip().infolist()
        except Exception as error:  # whatever a broken one makes zipfile say
            raise DataError(f"'{path}' cannot be read as a zip ({reason(error)})") from None
        files = [e.filename for e in entries if not e.is_dir()]
        self.names = sorted(f for f in files if is_image(f))
        self.others = Counter(PurePosixPath(f).suffix.lower() for f in files if not is_image(f) and not is_junk(f))
        stat = path.stat()
        self.fingerprint = digest(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}")

    def _zip(self) -> zipfile.ZipFile:
        # One handle a process: forked workers would share a single file position.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), zipfile.ZipFile(self.path)
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def open(self, index: int) -> Image.Image:
        entry = self._zip().getinfo(self.names[index])
        _check_size(entry.file_size)  # more than it says is not unpacked
        return Image.open(self._zip().open(entry), formats=_formats())


class DrawnSource:
    """The built-in faces of `dcgan.data.avatars`."""

    def __init__(self) -> None:
        self.name = avatars.SOURCE
        self.others: Counter[str] = Counter()
        self.names = [f"{i:06d}" for i in range(avatars.COUNT)]
        self.fingerprint = f"avatars-{avatars.VERSION}"

    def open(self, index: int) -> Image.Image:
        return avatars.face(index)[0]


def is_drawn(source: str) -> bool:
    """Whether a --dataroot names the built-in faces, and no folder or zip that is called like them."""
    return source == avatars.SOURCE and not Path(source).exists()


def open_source(source: str, limit: int | None = None) -> Source:
    """The source that a --dataroot names; from the Hub, no more than `limit` images. Raises DataError."""
    if source.startswith("hf://"):
        return _hub_source(source, limit)
    if is_drawn(source):
        return DrawnSource()
    path = Path(source).expanduser()
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return ZipSource(path)
    raise DataError(
        f"no images at '{source}': it is neither a folder, nor a zip, nor the word avatars, nor hf://datasets/OWNER/NAME"
    )


def _hub_source(source: str, limit: int | None) -> Source:
    try:
        from dcgan.data.hub import HubSource
    except ImportError:
        raise DataError(f"'{source}' needs: pip install huggingface-hub") from None
    return HubSource(source, limit)  # type: ignore[return-value]  # it has its names once they are asked for


def open_photo(path: str | Path | IO[bytes], largest: int) -> Image.Image:
    """A picture that anyone may have sent, upright and loaded, its longer side at most `largest` pixels.

    Raises DataError, in one line that names no path.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise Image.DecompressionBombError
            image.draft(None, (largest, largest))  # a JPEG need not be decoded whole
            image.load()
            photo = turned(image)
        photo.thumbnail((largest, largest))
        return photo
    except Image.DecompressionBombError:
        raise DataError("this picture has too many pixels: give a smaller one") from None
    except Exception:  # whatever a broken file makes a decoder say
        raise DataError("this is no picture that can be read: give a JPEG, PNG or WebP") from None


def printable(name: str) -> str:
    """A file's name for the screen, in one line, whatever bytes it is made of."""
    name = os.fsencode(name).decode("utf-8", "replace")
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for a picture."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES and not is_junk(name)


def is_junk(name: str) -> bool:
    """Whether it is hidden, or what macOS packs beside each file: nobody misses it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return "__MACOSX" in parts or any(part.startswith(".") and part != ".." for part in parts)


def _formats() -> list[str]:
    Image.init()
    return [f for f in FORMATS if f in Image.OPEN]


def digest(text: str) -> str:
    """Twelve letters that stand for a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
