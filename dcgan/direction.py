"""A named way through latent space, and the file that keeps them."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dcgan.files import reason, writing
from dcgan.model import Generator, fingerprint

FORMAT = 1
REACH = 4  # deviations of z; along any given line, one latent in 16,000 lies farther out
NAME = re.compile(r"[^,:]{1,40}")  # a link's separators are in no name


class Unfit(ValueError):
    """A whole file, but not for this program or these weights."""


@dataclass(frozen=True, eq=False)
class Direction:
    """A way through latent space: z + t * vector, t from low to high.

    vector: float32 [nz] of length 1, so that t counts standard deviations of z. low < 0 < high: how far faces stay
    faces. kind: "number" (age, say), "trait" (what a face has or has not) or "principal". ends: what low and high
    mean, where the name does not say it. effects: the mean of many faces at t = 2 less that at t = -2, of each number
    in its unit, of each trait in its probability. share: of the generator's response.
    Raises ValueError for what cannot be a direction.
    """

    name: str
    kind: str
    vector: Tensor
    low: float
    high: float
    ends: tuple[str, ...] = ()
    effects: dict[str, float] = field(default_factory=dict)
    share: float = 0.0

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or not self.name.strip():
            raise ValueError(f"a direction must have a name without , and :, not {self.name!r}")
        if not -REACH <= self.low < 0 < self.high <= REACH:
            raise ValueError(f"the range of {self.name} is {self.low} to {self.high}")
        if not all(map(math.isfinite, [self.share, *self.effects.values()])):
            raise ValueError(f"the effects of {self.name} are not finite")
        if not abs(self.vector.norm() - 1) < 1e-3:
            raise ValueError(f"the vector of {self.name} has not length 1")
        if len(self.ends) not in (0, 2) or not all(isinstance(text, str) for text in (self.kind, *self.ends)):
            raise ValueError(f"the ends of {self.name} are no two words")


def save_directions(path: Path, directions: tuple[Direction, ...], generator: Generator) -> None:
    """Write them, whole or not at all, with a fingerprint of the generator's weights that they belong to."""
    about = [{name: value for name, value in vars(each).items() if name != "vector"} for each in directions]
    vectors = [each.vector for each in directions] or [torch.empty(0, generator.config.nz)]
    metadata = {"format": str(FORMAT), "generator": fingerprint(generator), "directions": json.dumps(about)}
    with writing(path) as temporary:
        save_file({"vectors": torch.vstack(vectors)}, temporary, metadata)
        temporary.chmod(0o644)


def load_directions(path: Path, generator: Generator) -> tuple[Direction, ...]:
    """The directions in a file.

    Raises ValueError, in one line, if the file is damaged, of a newer format, or was fitted for other weights.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata, vectors = file.metadata(), file.get_tensor("vectors").float()
        if int(metadata["format"]) != FORMAT:
            raise Unfit(f"'{path}' has format {metadata['format']}, this program reads {FORMAT}: update it")
        if metadata["generator"] != fingerprint(generator):
            raise Unfit(f"'{path}' was fitted for other weights: fit it anew with python -m dcgan directions")
        about = json.loads(metadata["directions"])
        if vectors.shape != (len(about), generator.config.nz):
            raise ValueError(f"vectors of shape {tuple(vectors.shape)} for {len(about)} directions")
        found = tuple(
            Direction(vector=vector, ends=tuple(each.pop("ends", ())), **each)
            for vector, each in zip(vectors, about, strict=True)
        )
        if len({each.name for each in found}) < len(found):
            raise ValueError("two directions have the same name")
    except Unfit:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"'{path}' is damaged ({reason(error)}): fit or fetch it anew") from None
    return found
