"""Everything that the demo can do, without Gradio: checkpoints in, pixels out.

Every method may be called from any thread and checks what it is given: a visitor's mistake is a ValueError whose
message is one line for the visitor. Nothing that belongs to a visitor is kept here.
"""

import os
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dcgan import latents
from dcgan.checkpoint import CheckpointError
from dcgan.data.sources import DataError
from dcgan.demo import requests, uploads
from dcgan.demo.checkpoints import Shelf
from dcgan.demo.face_spec import NEIGHBOURS, latent_of, latents_of, walked_latent
from dcgan.demo.real_images import AtHand, Likeness
from dcgan.demo.turns import Turns
from dcgan.latent import arithmetic
from dcgan.latent.inversion import Finder
from dcgan.model import Generator
from dcgan.pictures import MAX_FRAMES, Pixels, animation, normalised
from dcgan.sampling import render

PIECE = 16  # faces in a turn
PATHS = ("spherical", "linear")
MAX_STOPS = 8  # faces of a chain
JUDGED = 256  # made-up faces that a face is ranked among where no photographs are at hand ...
FIRST_JUDGED = 2_000_000  # ... from this seed on, where nobody looks
MAX_CLOSEST = 16
DIGITS = 2  # of a found latent: as fine as the sliders, and a link to it stays short
WARM_UP_AFTER = 5.0  # seconds


@dataclass
class Learned:
    """What was found out of a checkpoint, once someone asked: the order of its dimensions, the logits that faces are
    ranked among, its finder, and its response to latents. Two may not find out the same at once.
    """

    finder: Finder | None = None
    response: Tensor | None = None
    ranking: list[int] = field(default_factory=list)
    logits: dict[str, np.ndarray] = field(default_factory=dict)
    measuring: Turns = field(default_factory=lambda: Turns(1, 4))
    learning: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Opinion:
    """realer_than: the share (0 to 1) of `among` ("reals": held out from training, or "fakes") that look less real."""

    realer_than: float
    among: str


class Studio:
    """The checkpoints found at `source`, and the real images at `dataroot`.

    Raises CheckpointError if no checkpoint can be opened, DataError if there is nothing at `dataroot`.
    """

    def __init__(self, source: str | Path, dataroot: str | None = None):
        # Visitors' work runs side by side, each on one core: threads that wait for each other collapse under load.
        torch.set_num_threads(1)
        cores = os.cpu_count() or 1
        self.turns = Turns(cores, 64)  # more at once would only make everyone wait longer
        self.long = Turns(max(1, cores - 1), 12)  # work of seconds leaves a core to the faces
        self.reals = AtHand(dataroot)
        self.shelf = Shelf(Path(source))
        self._learned = {name: Learned() for name in self.shelf.names}

    def warm_up(self) -> None:
        """Do in the background what the first visitors would else wait for: the first face, and, once their page may
        be there, the rest.
        """

        def work() -> None:
            with suppress(ValueError):  # many visitors are here already
                self.face()
            time.sleep(WARM_UP_AFTER)
            for name in self.shelf.names:
                self.reals.begin(self.shelf.checkpoint(name))
                for prepare in (self.ranking, self.opinion, self.finder, lambda name: self.closest(checkpoint=name)):
                    with suppress(ValueError):  # the same, or the reals are not at hand
                        prepare(name)

        threading.Thread(target=work, daemon=True).start()

    # Faces

    def random_seed(self) -> int:
        """A seed that nobody chose, short enough to remember."""
        return secrets.randbelow(1_000_000)

    def latent(
        self, seed: int = 0, checkpoint: str = "", walk: list[int] | None = None, origin: list[float] | None = None
    ) -> list[float]:
        """The z [nz] of a seed or origin, and of the neighbours walked to from there, before truncation and edits."""
        return walked_latent(self.shelf.checkpoint(checkpoint).model.nz, seed, walk, origin).tolist()

    def face(self, seed: int = 0, checkpoint: str = "", moment: int | None = None, **more: Any) -> Pixels:
        """The face [S, S, nc] of a seed. `more`: truncation, edits, directions, walk, origin and shift.

        The z `origin` [nz] takes the seed's place. `walk` leads on from there, each number to one of the neighbours.
        The z is drawn towards the origin by `truncation` (0 to 2); then `edits`, {dimension: value from -6 to 6}, take
        the place of some of its values, and `directions`, {name: standard deviations}, and `shift` [nz] are added.
        `moment`: as the generator drew it after so many images, one of the summary's moments.
        """
        generator, z = self._wanted(checkpoint, moment, seed=seed, **more)
        return self.render(generator, z[None])[0]

    def each_face(self, states: Sequence[dict[str, Any]]) -> list[Pixels | Exception]:
        """The faces [S, S, nc] that several visitors ask for, each as in `face`, in one go; or what was wrong with one.

        No pixel depends on the others (dcgan/sampler.py).
        """
        answers: dict[int, Pixels | Exception] = {}
        wanted: dict[Generator, dict[int, Tensor]] = {}
        for i, state in enumerate(states):
            try:
                generator, z = self._wanted(**state)
                wanted.setdefault(generator, {})[i] = z
            except (ValueError, TypeError) as error:  # TypeError: a name that `face` does not know
                answers[i] = error
        for generator, those in wanted.items():
            with self.turns.ahead():
                answers |= zip(those, _pixels(generator, torch.stack([*those.values()])), strict=True)
        return [answers[i] for i in range(len(states))]

    def around(
        self, checkpoint: str = "", walk: list[int] | None = None, moment: int | None = None, **face: Any
    ) -> tuple[list[int], Pixels, Opinion | None]:
        """What is around a face, given as in `face`.

        Returns the numbers that lead to eight neighbours, these [8, S, S, nc], and the `opinion` of the face.
        """
        name, walk = self.shelf.name(checkpoint), requests.walk(walk)
        first = NEIGHBOURS * len(walk)
        numbers = list(range(first, first + NEIGHBOURS))
        ways = [walk, *([*walk, number][-requests.MAX_WALK :] for number in numbers)]
        z = torch.stack([latent_of(self.shelf.checkpoint(name), walk=way, **face) for way in ways])
        pixels = self.render(self.shelf.generator(name, moment), z)
        return numbers, pixels[1:], self._opinion(name, pixels[0])

    def opinion(self, checkpoint: str = "", **face: Any) -> Opinion | None:
        """What the discriminator thinks of a face, given as in `face`; None where there is no discriminator."""
        return self._opinion(self.shelf.name(checkpoint), self.face(checkpoint=checkpoint, **face))

    def _opinion(self, name: str, face: Pixels) -> Opinion | None:
        try:
            logit = self.logits(name, face[None])[0]
            among, logits = self._known_logits(name)
        except CheckpointError:
            return None
        return Opinion(float((logits < logit).mean()), among)

    def _wanted(self, checkpoint: str = "", moment: int | None = None, **face: Any) -> tuple[Generator, Tensor]:
        return self.shelf.generator(checkpoint, moment), latent_of(self.shelf.checkpoint(checkpoint), **face)

    def _known_logits(self, name: str) -> tuple[str, np.ndarray]:
        """The logits a face is ranked among: of photographs held out from training, else of other made-up faces."""
        learned, reals = self._learned[name], self.reals.known(self.shelf.checkpoint(name))
        photographs = reals.pixels[reals.heldout] if reals is not None and reals.enough_heldout else None
        among = "fakes" if photographs is None else "reals"
        with learned.measuring:
            if among not in learned.logits:
                if photographs is None:
                    pixels = self.fakes(name, range(FIRST_JUDGED, FIRST_JUDGED + JUDGED))
                else:
                    pixels = photographs.transpose(0, 2, 3, 1)
                learned.logits[among] = self.logits(name, pixels)
        return among, learned.logits[among]

    def ranking(self, checkpoint: str = "") -> list[int]:
        """The dimensions of z, the one that changes the picture most first."""
        learned = self._learned[self.shelf.name(checkpoint)]
        with learned.measuring:
            if not learned.ranking:
                learned.ranking = self._measure_ranking(self.shelf.checkpoint(checkpoint).generator)
        return learned.ranking

    def _measure_ranking(self, generator: Generator, seeds: int = 3) -> list[int]:
        """By mean absolute pixel change as a dimension goes from -2 to 2, over a few seeds."""
        nz = generator.config.nz
        effect = np.zeros(nz)
        for z in latents.latents(range(seeds), nz):
            low, high = (z.repeat(nz, 1).fill_diagonal_(end) for end in (-2.0, 2.0))
            change = self.render(generator, high).astype(np.int16) - self.render(generator, low)
            effect += np.abs(change).mean(axis=(1, 2, 3))
        return np.argsort(-effect, kind="stable").tolist()

    def finder(self, checkpoint: str = "") -> Finder:
        """What finds the latents of photos."""
        learned, known = self._learned[self.shelf.name(checkpoint)], self.shelf.checkpoint(checkpoint)
        with learned.learning:
            if learned.finder is None:
                learned.finder = Finder(known, lambda z: self.render(known.generator, z, polite=True))
        return learned.finder

    # The lab

    def faces(self, faces: list[int | dict[str, Any]], checkpoint: str = "") -> Pixels:
        """Up to 64 faces [N, S, S, nc]: seeds or states."""
        known = self.shelf.checkpoint(checkpoint)
        return self.render(known.generator, latents_of(known, faces))

    def slider(self, having: list[Any], lacking: list[Any], checkpoint: str = "") -> list[float]:
        """A direction [nz], of length 1, from examples: up to 64 faces that have a trait, and as many that lack it."""
        learned, known = self._learned[self.shelf.name(checkpoint)], self.shelf.checkpoint(checkpoint)
        sides = [latents_of(known, side) for side in (having, lacking)]
        with learned.learning, self.long:
            if learned.response is None:
                learned.response = arithmetic.response(known.generator)
        return [round(value, 3) for value in arithmetic.slider(sides[0], sides[1], learned.response).tolist()]

    def signal(self, checkpoint: str = "") -> list[list[float]]:
        """How far apart the latents of faces with and without some trait lie, as a covariance [nz, nz]."""
        learned, known = self._learned[self.shelf.name(checkpoint)], self.shelf.checkpoint(checkpoint)
        with learned.learning, self.long:
            if learned.response is None:
                learned.response = arithmetic.response(known.generator)
        return arithmetic.expected(learned.response).tolist()

    def arithmetic(self, start: list[Any], minus: list[Any], plus: list[Any], checkpoint: str = "") -> list[float]:
        """The z [nz] of a sum of faces: mean of `start`, less the mean of `minus`, and that of `plus` added."""
        known = self.shelf.checkpoint(checkpoint)
        z = arithmetic.arithmetic(*(latents_of(known, part) for part in (start, minus, plus)))
        return [round(value, DIGITS) for value in z.clamp(-requests.MAX_Z, requests.MAX_Z).tolist()]

    # From one face to another

    def path(
        self,
        faces: Sequence[int | dict[str, Any]] = (0, 1),
        kind: str = "spherical",
        frames: int = 9,
        checkpoint: str = "",
        loop: bool = False,
    ) -> Pixels:
        """`frames` (2 to 300) faces [frames, S, S, nc] on the way through two to eight faces, both ends included.

        faces: seeds or states. With `loop` the way leads back to the first face.
        """
        known = self.shelf.checkpoint(checkpoint)
        if not isinstance(faces, list | tuple) or not 2 <= len(faces) <= MAX_STOPS:
            raise ValueError(f"faces must be a list of 2 to {MAX_STOPS}, not {requests.short(faces)}")
        stops = latents_of(known, faces)
        spherical, loop = requests.choice(kind, "path", PATHS) == "spherical", requests.switch(loop, "loop")
        way = latents.path(
            stops, requests.whole(frames, "frames", 2, MAX_FRAMES), spherical, requests.switch(loop, "loop")
        )
        with self.long:
            return self.render(known.generator, way)

    def animation(self, frames: Pixels, format: str = "gif", seconds: float = 4.0, loop: bool = False) -> bytes:
        """Frames as a file, as in dcgan/pictures.py."""
        with self.long:
            return animation(frames, format, seconds, loop)

    # Real images

    def closest(self, seed: int = 0, count: int = 6, checkpoint: str = "") -> tuple[Pixels, Likeness]:
        """The training images [count, S, S, nc] that come closest to the face of a seed, and how close that is.

        Raises ValueError where what the checkpoint learned from is not at hand.
        """
        name = self.shelf.name(checkpoint)
        try:
            reals = self.reals.get(self.shelf.checkpoint(name))
        except DataError as reason:
            raise ValueError(f"its nearest training images cannot be shown: {reason}") from None
        face = torch.from_numpy(self.face(seed, checkpoint=name)).permute(2, 0, 1)
        with self.turns:
            found = reals.closest(face, requests.whole(count, "count", 1, MAX_CLOSEST))
        return found.images.permute(0, 2, 3, 1).numpy(), found

    def own_photos(self, files: Sequence[str], checkpoint: str = "") -> Pixels:
        """A visitor's pictures, as in dcgan/uploads.py."""
        model = self.shelf.checkpoint(checkpoint).model
        with self.long:
            return uploads.own_photos(files, model.image_size, model.nc)

    # What they are made with

    def fakes(self, name: str, seeds: Iterable[int]) -> Pixels:
        """The faces [N, S, S, nc] of seeds."""
        known = self.shelf.checkpoint(name)
        return self.render(known.generator, latents.latents(seeds, known.model.nz))

    def render(self, generator: Generator, z: Tensor, polite: bool = False) -> Pixels:
        """Latents [N, nz] -> faces [N, S, S, nc], a few in each turn, so that nobody waits for many."""
        pieces = []
        for piece in z.split(PIECE):
            with self.turns.politely() if polite else self.turns:
                pieces.append(_pixels(generator, piece))
        return np.concatenate(pieces)

    def logits(self, name: str, pixels: Pixels) -> np.ndarray:
        """The discriminator's logits [N] of images [N, S, S, nc]."""
        net = self.shelf.checkpoint(name).discriminator
        with self.turns, torch.inference_mode():
            images = normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2))
            return torch.cat([net(piece) for piece in images.split(64)]).numpy()


def _pixels(generator: Generator, z: Tensor) -> Pixels:
    """Latents [N, nz] -> faces [N, S, S, nc]."""
    return render(generator, z).permute(0, 2, 3, 1).numpy()
