"""From a photo to a face: the search for the latent whose face comes nearest, while others go on drawing theirs."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from dcgan.demo import requests, uploads, zerogpu
from dcgan.demo.studio import DIGITS, Studio
from dcgan.latent.inversion import Finder, Progress, search_with_gpu
from dcgan.pictures import Pixels
from dcgan.sampling import render

LIMITS = 10.0, 300  # seconds and steps, whichever is over first
SHOWN = 0.25  # seconds between two looks at a search


@dataclass(frozen=True)
class Search:
    """A search for a photo's face: what is looked for (its crop), and the best found so far.

    target, face: [S, S, nc]. origin: the z [nz] of `face`, rounded. error: mean difference from the target, in grey
    levels. done: 0 to 1. face_found: false where the crop is only the photo's centre.
    """

    target: Pixels
    face: Pixels
    origin: list[float]
    error: float
    done: float
    face_found: bool


def find(studio: Studio, photo: str | Path, checkpoint: str = "") -> Iterator[Search]:
    """Search for the latent whose face is nearest to a photo's, some times a second; it takes about ten seconds.

    Nothing of the photo is kept.
    """
    name = studio.shelf.name(checkpoint)
    finder = studio.finder(name)
    with studio.turns.politely():
        crop = finder.crop(uploads.photo(photo))
    target = crop.pixels.permute(1, 2, 0).numpy()
    shown = -math.inf
    for progress in _search(studio, finder, crop.pixels):
        if progress.done < 1 and time.monotonic() - shown < SHOWN:
            continue
        z = (progress.z.clamp(-requests.MAX_Z, requests.MAX_Z) * 10**DIGITS).round() / 10**DIGITS
        with studio.turns.politely():
            face = render(studio.shelf.checkpoint(name).generator, z[None])[0].permute(1, 2, 0).numpy()
        error = float(np.abs(face.astype(np.int16) - target).mean())
        origin = [round(value, DIGITS) for value in z.tolist()]
        yield Search(target, face, origin, error, progress.done, crop.face)
        shown = time.monotonic()


def _search(studio: Studio, finder: Finder, target: Tensor) -> Iterator[Progress]:
    if zerogpu.LENT:
        with suppress(Exception):  # no GPU is free, or this visitor has had their share: it is done here
            yield from search_with_gpu(finder, target, *LIMITS)
            return
    search = finder.search(target, *LIMITS)
    while True:
        with studio.turns.politely():  # a step at a time: a search that nobody follows any more holds up nobody
            progress = next(search, None)
        if progress is None:
            return
        yield progress
