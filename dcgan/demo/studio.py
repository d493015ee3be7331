"""What the demo can do, without Gradio: checkpoints in, pixels and numbers out.

Methods may be called from any thread. They validate their arguments: an error of the visitor's is a ValueError whose
message is one line for the visitor. Nothing of a visitor is kept here.
"""

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

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
from dcgan.pictures import MAX_FRAMES, Pixels, normalised
from dcgan.sampling import render

PATHS = ("spherical", "linear")
MAX_STOPS = 8  # faces of a chain
RANKED = 256  # made-up faces that a face is ranked among where no photographs are at hand ...
FIRST_RANKED = 2_000_000  # ... from this seed on, where nobody looks
MAX_CLOSEST = 16
DIGITS = 2  # of a latent in a link: as fine as the sliders, and the link stays short
WARM_UP_AFTER = 5.0  # seconds

T = TypeVar("T")


class Once(Generic[T]):
    """A function of a checkpoint's name, computed once for each: under a lock of its own, and not kept if it fails."""

    def __init__(self, compute: Callable[[str], T]):
        self._compute = compute
        self._results: dict[str, T] = {}
        self._locks: dict[str, threading.Lock] = {}

    def __call__(self, name: str) -> T:
        """The result for a name, computed by the first thread that needs it."""
        with self._locks.setdefault(name, threading.Lock()):
            if name not in self._results:
                self._results[name] = self._compute(name)
            return self._results[name]


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
        self._ranking = Once(lambda name: checkpoints.ranking(self.checkpoints.generator(name)))
        self._response = Once(lambda name: arithmetic.response(self.checkpoints.generator(name)))
        self._inversion = Once(lambda name: Inversion(self.checkpoints.get(name)))
        self._fake_logits = Once(self._compute_fake_logits)
        self._real_logits = Once(self._compute_real_logits)

    def warm_up(self) -> None:
        """Compute in the background, soon, what first visitors would else wait for; until `close` is called."""

        def work() -> None:
            for name in self.checkpoints.names:
                self.real_images.begin(self.checkpoints.get(name))
            self._closed.wait(WARM_UP_AFTER)
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

    def faces(self, faces: Sequence[Any], checkpoint: str = "", moment: int | None = None) -> Pixels:
        """The faces [N, S, S, nc] of 1 to 64 seeds or specifications."""
        return drawn(
            self.checkpoints.generator(checkpoint, moment), latents_of(self.checkpoints.get(checkpoint), faces)
        )

    def path(
        self,
        faces: Sequence[Any] = (0, 1),
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
        logits = self.logits(self.face(checkpoint=name, **face)[None], name)
        if logits is None:
            return None
        reals = self.real_images.known(self.checkpoints.get(name))
        among = "reals" if reals and reals.enough_heldout else "fakes"
        others = (self._real_logits if among == "reals" else self._fake_logits)(name)
        return Opinion(float((others < logits[0]).mean()), among)

    def logits(self, pixels: Pixels, checkpoint: str = "") -> list[float] | None:
        """The discriminator's logits [N] of images [N, S, S, nc]; None where there is no discriminator."""
        try:
            net = self.checkpoints.get(checkpoint).discriminator
        except CheckpointError:
            return None
        with torch.inference_mode():
            images = normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2))
            return torch.cat([net(piece) for piece in images.split(64)]).tolist()

    def _compute_fake_logits(self, name: str) -> np.ndarray:
        model, generator = self.checkpoints.get(name).model, self.checkpoints.generator(name)
        z = latents.latents(range(FIRST_RANKED, FIRST_RANKED + RANKED), model.nz)
        return np.array(self.logits(drawn(generator, z), name))

    def _compute_real_logits(self, name: str) -> np.ndarray:
        reals = self.real_images.get(self.checkpoints.get(name))
        return np.array(self.logits(reals.pixels[reals.heldout].transpose(0, 2, 3, 1), name))

    # The latent space

    def ranking(self, checkpoint: str = "") -> list[int]:
        """The dimensions of z, the one that changes the picture most first."""
        return self._ranking(self.checkpoints.name(checkpoint))

    def signal(self, checkpoint: str = "") -> list[list[float]]:
        """The covariance [nz, nz] with which a page fits sliders to examples."""
        return checkpoints.signal(self._response(self.checkpoints.name(checkpoint)))

    def slider(self, having: list[Any], lacking: list[Any], checkpoint: str = "") -> list[float]:
        """A direction [nz], of length 1, from examples: up to 64 faces that have a trait, and as many that lack it."""
        name = self.checkpoints.name(checkpoint)
        has, lacks = (latents_of(self.checkpoints.get(name), side) for side in (having, lacking))
        return [round(value, 3) for value in arithmetic.slider(has, lacks, self._response(name)).tolist()]

    def arithmetic(self, start: list[Any], minus: list[Any], plus: list[Any], checkpoint: str = "") -> list[float]:
        """The z [nz] of a sum of faces: mean of `start`, less the mean of `minus`, and that of `plus` added."""
        known = self.checkpoints.get(checkpoint)
        z = arithmetic.arithmetic(*(latents_of(known, part) for part in (start, minus, plus)))
        return [round(value, DIGITS) for value in z.clamp(-requests.MAX_Z, requests.MAX_Z).tolist()]

    def inversion(self, checkpoint: str = "") -> Inversion:
        """What finds the latents of photos; it takes seconds to make, once."""
        return self._inversion(self.checkpoints.name(checkpoint))

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


def drawn(generator: Generator, z: Tensor) -> Pixels:
    """Latents [N, nz] -> faces [N, S, S, nc]."""
    return render(generator, z).permute(0, 2, 3, 1).numpy()
