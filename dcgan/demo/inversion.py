"""Photo -> face for visitors: the inversion of an uploaded photo, on a lent GPU where there is one, step by step."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from torch import Tensor

from dcgan.demo import uploads
from dcgan.demo.studio import Studio, origin
from dcgan.device import find_device
from dcgan.latent.inversion import Inversion, Progress
from dcgan.pictures import Pixels

LIMITS = 10.0, 300  # seconds and steps of a search, whichever is over first
SHOWN = 0.25  # seconds between two results
# ZeroGPU: Spaces on that hardware lend a GPU to a function while it runs.
LENT = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true") and find_spec("spaces") is not None
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
    image = uploads.photo(photo)
    inversion = studio.inversion(checkpoint)
    crop = inversion.crop(image)
    target = crop.pixels.permute(1, 2, 0).numpy()
    shown = -math.inf
    for progress in _search(inversion, crop.pixels):
        if progress.done < 1 and time.monotonic() - shown < SHOWN:
            continue
        z = origin(progress.z)
        face = studio.face(checkpoint=checkpoint, origin=z)
        error = float(np.abs(face.astype(np.int16) - target).mean())
        yield Found(target, face, z, error, progress.done, crop.face)
        shown = time.monotonic()


def _search(inversion: Inversion, target: Tensor) -> Iterator[Progress]:
    """The search on a lent GPU, or here where no GPU is to be had; an error of the search itself is raised."""
    steps = inversion.search(target, *LIMITS)
    if LENT:
        with suppress(Exception):  # no GPU is free, or this visitor has used up their share
            on_gpu = lent_search(inversion, target)
            next(on_gpu)
            steps = on_gpu
    yield from steps


def _search_on_gpu(inversion: Inversion, target: Tensor) -> Iterator[Progress | None]:
    """None as soon as it runs on the GPU, in a process of its own: what goes there and back is on the CPU."""
    yield None
    yield from inversion.to(find_device()).search(target, *LIMITS)


if LENT:  # at import, since such a Space ends if nothing wants a GPU when it starts
    import spaces

    lent_search = spaces.GPU(duration=LENT_FOR)(_search_on_gpu)
