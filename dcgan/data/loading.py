"""The images that a --dataroot names, and what is said of them while they are loaded."""

from collections.abc import Iterable
from pathlib import Path

from dcgan.data.cache import cache_directory
from dcgan.data.images import Images
from dcgan.data.packing import INDEX, Shape, packed
from dcgan.data.sources import ARCHIVES, FILMS, SUFFIXES, DataError, Source, open_source, printable

SHOWN = 3  # names in one line
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

    source: a folder, a zip, "avatars" for the drawn faces, hf://datasets/OWNER/NAME, or one that is open.
    workers: processes that decode. limit: only the first so many. cache: by default that of the user. progress: False
    prints nothing. crop: "centre", or "face" for an image of each face. every: seconds
    between the frames of a film.
    Of several processes that load the same images one decodes them; the others wait, and find them packed.
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
    if crop == "face" and progress:
        print(_faces_found(images))
    if images.faceless and not images:
        raise DataError(f"no face in any of the {count} images in '{source}': train.py --crop centre trains on all")
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


def _faces_found(images: Images) -> str:
    """How many faces there are in how many photos, and in which there is none, in one line."""
    photos = len(set(images.names))
    line = f"{len(images)} faces in {photos} of {photos + len(images.faceless)} photos"
    return f"{line}; none in {_some(map(printable, images.faceless), images)}" if images.faceless else line


def _some(items: Iterable[str], images: Images | None = None) -> str:
    """The first of some items, and how many more there are; images: of whose index lists all of them."""
    items = list(items)
    listed = f", listed in {images.folder}/{INDEX}" if images is not None else ""
    return ", ".join(items[:SHOWN]) + f" and {len(items) - SHOWN:,} more{listed}" * (len(items) > SHOWN)
