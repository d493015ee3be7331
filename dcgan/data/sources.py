"""Where images come from: a folder, a zip, the drawn faces, the Hub, or one photo that anyone may have sent."""

import hashlib
import math
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import IO, Any, Protocol

from PIL import Image
from pillow_heif import register_heif_opener

from dcgan.data import avatars
from dcgan.data.crop import XMP, turned, with_deep_colours
from dcgan.errors import DataError, reason

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".apng", ".webp", ".avif", ".heic", ".heif", ".hif"),
    *(".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
)
FILMS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".3gp", ".mpg", ".mpeg", ".mts")
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".rar", ".7z")
# Pillow is held to these decoders: a file named .jpg that holds PostScript must not start an interpreter.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF", "BMP", "GIF", "TIFF", "PPM")
SETTINGS = Path("state") / "settings.json"  # of a run
# Of what this program writes: files that mark a folder of it (of a run, a checkpoint, a page), and sheets of pictures.
MARKS = (SETTINGS.as_posix(), "generator.safetensors", "kernel.wasm")
SHEETS = re.compile(
    r"(.*/)?(training_images\.png|crops\.png|loss\.png|progress\.webp|real_vs_fake\.png|snapshots/\d{10}\.webp)"
)
CREATOR = "<xmp:CreatorTool>DCGAN"  # in the XMP of each picture that a generator drew
SHEET = "crops.png"  # of the faces in a folder, beside them
# Of a data set on the Hub: OWNER/NAME[@REVISION][/FILE].
HUB_NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[^/@\s]+))?(/(?P<path>.+))?", re.ASCII)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MAX_FILE = 256 * 2**20  # bytes: more than an image takes of the most pixels that Pillow opens without a warning


class Source(Protocol):
    """Where images come from.

    names: of the images, in a fixed order. fingerprint: changes when any of the images does. others: how many files of
    which suffix were left out. own: files and folders that were left out because this program wrote them. stretch: so
    many images in a row are held out together, or trained on together.
    """

    name: str
    names: list[str]
    fingerprint: str
    others: Counter[str] = Counter()  # noqa: RUF012  # replaced, never changed
    own: Sequence[str] = ()
    stretch: int = 1

    def open(self, index: int) -> Image.Image:
        """Open the image `names[index]`."""


class FolderSource(Source):
    """The images in a folder and below it, by path. Links are followed; hidden files are left out."""

    def __init__(self, root: Path):
        self.root, self.name, self._closed = root, printable(root.resolve().name), 0
        found = dict(sorted(self._walk(root)))
        self.names, self.others, self.own = sorted_out(found)
        self.others += Counter({"folder that cannot be read": self._closed})
        files = [(name, found[name]) for name in self.names]
        self.fingerprint = digest(f"{root.resolve()}\n{files}")

    def _walk(self, root: Path) -> Iterator[tuple[str, tuple[int, int]]]:
        """Names of files with what changes when they do: size and time, or (0, 0) of a link to nowhere."""
        visited = set()
        for folder, below, files in os.walk(root, onerror=self._unreadable, followlinks=True):
            real = os.path.realpath(folder)
            if real in visited:  # a link that leads back up
                below.clear()
                continue
            visited.add(real)
            below[:] = sorted(d for d in below if not is_junk(d))
            for file in files:
                path = Path(folder, file)
                try:
                    stat = path.stat()
                    found = (stat.st_size, stat.st_mtime_ns) if S_ISREG(stat.st_mode) else None  # a pipe
                except OSError:
                    found = 0, 0
                if found:
                    yield path.relative_to(root).as_posix(), found

    def _unreadable(self, error: OSError) -> None:
        self._closed += 1

    def open(self, index: int) -> Image.Image:
        """Open the image `names[index]`."""
        path = self.root / self.names[index]
        return _open_image(path, path.stat().st_size)


class ZipSource(Source):
    """The images in a zip, by name. Read in place, never unpacked."""

    def __init__(self, path: Path):
        self.path, self.name = path, printable(path.stem)
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        try:
            files = [name for name in self._zip().namelist() if not name.endswith("/")]
        except Exception as error:  # whatever a broken one makes zipfile raise
            raise DataError(f"'{path}' cannot be read as a zip ({reason(error)})") from None
        self.names, self.others, self.own = sorted_out(sorted(files))
        stat = path.stat()
        self.fingerprint = digest(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}")

    def _zip(self) -> zipfile.ZipFile:
        """A handle of this process's own: forked ones would share one file position."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), zipfile.ZipFile(self.path)
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def open(self, index: int) -> Image.Image:
        """Open the image `names[index]`."""
        entry = self._zip().getinfo(self.names[index])
        return _open_image(self._zip().open(entry), entry.file_size)  # no more than it says is unpacked


class DrawnSource(Source):
    """The built-in faces of `dcgan.data.avatars`."""

    def __init__(self) -> None:
        self.name = avatars.SOURCE
        self.names = [f"{i:06d}" for i in range(avatars.COUNT)]
        self.fingerprint = f"avatars-{avatars.VERSION}"

    def open(self, index: int) -> Image.Image:
        """Draw face `index`. Raises ImportError, which says what to install."""
        return avatars.draw(avatars.factors(index))


def is_drawn(source: str) -> bool:
    """Whether a --dataroot names the drawn faces, and no folder or zip of that name."""
    return source == avatars.SOURCE and not Path(source).exists()


def is_film(source: str) -> bool:
    """Whether a --dataroot names a film."""
    path = Path(source)
    return path.suffix.lower() in FILMS and path.is_file()


def open_source(source: str, limit: int | None = None, every: float = 1.0) -> Source:
    """The source that a --dataroot names. limit: images from the Hub. every: seconds, of a film. Raises DataError."""
    if source.startswith("hf://"):
        from dcgan.data.hub import HubSource

        return HubSource(source, limit)
    if is_drawn(source):
        return DrawnSource()
    path = Path(os.path.expanduser(source))  # noqa: PTH111  # pathlib fails where there is no such user
    if path.is_dir():
        return FolderSource(path)
    if is_film(str(path)):
        from dcgan.data.film import FilmSource

        return FilmSource(path, every)
    if path.is_file() and is_image(path.name):
        raise DataError(f"'{path}' is one picture: give the folder of all")
    if path.is_file() and path.suffix.lower() in ARCHIVES[1:]:
        raise DataError(f"'{path}' is an archive, but no zip: unpack it, and give the folder")
    if path.is_file():
        return ZipSource(path)
    raise DataError(
        f"no images at '{source}': it is neither a folder nor a zip nor a film, nor the word avatars, nor hf://datasets/OWNER/NAME"
    )


def open_photo(file: str | Path | IO[bytes], largest: int) -> Image.Image:
    """A photo that anyone may have sent, upright, its longer side at most `largest` pixels. Raises DataError."""
    try:
        with Image.open(file, formats=_formats()) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise Image.DecompressionBombError
            image.draft(None, (largest, largest))  # a JPEG need not be decoded whole
            photo = turned(image)
        photo.thumbnail((largest, largest))
        return photo
    except Image.DecompressionBombError:
        raise DataError("this picture has too many pixels: give a smaller one") from None
    except Exception:  # whatever a broken file makes a decoder raise
        raise DataError("this is no picture that can be read: give a JPEG, HEIC, PNG or WebP") from None


def printable(name: str) -> str:
    """A file's name on one line of the screen, whatever bytes it is made of."""
    name = os.fsencode(name).decode("utf-8", "replace")
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


def sorted_out(files: Iterable[str]) -> tuple[list[str], Counter[str], list[str]]:
    """Of the files of a source its images, how many others there are of each suffix, and what this program wrote.

    What lies in a folder that this program wrote is named by that folder; photos may lie beside a checkpoint.
    """
    files = [file for file in files if not is_junk(file)]
    marked = {file.removesuffix(mark) for file in files for mark in MARKS if f"/{file}".endswith(f"/{mark}")}
    images: list[str] = []
    others: Counter[str] = Counter()
    own: dict[str, None] = {}
    for file in files:
        folders = (f"{folder}/" for folder in reversed(PurePosixPath(file).parents) if folder.name)
        within = next((folder for folder in folders if folder in marked), None)
        if within or SHEETS.fullmatch(file):
            own[within or file] = None
        elif is_image(file):
            images.append(file)
        else:
            others[PurePosixPath(file).suffix.lower()] += 1
    return images, others, list(own)


def is_image(name: str) -> bool:
    """Whether a file of this name counts as an image."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES and not is_junk(name)


def is_junk(name: str) -> bool:
    """Whether a file is hidden, or what macOS packs beside each file."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return "__MACOSX" in parts or any(part.startswith(".") and part != ".." for part in parts)


def digest(text: str) -> str:
    """Twelve hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _open_image(file: Path | IO[bytes], size: int) -> Image.Image:
    if size > MAX_FILE:  # some decoders read a file whole
        raise DataError(f"it has {size / 2**20:,.0f} MiB, and no more than {MAX_FILE / 2**20:,.0f} are read")
    image = Image.open(file, formats=_formats())
    if any(CREATOR in str(image.info.get(block)) for block in XMP):
        raise DataError("a DCGAN drew it")
    return with_deep_colours(image, file)


def _formats() -> list[str]:
    """FORMATS, but for those that this Pillow was built without."""
    Image.init()
    register_heif_opener()
    return [f for f in FORMATS if f in Image.OPEN]
