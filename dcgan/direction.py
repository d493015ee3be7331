"""A named direction of latent space, and the file of a checkpoint's directions."""

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from dcgan.errors import reason
from dcgan.files import opened_tensors, writing
from dcgan.model import Generator, fingerprint

FORMAT = 1
REACH = 4  # standard deviations of z; along any line, one latent in 16,000 lies farther out
NAME = re.compile(r"[^,:]{1,40}")  # , and : separate names in a link


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction of latent space: z + t * vector, t from low to high.

    vector: float32 [nz] of length 1, so that t counts standard deviations of z. low < 0 < high: the range in which
    faces stay faces. kind: "number" (such as age) or "trait" (present or not); "principal" in files of earlier
    versions. ends: names of the two ends, where the direction's own does not say it. effects: by reading, its mean at
    t = 2 less that at t = -2, in deviations of it. fit: the share of the reading's variance, on samples not fitted to,
    that is linear in z. share: of the generator's whole response, of principal ones.
    Raises ValueError for values that make no direction.
    """

    name: str
    kind: str
    vector: Tensor
    low: float
    high: float
    ends: tuple[str, ...] = ()
    effects: dict[str, float] = field(default_factory=dict)
    share: float = 0.0
    fit: float = 0.0

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or not self.name.strip():
            raise ValueError(f"a direction must have a name without , and :, not {self.name!r}")
        if not -REACH <= self.low < 0 < self.high <= REACH:
            raise ValueError(f"the range of {self.name} is {self.low} to {self.high}")
        if not all(map(math.isfinite, [self.share, self.fit, *self.effects.values()])):
            raise ValueError(f"the effects of {self.name} are not finite")
        if not abs(self.vector.norm() - 1) < 1e-3:
            raise ValueError(f"the vector of {self.name} has not length 1")
        if len(self.ends) not in (0, 2) or not all(isinstance(text, str) for text in (self.kind, *self.ends)):
            raise ValueError(f"the ends of {self.name} are no two words")


def save_directions(path: Path, directions: tuple[Direction, ...], generator: Generator) -> None:
    """Write directions, whole or not at all, with the fingerprint of the generator that they were fitted for."""
    about = [{name: value for name, value in vars(each).items() if name != "vector"} for each in directions]
    vectors = [each.vector for each in directions] or [torch.empty(0, generator.config.nz)]
    metadata = {"format": str(FORMAT), "generator": fingerprint(generator), "directions": json.dumps(about)}
    with writing(path) as temporary:
        save_file({"vectors": torch.vstack(vectors)}, temporary, metadata)
        with suppress(OSError):  # a disk without permissions
            temporary.chmod(0o644)  # safetensors writes 0o600


def load_directions(path: Path, generator: Generator) -> tuple[Direction, ...]:
    """Read the directions of a generator.

    Raises ValueError, in one line, if the file is damaged, of a newer format, or was fitted for other weights.
    """
    try:
        with opened_tensors(path) as file:
            metadata, vectors = file.metadata(), file.get_tensor("vectors").float()
        version = metadata["format"]
        if version == str(FORMAT) and metadata["generator"] == fingerprint(generator):
            return _parsed(json.loads(metadata["directions"]), vectors, generator.config.nz)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"'{path}' is damaged ({reason(error)}): fit or fetch it anew") from None
    if version != str(FORMAT):
        raise ValueError(f"'{path}' has format {version[:20]!r}, this program reads {FORMAT}: update it")
    raise ValueError(f"'{path}' was fitted for other weights: fit it anew with python -m dcgan directions")


def _parsed(about: list[dict[str, Any]], vectors: Tensor, nz: int) -> tuple[Direction, ...]:
    if vectors.shape != (len(about), nz):
        raise ValueError(f"vectors of shape {tuple(vectors.shape)} for {len(about)} directions")
    found = tuple(
        Direction(vector=vector, ends=tuple(each.pop("ends", ())), **each)
        for vector, each in zip(vectors, about, strict=True)
    )
    if len({direction.name for direction in found}) < len(found):
        raise ValueError("two directions have the same name")
    return found
