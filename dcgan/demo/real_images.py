"""Real images at hand: which of them a face comes closest to, and whether so close is a copy."""

import os
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillReading
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from dcgan.checkpoint import Checkpoint
from dcgan.data.avatars import SOURCE
from dcgan.data.images import Images, load_images
from dcgan.data.sources import DataError, open_source
from dcgan.metrics.distances import evenly, nearest

MIN_HELDOUT = 50  # fewer say little about how close a stranger comes
MAX_HELDOUT = 400  # more would take long and say the same
SIDE = 32  # pixels: faces are compared at this size
COARSE = 8
DRAWN = 256  # so many of the built-in faces: four grids without a repeat, drawn in a few seconds
STREAMED = 600  # so many reals of a data set on the Hub: enough of them are held out to judge likeness by
PATIENCE = 10.0  # seconds to wait for the reals before showing something else meanwhile
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


class AtHand:
    """What checkpoints learned from, read once, in the background. Raises DataError if nothing is at `dataroot`."""

    def __init__(self, dataroot: str | None):
        self.dataroot = dataroot
        self._reading: dict[tuple[str, int, int], Future[Reals]] = {}
        self._lock = threading.Lock()
        if dataroot is not None:
            open_source(dataroot)

    def get(self, checkpoint: Checkpoint, where: str | None = None) -> Reals:
        """What a checkpoint learned from, or what is at `where`. Raises DataError, which says why, if not."""
        reading = self.begin(checkpoint, where)
        if reading is None:
            raise DataError("they are not on this machine; start the demo with `--dataroot` and their folder or zip")
        try:
            return reading.result(PATIENCE)
        except StillReading:
            raise DataError("they are still being read; shuffle again in a moment") from None

    def known(self, checkpoint: Checkpoint) -> Reals | None:
        """The same if it has been read by now."""
        reading = self.begin(checkpoint)
        return reading.result() if reading and reading.done() and not reading.exception() else None

    def begin(self, checkpoint: Checkpoint, where: str | None = None) -> Future[Reals] | None:
        """Begin to read them, unless someone has; None where nobody knows where they are."""
        where = where or (SOURCE if checkpoint.is_drawn else None) or self.dataroot or _on_the_hub(checkpoint)
        if where is None:
            return None
        key = where, checkpoint.model.image_size, checkpoint.model.nc
        with self._lock:
            if key not in self._reading or _failed(self._reading[key]):
                self._reading[key] = Future()
                threading.Thread(target=_read, args=(self._reading[key], *key), daemon=True).start()
            return self._reading[key]


def _on_the_hub(checkpoint: Checkpoint) -> str | None:
    """The address of a checkpoint's reals, in a Space. Elsewhere the demo asks nothing of the network by itself."""
    return f"hf://datasets/{checkpoint.hub}" if checkpoint.hub and os.environ.get("SPACE_ID") else None


def _failed(reading: Future[Reals]) -> bool:
    """Whether it is worth reading again: the network may be back."""
    return reading.done() and reading.exception() is not None


def _read(reading: Future[Reals], where: str, size: int, nc: int) -> None:
    """Fill in `reading`, or give it the reason why not."""
    try:
        limit = DRAWN if where == SOURCE else STREAMED if where.startswith("hf://") else None
        # No worker processes: a fork of a server full of threads may never wake up.
        images = load_images(where, size, nc, workers=0, limit=limit, progress=False)
        reading.set_result(Reals(images))
    except Exception as error:  # whoever waits for the reading is to hear of it, whatever it was
        reading.set_exception(DataError(str(error).rstrip(".")))


def _shrunk(images: Tensor, side: int = SIDE) -> Tensor:
    scale = max(images.shape[-1] // side, 1)
    return avg_pool2d(images.float(), scale).round().to(torch.uint8)
