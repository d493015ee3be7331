"""What visitors give: photos, within bounds. A ValueError is one line for the visitor."""

import os
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from dcgan.data.images import load_images
from dcgan.data.sources import DataError, open_photo, open_source
from dcgan.pictures import Pixels

MAX_PHOTO = 40 * 2**20  # bytes
PHOTO_SIDE = 2048  # pixels: larger photos are made smaller
MAX_OWN = 500  # pictures of a visitor ...
MAX_OWN_PIXELS = 2 * 10**9  # ... with so many pixels in all: half a minute
MAX_DIRECTORY = 2**20  # bytes of a zip's directory: some 10,000 names
MAX_UNPACKED = 2**30  # bytes of what a zip holds
ZIP_DIRECTORY = 5  # where its size stands in the record that ends a zip


def photo(path: str | Path) -> Image.Image:
    try:
        if Path(path).stat().st_size > MAX_PHOTO:
            raise ValueError(f"this photo is larger than {MAX_PHOTO >> 20} MB: give a smaller one")
        return open_photo(path, PHOTO_SIDE)
    except (DataError, OSError) as error:
        raise ValueError(str(error) if isinstance(error, DataError) else "this photo is no longer there") from None


def own_photos(files: Sequence[str], image_size: int, nc: int) -> Pixels:
    """Pictures, or a zip of them, cropped and resized as training does it: uint8 [N, nc, S, S].

    Up to 500 are read, and nothing is kept. The files stay: another visitor may have given the same ones.
    """
    if not files:
        raise ValueError("give pictures, or a zip of them")
    with tempfile.TemporaryDirectory(dir=Path(files[0]).parent) as folder:
        pictures, cache = Path(folder, "pictures"), Path(folder, "cache")
        pictures.mkdir()
        linked = [pictures / f"{i:04d}{Path(f).suffix.lower()}" for i, f in enumerate(files)]
        for file, link in zip(files, linked, strict=True):
            os.link(file, link)
        archive = next((path for path in linked if path.suffix == ".zip"), None)
        try:
            _check_size(archive or pictures)
            images = load_images(str(archive or pictures), image_size, nc, 0, MAX_OWN, cache, False)
        except DataError as error:
            said, unreadable, _ = str(error).replace(f"{archive or pictures}", "what you gave").partition("can be read")
            raise ValueError(f"{said}{unreadable}: give JPEG, PNG or WebP" if unreadable else said) from None
        return np.array(images.pixels)


def _check_size(source: Path) -> None:
    """Refuse a visitor's pictures, a folder or a zip, that would take minutes to read. Raises ValueError, DataError."""
    if source.is_file():
        with source.open("rb") as file:
            end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # before a million entries are read
        if end and end[ZIP_DIRECTORY] > MAX_DIRECTORY:
            raise ValueError("this zip holds too many files: give a smaller one")
    found, pixels = open_source(str(source)), 0
    if source.is_file():
        with zipfile.ZipFile(source) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
                raise ValueError(f"this zip unpacks to more than {MAX_UNPACKED >> 20:,} MB: give a smaller one")
    for index in range(min(len(found.names), MAX_OWN)):
        with suppress(Exception), found.open(index) as image:  # what cannot be read is skipped later
            pixels += image.width * image.height
    if pixels > MAX_OWN_PIXELS:
        raise ValueError(f"these pictures have more than {MAX_OWN_PIXELS // 10**6:,} million pixels: give fewer")
