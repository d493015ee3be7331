"""The real images that checkpoints were trained on: read in the background, searched for those nearest to a face."""

import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dcgan.checkpoint import Checkpoint
from dcgan.data import DataError, Images, load_images
from dcgan.data.avatars import SOURCE
from dcgan.data.sources import DrawnSource, is_drawn, open_source
from dcgan.data.split import division
from dcgan.metrics.distances import nearest
from dcgan.metrics.features import at_32
from dcgan.metrics.quality import evenly
from dcgan.pictures import Pixels

MIN_HELDOUT = 50  # fewer say little about how close unseen images come
MAX_HELDOUT = 400  # more would take long and say the same
DRAWN = 256  # so many of the built-in faces: four grids without a repeat, drawn in a few seconds
STREAMED = 600  # so many of a data set on the Hub: enough of them are held out
PATIENCE = 10.0  # seconds to wait for images that are being read


class StillReading(DataError):
    """Real images that are not there yet."""


@dataclass(frozen=True)
class Likeness:
    """The training images nearest to a face, the nearest first.

    images: uint8 [K, nc, S, S]. distances: RMS over 32 x 32 pixels, in grey levels, mirrored where that is nearer.
    closer_than: the share (0 to 1) of held-out images that are not as near to any training image; None where fewer
    than 50 are held out.
    """

    images: Tensor
    distances: list[float]
    closer_than: float | None


class RealSet:
    """A set of real images, with an index for the nearest ones that is built at the first search."""

    def __init__(self, images: Images):
        self.images = images
        self.heldout = evenly(np.flatnonzero(images.heldout), MAX_HELDOUT)
        self._building = threading.Lock()

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, indices: np.ndarray) -> Pixels:
        """The images at `indices`: uint8 [N, S, S, nc]."""
        return np.ascontiguousarray(self.images.pixels[indices].transpose(0, 2, 3, 1))

    @property
    def enough_heldout(self) -> bool:
        """Whether enough images are held out to judge a face by them."""
        return len(self.heldout) >= MIN_HELDOUT

    def closest(self, face: Tensor, count: int) -> Likeness:
        """The `count` training images nearest to a face, uint8 [nc, S, S]."""
        with self._building:
            small, strangers = self._index
        distances, order = nearest(small, _small(face[None])).sort()
        closer_than = None if strangers is None else float((strangers > distances[0]).float().mean())
        images = self.images.batch(self.images.training[order[:count].numpy()])
        return Likeness(images, [round(float(d), 2) for d in distances[:count]], closer_than)

    @cached_property
    def _index(self) -> tuple[Tensor, Tensor | None]:
        """The training images at 32 pixels, and how near each held-out image comes to them."""
        pieces = np.array_split(self.images.training, -(-len(self.images.training) // 256))
        small = torch.cat([_small(self.images.batch(piece)) for piece in pieces])
        strangers = nearest(_small(self.images.batch(self.heldout)), small) if self.enough_heldout else None
        return small, strangers


class RealImages:
    """The real images at `dataroot`, and those that checkpoints say where to find: each set is read once.

    Raises DataError if nothing is at `dataroot`.
    """

    def __init__(self, dataroot: str | None):
        self._reading: dict[tuple[Any, ...], Future[RealSet]] = {}
        self._lock = threading.Lock()
        if dataroot is not None:
            open_source(dataroot)
            if dataroot == SOURCE and not is_drawn(dataroot):  # a folder of that name
                dataroot = str(Path(dataroot).absolute())
        self.dataroot = dataroot

    def get(self, checkpoint: Checkpoint, where: str | None = None) -> RealSet:
        """What a checkpoint was trained on, or what is at `where`. Raises DataError, which says why, if not."""
        reading = self.begin(checkpoint, where)
        if reading is None:
            raise DataError("they are not on this machine")
        try:
            return reading.result(PATIENCE)
        except TimeoutError:
            raise StillReading("they are still being read; try again in a moment") from None

    def known(self, checkpoint: Checkpoint) -> RealSet | None:
        """The same if it has been read by now."""
        reading = self.begin(checkpoint)
        return reading.result() if reading and reading.done() and not reading.exception() else None

    def begin(self, checkpoint: Checkpoint, where: str | None = None) -> Future[RealSet] | None:
        """Start to read them in a thread of their own, once; None where nobody knows where they are."""
        where = where or (SOURCE if checkpoint.is_drawn else None) or self.dataroot or _on_the_hub(checkpoint)
        if where is None:
            return None
        model = checkpoint.model
        crop = "centre" if where == SOURCE and not checkpoint.is_drawn else checkpoint.crop  # drawn faces that stand in
        key = where, model.image_size, model.nc, crop, checkpoint.every, division(checkpoint.data)
        with self._lock:
            reading = self._reading.get(key)
            if reading is None or (reading.done() and reading.exception()):  # the network may be back
                reading = self._reading[key] = Future()
                threading.Thread(target=_read, args=(reading, where, crop, checkpoint), daemon=True).start()
            return reading


def _on_the_hub(checkpoint: Checkpoint) -> str | None:
    """The address of the images on the Hub, in a Space. Elsewhere the demo sends no request by itself."""
    return f"hf://datasets/{checkpoint.hub}" if checkpoint.hub and os.environ.get("SPACE_ID") else None


def _read(reading: Future[RealSet], where: str, crop: str, checkpoint: Checkpoint) -> None:
    """Resolve `reading` to the images at `where`, divided as training divided them, or to a DataError."""
    limit = DRAWN if where == SOURCE else STREAMED if where.startswith("hf://") else None
    # No worker processes: a fork of a server full of threads may never wake up.
    options: dict[str, Any] = {"workers": 0, "limit": limit, "progress": False, "crop": crop, "every": checkpoint.every}
    try:
        source, model = DrawnSource() if where == SOURCE else where, checkpoint.model
        images = load_images(source, model.image_size, model.nc, **options)
        reading.set_result(RealSet(images.divided(*division(checkpoint.data))))
    except Exception as error:  # the thread has nobody else to tell
        reading.set_exception(DataError(str(error).rstrip(".")))


def _small(images: Tensor) -> Tensor:
    return at_32(images.float()).round().to(torch.uint8)
