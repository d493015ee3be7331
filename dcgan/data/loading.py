"""The images that a --dataroot names, and what is said of them: while they are loaded, and as advice."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from dcgan.data.cache import cache_directory
from dcgan.data.crop import SOFT, upright
from dcgan.data.faces import find_faces, side
from dcgan.data.images import Images
from dcgan.data.packing import INDEX, Shape, packed
from dcgan.data.sources import ARCHIVES, FILMS, SUFFIXES, Source, open_source, printable
from dcgan.errors import DataError

SHOWN = 3  # names in one line
SAMPLE = 16  # photos that are looked at
LOOK = 640  # pixels: the longer side of a photo as it is looked at
LARGE = 4  # times the side that is trained on: of a photo much larger than needed
SMALL, OFF = 0.4, 0.2  # of a photo's shorter side: a face of less, or further from the middle, is off-centre
NOTES = dict.fromkeys(FILMS, " (a film: give it alone as --dataroot)")  # on files that are left out, by their ending
NOTES |= dict.fromkeys(ARCHIVES, " (an archive: unpack it)")


def load_images(
    source: str | Source,
    image_size: int,
    nc: int = 3,
    workers: int = 2,
    limit: int | None = None,
    cache: Path | None = None,
    progress: bool = True,
    crop: str = "centre",
    every: float = 1.0,
) -> Images:
    """The images of a source at `image_size`, from the cache or decoded now.

    source: what `open_source` takes, or one that is open. workers: processes that decode. limit: the first so many.
    cache: by default that of the user. progress: False prints nothing. crop: one of CROPS. every: seconds, of a film.
    Of several processes that load the same images one decodes them, and the others wait.
    Raises DataError if there is nothing to read, or no room for the cache.
    """
    found, source = (open_source(source, limit, every), source) if isinstance(source, str) else (source, source.name)
    if limit is not None:
        found.names = found.names[:limit]
    _check_found(found, source, progress)
    images = packed(found, Shape(image_size, nc, crop), workers, cache or cache_directory(), progress)
    count = len(found.names)
    if images.skipped and progress:
        skipped = (f"{printable(name)} ({why})" for name, why in images.skipped)
        print(f"{len(images.skipped)} of {count} files cannot be used and were skipped: {_some(skipped, images)}")
    least = f"of {image_size // SOFT} px or more "  # smaller faces are left out
    if crop == "face" and progress:
        photos = len(set(images.names))
        none = f"; none {least}in {_some(map(printable, images.faceless), images)}" if images.faceless else ""
        print(f"{len(images)} faces in {photos} of {photos + len(images.faceless)} photos{none}")
    if images.faceless and not images:
        raise DataError(
            f"no face {least}in any of the {count} images in '{source}': train.py --crop centre trains on all"
        )
    if not images:
        raise DataError(f"none of the {count} images in '{source}' can be read: {images.skipped[0][1]}")
    return images


def _check_found(found: Source, source: str, progress: bool) -> None:
    """Say what of a source is left out. Raises DataError if nothing is left."""
    others = found.others.most_common()
    kinds = _some(f"{n} {printable(suffix) or 'without ending'}{NOTES.get(suffix, '')}" for suffix, n in others)
    if not found.names:
        there = [f"other files only ({kinds})"] * bool(kinds) + ["what this program wrote"] * bool(found.own)
        nothing = " and ".join(there) or "nothing"
        raise DataError(f"no images in '{source}': looked for {' '.join(SUFFIXES)} there and below, found {nothing}")
    if found.own and progress:
        print(f"what this program wrote is not trained on: {_some(map(printable, found.own))}")
    if kinds and progress and not source.startswith("hf://"):
        print(f"left out as no pictures: {kinds}")


def _some(items: Iterable[str], images: Images | None = None) -> str:
    """The first of some items, and how many more there are; images: of whose index lists all of them."""
    items = list(items)
    listed = f", listed in {images.folder}/{INDEX}" if images is not None else ""
    return ", ".join(items[:SHOWN]) + f" and {len(items) - SHOWN:,} more{listed}" * (len(items) > SHOWN)


def wants_faces(dataroot: str, size: int) -> bool:
    """Whether more than half of a sample of pictures are large, with a face that is small or off the centre."""
    with suppress(DataError):
        source = open_source(dataroot)
        sample = sorted({round(i) for i in np.linspace(0, len(source.names) - 1, SAMPLE)})
        found = 0
        for done, index in enumerate(sample):
            with suppress(Exception), source.open(index) as photo:  # one that cannot be read says nothing
                found += min(photo.size) >= LARGE * size and _off_centre(photo)
            if 2 * found > len(sample) or 2 * (found + len(sample) - done - 1) <= len(sample):
                break
        return 2 * found > len(sample)
    return False


def _off_centre(photo: Image.Image) -> bool:
    """Whether the largest face of a photo is not what a crop to its centre shows."""
    photo.thumbnail((LOOK, LOOK))  # a JPEG is not decoded whole
    photo = upright(photo, 3)
    faces, short = find_faces(photo), min(photo.size)
    if not faces:
        return False
    away = np.abs(faces[0].mean(0) - np.array(photo.size) / 2).max()
    return side(faces[0]) < SMALL * short or away > OFF * short
