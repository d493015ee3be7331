"""Real images at hand: which of them a face comes closest to, and whether so close is a copy."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from dcgan.data import Images
from dcgan.metrics import evenly, nearest

MIN_HELDOUT = 50  # fewer say little about how close a stranger comes
MAX_HELDOUT = 400  # more would take long and say the same
SIDE = 32  # pixels: faces are compared at this size
COARSE = 8
ROUNDING = 2.0  # grey levels that rounding to whole ones can add to a distance


@dataclass(frozen=True)
class Likeness:
    """The reals most like a face, the closest first.

    images: uint8 [K, nc, S, S]. distances: RMS over 32 x 32 pixels, in grey levels, mirrored where that is closer.
    closer_than: the share (0 to 1) of held-out images that are not as close to any training image; None where too
    few are held out.
    """

    images: Tensor
    distances: list[float]
    closer_than: float | None


class Reals:
    """Images, with what is needed to judge a face by them. Slow parts are computed when first asked for."""

    def __init__(self, images: Images):
        self.images = images
        self.pixels = images.pixels
        self.heldout = evenly(np.flatnonzero(images.heldout), MAX_HELDOUT)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def enough_heldout(self) -> bool:
        return len(self.heldout) >= MIN_HELDOUT

    def closest(self, face: Tensor, count: int) -> Likeness:
        """The `count` training images that come closest to a face, uint8 [nc, S, S]."""
        small = _shrunk(face[None])
        # Averaging brings pictures closer together, never apart: whoever is too far at 8 x 8 is so at 32 x 32.
        bounds = nearest(self._coarse, _shrunk(small, COARSE))
        few = bounds.argsort()[: max(count, 64)]
        limit = nearest(self._small[few], small).sort().values[:count][-1] + ROUNDING
        candidates = (bounds <= limit).nonzero().flatten()
        distances, order = nearest(self._small[candidates], small).sort()
        best = candidates[order[:count]]
        closer_than = None
        if self.enough_heldout:
            closer_than = float((self._strangers > distances[0]).float().mean())
        images = self.images.batch(self.images.training[best.numpy()])
        return Likeness(images, [round(float(d), 2) for d in distances[:count]], closer_than)

    @cached_property
    def _small(self) -> Tensor:
        pieces = np.array_split(self.images.training, -(-len(self.images.training) // 256))
        return torch.cat([_shrunk(self.images.batch(piece)) for piece in pieces])

    @cached_property
    def _coarse(self) -> Tensor:
        return torch.cat([_shrunk(piece, COARSE) for piece in self._small.split(256)])

    @cached_property
    def _strangers(self) -> Tensor:
        """How close each held-out image comes to the training images."""
        return nearest(_shrunk(self.images.batch(self.heldout)), self._small)


def _shrunk(images: Tensor, side: int = SIDE) -> Tensor:
    scale = max(images.shape[-1] // side, 1)
    return avg_pool2d(images.float(), scale).round().to(torch.uint8)
