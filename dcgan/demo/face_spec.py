"""What a face is made of, as pages and scripts ask for it, and the latent that this is (latents.js does the same).

A state is a mapping: seed, truncation, edits {dimension: value}, directions {name: standard deviations}, walk [the
numbers of neighbours], origin (a latent in the seed's place) and shift (one that is added). All come from strangers:
what is wrong is a ValueError, one line for the visitor.
"""

import math
from typing import Any

import torch
from torch import Tensor

from dcgan import latents
from dcgan.checkpoint import Checkpoint
from dcgan.demo import requests
from dcgan.pictures import GRID

MAX_TRUNCATION = 2.0
NEIGHBOURS = 8
STEP = 0.35  # radians from a face to its neighbours: clearly another face, clearly akin


def walked_latent(nz: int, seed: int = 0, walk: list[int] | None = None, origin: list[float] | None = None) -> Tensor:
    """The z [nz] of a seed or origin, and of the neighbours walked to from there."""
    z = latents.latent(requests.seed(seed), nz) if origin is None else requests.latent(origin, "origin", nz)
    for number in requests.walk(walk):  # turned and not moved: a walk stays where the generator was trained
        z = math.cos(STEP) * z + math.sin(STEP) * latents.latent(number, nz)
    return z


def latent_of(
    checkpoint: Checkpoint,
    seed: int = 0,
    truncation: float = 1.0,
    edits: dict[Any, float] | None = None,
    directions: dict[str, float] | None = None,
    walk: list[int] | None = None,
    origin: list[float] | None = None,
    shift: list[float] | None = None,
) -> Tensor:
    """The z [nz] of a state: seed or origin, walk, truncation (0 to 2), edits (-6 to 6), directions, shift, in turn."""
    nz = checkpoint.model.nz
    z = requests.number(truncation, "truncation", 0.0, MAX_TRUNCATION) * walked_latent(nz, seed, walk, origin)
    for dimension, value in requests.edits(edits, nz).items():
        z[dimension] = value
    known = {direction.name: direction for direction in checkpoint.directions}
    for name, amount in requests.mapping(directions, "directions").items():
        direction = known[requests.choice(name, "direction", tuple(known))]
        z += requests.number(amount, name, direction.low, direction.high) * direction.vector
    return z if shift is None else z + requests.latent(shift, "shift", nz)


def latents_of(checkpoint: Checkpoint, faces: Any, most: int = GRID**2) -> Tensor:
    """The z [N, nz] of a list of 1 to `most` faces, each a seed or a state."""
    if not isinstance(faces, list | tuple) or not 1 <= len(faces) <= most:
        raise ValueError(f"choose 1 to {most} faces for each part")
    recipes = [face if isinstance(face, dict) else {"seed": face} for face in faces]
    try:
        return torch.stack([latent_of(checkpoint, **recipe) for recipe in recipes])
    except TypeError:
        raise ValueError("a face is a seed, or a mapping of what makes it: seed, truncation, edits, ...") from None
