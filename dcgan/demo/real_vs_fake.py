"""Real vs fake: real images for the page's grids and its quiz, and pairs of grids for scripts."""

from dataclasses import dataclass

import numpy as np

from dcgan.data.avatars import SOURCE
from dcgan.data.sources import DataError
from dcgan.demo import requests
from dcgan.demo.real_images import RealSet, StillReading
from dcgan.demo.sentences import Sentences, spelled
from dcgan.demo.studio import Studio
from dcgan.pictures import GRID, Pixels, grid

MAX_SHUFFLE = 999_999
PAIRS = 20  # of the quiz


@dataclass(frozen=True)
class Reals:
    """Real images beside which the fakes of `checkpoint` are shown.

    pixels: uint8 [N, S, S, nc]; None where no real images can be had. note: what real and fake are.
    """

    pixels: Pixels | None
    checkpoint: str
    note: Sentences


def reals(studio: Studio, checkpoint: str = "", shuffle: int = 0) -> Reals:
    """64 real images, the same ones for the same `shuffle` number (0 to 999,999).

    Where the training images of the checkpoint are not at hand, those of the built-in checkpoint stand in, to be shown
    with that checkpoint's fakes, and the note says so.
    """
    shuffle = requests.whole(shuffle, "shuffle", 0, MAX_SHUFFLE)
    found, name, note = _find(studio, checkpoint)
    pixels = found.pixels(np.random.default_rng(shuffle).permutation(len(found))[: GRID**2]) if found else None
    return Reals(pixels, name, note)


def quiz(studio: Studio, checkpoint: str = "") -> Reals:
    """Twenty real images at random, or all where there are fewer.

    They are held-out ones, which the discriminator never saw, if there are enough.
    """
    found, name, note = _find(studio, checkpoint)
    if found is None:
        return Reals(None, name, note)
    chosen = found.heldout if len(found.heldout) >= PAIRS else np.arange(len(found))
    return Reals(found.pixels(np.random.default_rng().permutation(chosen)[:PAIRS]), name, note)


def grids(studio: Studio, shuffle: int = 0, checkpoint: str = "") -> tuple[Pixels, Pixels, str]:
    """Grids [8 S, 8 S, nc] of `reals` and of the fakes of seeds 64 * shuffle and on, and what they show.

    Raises ValueError where there are no real images.
    """
    shuffle = requests.whole(shuffle, "shuffle", 0, MAX_SHUFFLE)
    real = reals(studio, checkpoint, shuffle)
    if real.pixels is None:
        raise ValueError(spelled(real.note))
    seeds = range(shuffle * GRID**2, (shuffle + 1) * GRID**2)
    return grid(real.pixels), grid(studio.faces(list(seeds), real.checkpoint)), spelled(real.note)


def _find(studio: Studio, checkpoint: str) -> tuple[RealSet | None, str, Sentences]:
    """Real images, the checkpoint whose fakes belong beside them, and what both are."""
    name = studio.checkpoints.name(checkpoint)
    opened = studio.checkpoints.get(name)
    try:
        found = studio.real_images.get(opened)
        real = "Real: {count} drawn faces." if opened.is_drawn else "Real: {count} photos."
        return found, name, [(real, {"count": len(found)}), _fake(name)]
    except StillReading:
        reason = "The photographs are still being read: meanwhile, drawn faces."
    except DataError:
        reason = "There are no photographs here: drawn faces stand in for them."
    # The built-in checkpoint with its own pair; without it this one's fakes beside drawn faces.
    drawn = [other for other in studio.checkpoints.names if studio.checkpoints.get(other).is_drawn]
    name = next(iter(drawn), name)
    try:
        found = studio.real_images.get(studio.checkpoints.get(name), SOURCE)
        return found, name, [(reason, {}), _fake(name)]
    except DataError:
        return None, name, [("There are no photographs here: only fakes can be shown.", {}), _fake(name)]


def _fake(name: str) -> tuple[str, dict[str, str]]:
    return "Fake: made up by {name}.", {"name": name}
