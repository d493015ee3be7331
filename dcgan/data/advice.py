"""Whether photos would better be cropped to their faces than to their centre."""

from contextlib import suppress

import numpy as np
from PIL import Image

from dcgan.data.crop import upright
from dcgan.data.faces import find_faces, side
from dcgan.data.sources import DataError, open_source

SAMPLE = 16  # photos that are looked at
LOOK = 640  # pixels: the longer side of a photo as it is looked at
LARGE = 4  # times the side that is trained on: of a photo much larger than needed
SMALL, OFF = 0.4, 0.2  # of a photo's shorter side: a face of less, or further from the middle, is off-centre


def wants_faces(dataroot: str, size: int) -> bool:
    """Whether more than half of a folder's or zip's pictures are large, with a face that is small or off the centre.

    Judged by a sample, within seconds; False where nothing can be told.
    """
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
