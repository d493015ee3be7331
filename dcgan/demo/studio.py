"""What the demo can do, without Gradio: checkpoints in, pixels and numbers out.

Methods may be called from any thread. They validate their arguments: an error of the visitor's is a ValueError whose
message is one line for the visitor. Nothing of a visitor is kept here.
"""

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from dcgan import latents
from dcgan.checkpoint import CheckpointError
from dcgan.data.sources import DataError
from dcgan.demo import checkpoints, requests
from dcgan.demo.checkpoints import Checkpoints
from dcgan.demo.face_spec import latent_of, latents_of
from dcgan.demo.real_images import Likeness, RealImages
from dcgan.latent import arithmetic
from dcgan.latent.inversion import Inversion
from dcgan.model import Generator
from dcgan.pictures import MAX_FRAMES, Pixels
from dcgan.sampling import render

PATHS = ("spherical", "linear")
MAX_STOPS = 8  # faces of a chain
MAX_CLOSEST = 16
DIGITS = 2  # of a latent in a link: as fine as the sliders
WARM_UP_AFTER = 5.0  # seconds, in which the page opens

Faces = Sequence[int | dict[str, Any]]  # seeds or specifications
T = TypeVar("T")


def once(compute: Callable[["Studio", str], T]) -> Callable[..., T]:
    """Decorate a method of a checkpoint's name: computed once for each, under a lock of its own; a failure again."""

    @wraps(compute)
    def method(self: "Studio", checkpoint: str = "") -> T:
        name = self.checkpoints.name(checkpoint)
        key = compute.__name__, name
        with self._locks.setdefault(key, threading.Lock()):
            if key not in self._results:
                self._results[key] = compute(self, name)
            return self._results[key]

    return method


@dataclass(frozen=True)
class Opinion:
    """realer_than: the share (0 to 1) of `among` ("reals": held out from training, or "fakes") that look less real."""

    realer_than: float
    among: str


class Studio:
    """The checkpoints found at `source`, and the real images at `dataroot`.

    Raises CheckpointError if no checkpoint can be opened, DataError if nothing is at `dataroot`.
    """

    def __init__(self, source: str | Path, dataroot: str | None = None):
        torch.set_num_threads(1)  # visitors' requests run side by side: threads of one would wait for those of another
        self.checkpoints = Checkpoints(Path(source))
        self.real_images = RealImages(dataroot)
        self._closed = threading.Event()
        self._results: dict[tuple[str, str], Any] = {}  # of methods that compute `once`
        self._locks: dict[tuple[str, str], threading.Lock] = {}

    def warm_up(self) -> None:
        """Compute in the background, soon, what first visitors would else wait for; until `close` is called."""

        def work() -> None:
            self._closed.wait(WARM_UP_AFTER)
            for name in self.checkpoints.names:
                if not self._closed.is_set():
                    self.real_images.begin(self.checkpoints.get(name))
            for name in self.checkpoints.names:
                for prepare in (self.ranking, self.opinion, self.inversion, lambda name: self.closest(0, 1, name)):
                    with suppress(ValueError):  # there are no real images
                        if not self._closed.is_set():
                            prepare(name)

        threading.Thread(target=work).start()  # no daemon: torch aborts a program that ends while it computes

    def close(self) -> None:
        """End the warm-up after what it computes just now."""
        self._closed.set()

    # Faces

    def random_seed(self) -> int:
        """A seed that nobody chose, short enough to remember."""
        return secrets.randbelow(1_000_000)

    def face(self, seed: int = 0, checkpoint: str = "", moment: int | None = None, **spec: Any) -> Pixels:
        """The face [S, S, nc] of a specification (face_spec.py), as the generator drew it after `moment` images."""
        z = latent_of(self.checkpoints.get(checkpoint), {"seed": seed, **spec})
        return drawn(self.checkpoints.generator(checkpoint, moment), z[None])[0]

    def faces(self, faces: Faces, checkpoint: str = "") -> Pixels:
        """The faces [N, S, S, nc] of 1 to 64 seeds or specifications."""
        z = latents_of(self.checkpoints.get(checkpoint), faces)
        return drawn(self.checkpoints.generator(checkpoint), z)

    def path(
        self,
        faces: Faces = (0, 1),
        kind: str = "spherical",
        frames: int = 9,
        checkpoint: str = "",
        loop: bool = False,
    ) -> Pixels:
        """`frames` (2 to 300) faces [frames, S, S, nc] on the way through two to eight faces, both ends included.

        faces: seeds or specifications. With `loop` the way leads back to the first face.
        """
        if not isinstance(faces, list | tuple) or not 2 <= len(faces) <= MAX_STOPS:
            raise ValueError(f"faces must be a list of 2 to {MAX_STOPS}, not {requests.short(faces)}")
        frames = requests.whole(frames, "frames", 2, MAX_FRAMES)
        spherical = requests.choice(kind, "path", PATHS) == "spherical"
        stops = latents_of(self.checkpoints.get(checkpoint), faces)
        way = latents.path(stops, frames, spherical, requests.switch(loop, "loop"))
        return drawn(self.checkpoints.generator(checkpoint), way)

    # The discriminator

    def opinion(self, checkpoint: str = "", **face: Any) -> Opinion | None:
        """The discriminator's opinion of a face, as in `face`; None where there is no discriminator."""
        name = self.checkpoints.name(checkpoint)
        pixels, rivals = self.face(checkpoint=name, **face)[None], self.rivals(name)
        if rivals is None:
            return None
        others, among = rivals
        return Opinion(float((others < self._logits(pixels, name)).mean()), among)

    def rivals(self, checkpoint: str = "") -> tuple[np.ndarray, str] | None:
        """The discriminator's logits [N] of pictures among which faces are ranked; None where it is not there.

        The pictures are "reals", held out from training, or where those are not at hand "fakes".
        """
        name = self.checkpoints.name(checkpoint)
        opened = self.checkpoints.get(name)
        try:
            _ = opened.discriminator
        except CheckpointError:
            return None
        reals = self.real_images.known(opened)
        if reals and reals.enough_heldout:
            return self._real_logits(name), "reals"
        return self._fake_logits(name), "fakes"

    def _logits(self, pixels: Pixels, checkpoint: str) -> np.ndarray:
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return checkpoints.logits(self.checkpoints.get(checkpoint).discriminator, images)

    @once
    def _fake_logits(self, checkpoint: str) -> np.ndarray:
        return checkpoints.fake_logits(self.checkpoints.get(checkpoint))

    @once
    def _real_logits(self, checkpoint: str) -> np.ndarray:
        reals = self.real_images.get(self.checkpoints.get(checkpoint))
        return self._logits(reals.pixels(reals.heldout), checkpoint)

    # The latent space

    @once
    def ranking(self, checkpoint: str) -> list[int]:
        """The dimensions of z, the one that changes the picture most first."""
        return checkpoints.ranking(self.checkpoints.generator(checkpoint))

    @once
    def _response(self, checkpoint: str) -> Tensor:
        return arithmetic.response(self.checkpoints.generator(checkpoint))

    @once
    def inversion(self, checkpoint: str) -> Inversion:
        """What finds the latents of photos; it takes seconds to make, once."""
        return Inversion(self.checkpoints.get(checkpoint))

    def signal(self, checkpoint: str = "") -> list[list[float]]:
        """The covariance [nz, nz] with which a page fits sliders to examples."""
        return checkpoints.signal(self._response(checkpoint))

    def slider(self, having: Faces = (), lacking: Faces = (), checkpoint: str = "") -> list[float]:
        """A direction [nz], of length 1, from 1 to 64 faces that have a trait and as many that lack it.

        A multiple of it, -3 to 3, is a `shift` of a face.
        """
        has, lacks = (latents_of(self.checkpoints.get(checkpoint), side) for side in (having, lacking))
        return [round(value, 3) for value in arithmetic.slider(has, lacks, self._response(checkpoint)).tolist()]

    def arithmetic(self, start: Faces = (), minus: Faces = (), plus: Faces = (), checkpoint: str = "") -> list[float]:
        """The mean of some faces' latents, less a mean, and a mean added: the `origin` [nz] of a face."""
        known = self.checkpoints.get(checkpoint)
        return origin(arithmetic.arithmetic(*(latents_of(known, part) for part in (start, minus, plus))))

    # Real images

    def closest(self, seed: int = 0, count: int = 6, checkpoint: str = "") -> tuple[Pixels, Likeness]:
        """The training images [count, S, S, nc] nearest to the face of a seed, and how near they are.

        Raises ValueError where the training images of the checkpoint are not at hand.
        """
        count = requests.whole(count, "count", 1, MAX_CLOSEST)
        face = torch.from_numpy(self.face(seed, checkpoint)).permute(2, 0, 1)
        try:
            found = self.real_images.get(self.checkpoints.get(checkpoint)).closest(face, count)
        except DataError as reason:
            raise ValueError(f"its nearest training images cannot be shown: {reason}") from None
        return found.images.permute(0, 2, 3, 1).numpy(), found


def origin(z: Tensor) -> list[float]:
    """A latent [nz] as an `origin`: within its range, and rounded, so that a link stays short."""
    return [round(value, DIGITS) for value in z.clamp(-requests.MAX_Z, requests.MAX_Z).tolist()]


def drawn(generator: Generator, z: Tensor) -> Pixels:
    """Latents [N, nz] -> faces [N, S, S, nc]."""
    return render(generator, z).permute(0, 2, 3, 1).numpy()
