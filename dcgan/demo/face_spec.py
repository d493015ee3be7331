"""Face specification -> latent, the same arithmetic as explorer/latents.js.

A specification is a mapping, all of it optional: seed, truncation, edits {dimension: value}, directions {name: standard
deviations}, walk [numbers of neighbours], origin (a z in the seed's place) and shift (a z that is added). It is
untrusted: an error is a ValueError with one line for the visitor.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dcgan import latents
from dcgan.checkpoint import Checkpoint
from dcgan.demo import requests
from dcgan.pictures import GRID

FIELDS = ("seed", "truncation", "edits", "directions", "walk", "origin", "shift")
MAX_TRUNCATION = 2.0
MAX_WALK = 50  # neighbours
STEP = 0.35  # radians between a face and its neighbours: a different face, clearly akin


def latent_of(checkpoint: Checkpoint, spec: Mapping[str, Any]) -> Tensor:
    """The z [nz] of a specification.

    Applied in this order: seed or origin, walk, truncation (0 to 2), edits (-6 to 6), directions, shift.
    """
    for name in spec:
        requests.choice(name, "what makes a face", FIELDS)
    nz = checkpoint.model.nz
    start = latents.latent(requests.seed(spec.get("seed", 0)), nz)
    if (origin := spec.get("origin")) is not None:
        start = requests.latent(origin, "origin", nz)
    walk = [] if spec.get("walk") is None else spec["walk"]
    if not isinstance(walk, list) or len(walk) > MAX_WALK:
        raise ValueError(f"walk must be a list of at most {MAX_WALK} numbers, not {requests.short(walk)}")
    for step in walk:  # a rotation: |z| stays what the generator was trained on
        neighbour = latents.latent(requests.seed(step, "a step of the walk"), nz)
        start = math.cos(STEP) * start + math.sin(STEP) * neighbour
    z = requests.number(spec.get("truncation", 1.0), "truncation", 0.0, MAX_TRUNCATION) * start
    for key, value in requests.mapping(spec.get("edits"), "edits").items():
        number = int(key) if isinstance(key, str) and key.isdecimal() and len(key) < 6 else key  # JSON has strings
        dimension = requests.whole(number, "dimension", 0, nz - 1)
        z[dimension] = requests.number(value, f"dimension {dimension}", -requests.MAX_Z, requests.MAX_Z)
    known = {direction.name: direction for direction in checkpoint.directions}
    for name, amount in requests.mapping(spec.get("directions"), "directions").items():
        direction = known[requests.choice(name, "direction", known)]
        z += requests.number(amount, name, direction.low, direction.high) * direction.vector
    shift = spec.get("shift")
    return z if shift is None else z + requests.latent(shift, "shift", nz)


def latents_of(checkpoint: Checkpoint, faces: Any) -> Tensor:
    """The z [N, nz] of 1 to 64 faces, each a seed or a specification."""
    if not isinstance(faces, list | tuple) or not 1 <= len(faces) <= GRID**2:
        raise ValueError(f"choose 1 to {GRID**2} faces for each part")
    specs = [face if isinstance(face, dict) else {"seed": face} for face in faces]
    return torch.stack([latent_of(checkpoint, spec) for spec in specs])
