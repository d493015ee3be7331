"""Read what visitors upload, within bounds. A ValueError is one line for the visitor; nothing is logged or kept."""

import io
import struct
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from dcgan.data.crop import squares
from dcgan.data.sources import DataError, is_image, open_photo
from dcgan.pictures import Pixels

MAX_PHOTO = 40 * 2**20  # bytes
PHOTO_SIDE = 2048  # pixels: larger photos are made smaller
MAX_OWN = 500  # pictures of a visitor ...
READING = 30.0  # ... and seconds to read them in: what is left then is left out
MAX_DIRECTORY = 2**20  # bytes of a zip's directory: some 10,000 names
ZIP_END = struct.Struct("<4s4H2LH")  # the record that ends a zip: the sixth field is the size of its directory
ZIP64_END = b"PK\6\7"  # the record before it where there are too many files for that


def photo(path: str | Path) -> Image.Image:
    """The upright photo in a file, its longer side at most 2,048 pixels."""
    try:
        if Path(path).stat().st_size > MAX_PHOTO:
            raise ValueError(f"this photo is larger than {MAX_PHOTO >> 20} MB: give a smaller one")
        return open_photo(path, PHOTO_SIDE)
    except (DataError, OSError) as error:
        raise ValueError(str(error) if isinstance(error, DataError) else "this photo is no longer there") from None


def own_photos(files: Sequence[str | Path], image_size: int, nc: int, crop: str = "centre") -> Pixels:
    """Pictures, and those in zips, cropped (see `squares`) and resized as for training: uint8 [N, S, S, nc].

    At most 500, and as many as can be read in 30 seconds; what is no picture is left out. Raises ValueError where
    nothing is left.
    """
    end, own = time.monotonic() + READING, []
    for file in islice(_pictures(files), MAX_OWN):
        with suppress(DataError):
            own += [*squares(open_photo(file, PHOTO_SIDE), image_size, nc, crop)]
        if time.monotonic() > end:
            break
    if not own:
        wanted = "picture of a face" if crop == "face" else "picture"
        raise ValueError(f"there is no {wanted} that can be read: give JPEG, HEIC, PNG or WebP, or a zip of them")
    return np.ascontiguousarray(np.stack(own).transpose(0, 2, 3, 1))


def _pictures(files: Sequence[str | Path]) -> Iterator[Path | IO[bytes]]:
    for path in map(Path, files):
        if path.suffix.lower() == ".zip":
            yield from _unzipped(path)
        elif is_image(path.name) and path.stat().st_size <= MAX_PHOTO:
            yield path


def _unzipped(path: Path) -> Iterator[IO[bytes]]:
    """The pictures in a zip, each unpacked into memory. Raises ValueError for a zip that cannot be read."""
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not is_image(entry.filename) or entry.file_size > MAX_PHOTO:
                    continue
                with suppress(Exception):  # damaged, encrypted, or packed in a way that nobody knows
                    yield io.BytesIO(archive.read(entry))  # never more than its file_size
    except (OSError, struct.error, zipfile.BadZipFile):
        raise ValueError("this zip cannot be read: pack it anew") from None


def _check_directory(path: Path) -> None:
    """Refuse a zip of a million names before zipfile reads them all: that takes half a minute and gigabytes."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - ZIP_END.size - 2**16 - 20))  # a comment, and the record of ZIP64
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if ZIP_END.unpack_from(tail, at)[5] > MAX_DIRECTORY or tail[max(0, at - 20) :].startswith(ZIP64_END):
        raise ValueError("this zip holds too many files: give a smaller one")
