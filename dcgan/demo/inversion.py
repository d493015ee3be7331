"""Photo -> face for visitors: the inversion of an uploaded photo, on a lent GPU where there is one, step by step."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dcgan.demo import requests, uploads, zerogpu
from dcgan.demo.studio import DIGITS, Studio
from dcgan.latent.inversion import Inversion, Progress
from dcgan.pictures import Pixels
from dcgan.sampling import render

LIMITS = 10.0, 300  # seconds and steps of a search, whichever is over first
SHOWN = 0.25  # seconds between two results
LENT_FOR = 20  # seconds that a search has a GPU for: it takes a few, the rest is for getting there


@dataclass(frozen=True)
class Found:
    """The best face so far.

    target, face: [S, S, nc], the photo's crop and the generated face. origin: the z [nz] of `face`, rounded. error:
    mean difference of the two, in grey levels. done: 0 to 1. face_found: false where the crop is the photo's centre.
    """

    target: Pixels
    face: Pixels
    origin: list[float]
    error: float
    done: float
    face_found: bool


def find(studio: Studio, photo: str | Path, checkpoint: str = "") -> Iterator[Found]:
    """Search for the latent whose face is nearest to a photo's, with a result some times a second for ten seconds.

    Nothing of the photo is kept. Raises ValueError for a file that is no photo.
    """
    generator = studio.checkpoints.generator(checkpoint)
    image = uploads.photo(photo)
    inversion = studio.inversion(checkpoint)
    crop = inversion.crop(image)
    target = crop.pixels.permute(1, 2, 0).numpy()
    shown = -math.inf
    for progress in _search(inversion, crop.pixels):
        if progress.done < 1 and time.monotonic() - shown < SHOWN:
            continue
        z = (progress.z.clamp(-requests.MAX_Z, requests.MAX_Z) * 10**DIGITS).round() / 10**DIGITS
        face = render(generator, z[None])[0].permute(1, 2, 0).numpy()
        error = float(np.abs(face.astype(np.int16) - target).mean())
        origin = [round(value, DIGITS) for value in z.tolist()]
        yield Found(target, face, origin, error, progress.done, crop.face)
        shown = time.monotonic()


def _search(inversion: Inversion, target: Tensor) -> Iterator[Progress]:
    """The search on a lent GPU, or here where no GPU is to be had; an error of the search itself is raised."""
    steps: Iterator[Progress | None] = _search_on_gpu(inversion, target) if zerogpu.LENT else iter(())
    try:
        has_gpu = zerogpu.LENT and next(steps) is None
    except Exception:  # no GPU is free, or this visitor has used up their share
        has_gpu = False
    for progress in steps if has_gpu else inversion.search(target, *LIMITS):
        if progress is not None:
            yield progress


@zerogpu.on_gpu(LENT_FOR)
def _search_on_gpu(inversion: Inversion, target: Tensor) -> Iterator[Progress | None]:
    """None as soon as it runs on the GPU, then the search."""
    yield None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    yield from inversion.to(device).search(target, *LIMITS)
