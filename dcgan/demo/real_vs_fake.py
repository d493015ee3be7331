"""Real beside fake: two grids, and a quiz."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcgan import latents
from dcgan.checkpoint import CheckpointError
from dcgan.data.avatars import SOURCE
from dcgan.data.sources import DataError
from dcgan.demo import requests
from dcgan.demo.real_images import Reals
from dcgan.demo.sentences import Sentences, spelled
from dcgan.demo.studio import Studio
from dcgan.pictures import GRID, Pixels, grid

MAX_SHUFFLE = 999_999
PAIRS = 20  # of the quiz


@dataclass(frozen=True)
class Pair:
    """Reals beside fakes: two grids [8 S, 8 S, nc], sentences that say what they are, and who made the fakes."""

    real: Pixels | None
    fake: Pixels
    note: Sentences
    checkpoint: str


@dataclass(frozen=True)
class Quiz:
    """pictures: [40, S, S, nc], left and right of each pair. fakes, discriminator: which is fake, which D would say."""

    pictures: Pixels
    fakes: list[int]
    discriminator: list[int]
    note: Sentences


def real_vs_fake(studio: Studio, shuffle: int = 0, checkpoint: str = "", own: Pixels | None = None) -> Pair:
    """64 reals beside 64 fakes, the same ones for the same `shuffle` number (0 to 999,999).

    The fakes are those of the seeds from 64 * shuffle on. `own`, uint8 [N, nc, S, S], are the visitor's reals. Where
    what the checkpoint learned from is not at hand, the built-in pair stands in, and the note says why.
    """
    shuffle = requests.whole(shuffle, "shuffle", 0, MAX_SHUFFLE)
    reals, _, name, note = _sides(studio, checkpoint, own)
    fakes = grid(studio.fakes(name, range(shuffle * GRID**2, (shuffle + 1) * GRID**2)))
    chosen = np.random.default_rng(shuffle).permutation(len(reals))[: GRID * GRID]
    return Pair(grid(reals[chosen].transpose(0, 2, 3, 1)) if len(reals) else None, fakes, note, name)


def quiz(studio: Studio, checkpoint: str = "", own: Pixels | None = None) -> Quiz:
    """Twenty pairs of a real and a fake, at random, with what the discriminator would say.

    The reals are held-out ones, where there are any: neither visitor nor discriminator has seen them.
    Raises ValueError where there are no reals, or no discriminator.
    """
    pixels, reals, name, note = _sides(studio, checkpoint, own)
    chosen = reals.heldout if reals is not None and len(reals.heldout) >= PAIRS else np.arange(len(pixels))
    if len(chosen) < PAIRS:
        raise ValueError(f"the quiz needs {PAIRS} real pictures, and there are {len(chosen)}. {spelled(note)}")
    rng = np.random.default_rng()
    real = pixels[rng.permutation(chosen)[:PAIRS]].transpose(0, 2, 3, 1)
    fake = studio.fakes(name, rng.integers(latents.MAX_SEED, size=PAIRS))
    try:
        fooled = studio.logits(name, fake) > studio.logits(name, real)
    except CheckpointError:
        raise ValueError("this checkpoint has no discriminator to play against") from None
    fakes = rng.integers(2, size=PAIRS)  # 0: left, 1: right
    pairs = [side for r, f, at in zip(real, fake, fakes, strict=True) for side in ((r, f) if at else (f, r))]
    return Quiz(np.stack(pairs), fakes.tolist(), np.where(fooled, 1 - fakes, fakes).tolist(), note)


def _sides(studio: Studio, checkpoint: str, own: Pixels | None) -> tuple[Pixels, Reals | None, str, Sentences]:
    """Real pixels [N, nc, S, S] (none if there are no reals at all), their Reals, a checkpoint, and a note."""
    name = studio.shelf.name(checkpoint)
    opened = studio.shelf.checkpoint(name)
    model = opened.model
    if own is not None and own.shape[1:] == (model.nc, model.image_size, model.image_size):
        return own, None, name, [("Real: {count} pictures of your own.", {"count": len(own)}), _fake(name)]
    try:
        reals = studio.reals.get(opened)
        at_hand = "Real: {count} drawn faces." if opened.is_drawn else "Real: {count} pictures at hand."
        return reals.pixels, reals, name, [(at_hand, {"count": len(reals)}), _fake(name)]
    except DataError as error:
        gaps = {"name": name, "reason": str(error)}
        reason = ("The pictures that {name} learned from cannot be shown: {reason}.", gaps)
    # Another checkpoint may be the built-in model; else this one's own fakes stand beside drawn faces.
    name = next((other for other in studio.shelf.names if studio.shelf.checkpoint(other).is_drawn), name)
    try:
        reals = studio.reals.get(studio.shelf.checkpoint(name), SOURCE)
        return reals.pixels, reals, name, [reason, ("Meanwhile, real: drawn faces.", {}), _fake(name)]
    except DataError as error:
        nothing = np.empty((0, model.nc, model.image_size, model.image_size), np.uint8)
        return nothing, None, name, [reason, ("Nor can drawn faces: {reason}.", {"reason": str(error)})]


def _fake(name: str) -> tuple[str, dict[str, Any]]:
    return "Fake: made up by the checkpoint {name}.", {"name": name}
