"""Everything that the demo can do, without Gradio: checkpoints in, pixels out.

Every method may be called from any thread and checks what it is given: a visitor's mistake is a ValueError whose
message is one line for the visitor. Nothing that belongs to a visitor is kept here.
"""

import math
import os
import random
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillReading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dcgan import asked, given, lab, latents, zerogpu
from dcgan.checkpoint import Checkpoint, CheckpointError, Snapshot, find_checkpoints, load_checkpoint, thin_history
from dcgan.data import DataError, load_images, open_source
from dcgan.generate import render
from dcgan.inversion import Finder, Progress, search_with_gpu
from dcgan.model import Generator, parameter_count
from dcgan.pictures import GRID, MAX_FRAMES, Pixels, animation, grid
from dcgan.reals import Likeness, Reals
from dcgan.turns import Turns

AVATARS = "avatars"  # the built-in data set, drawn on the spot
DRAWN = 256  # so many of its faces: four grids without a repeat, drawn in a few seconds
STREAMED = 600  # so many reals of a data set on the Hub: enough of them are held out to judge likeness by
PATIENCE = 10.0  # seconds to wait for the reals before showing something else meanwhile
MAX_TRUNCATION = 2.0
PIECE = 16  # faces in a turn
MAX_SHUFFLE = 999_999
MAX_CURVE = 400  # points of a curve: no screen shows more
CURVES = ("images_seen", "loss_d", "loss_g", "d_real", "d_fake", "ffd", "fd")
PATHS = ("spherical", "linear")
NEIGHBOURS = 8
STEP = 0.35  # radians from a face to its neighbours: clearly another face, clearly akin
MAX_STOPS = 8  # faces of a chain
JUDGED = 256  # made-up faces that a face is ranked among where no photographs are at hand ...
FIRST_JUDGED = 2_000_000  # ... from this seed on, where nobody looks
PAIRS = 20  # of the quiz
MAX_CLOSEST = 16
MAX_MOMENTS = 16  # generators of earlier moments in memory, 30 MB each
DIGITS = 2  # of a found latent: as fine as the sliders, and a link to it stays short
SEARCH = 10.0, 300  # seconds and steps, whichever is over first
WARM_UP_AFTER = 5.0  # seconds
SHOWN = 0.25  # seconds between two looks at a search


@dataclass
class Opened:
    """A checkpoint; the order of its dimensions, the logits that faces are ranked among and its finder, once made."""

    checkpoint: Checkpoint
    finder: Finder | None = None
    response: Tensor | None = None
    ranking: list[int] = field(default_factory=list)
    logits: dict[str, np.ndarray] = field(default_factory=dict)
    measuring: Turns = field(default_factory=lambda: Turns(1, 4))
    learning: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Pair:
    """Reals beside fakes: two grids [8 S, 8 S, nc], a sentence that says what they are, and who made the fakes."""

    real: Pixels | None
    fake: Pixels
    note: str
    checkpoint: str


@dataclass(frozen=True)
class Opinion:
    """realer_than: the share (0 to 1) of `among` ("reals": held out from training, or "fakes") that look less real."""

    realer_than: float
    among: str


@dataclass(frozen=True)
class Quiz:
    """pictures: [40, S, S, nc], left and right of each pair. fakes, discriminator: which is fake, which D would say."""

    pictures: Pixels
    fakes: list[int]
    discriminator: list[int]
    note: str


@dataclass(frozen=True)
class Search:
    """A search for a photo's face: what is looked for (its crop), and the best found so far.

    target, face: [S, S, nc]. origin: the z [nz] of `face`, rounded. error: mean difference from the target, in grey
    levels. done: 0 to 1. face_found: false where the crop is only the photo's centre.
    """

    target: Pixels
    face: Pixels
    origin: list[float]
    error: float
    done: float
    face_found: bool


class Studio:
    """The checkpoints found at `source`, and the real images at `dataroot`.

    Raises CheckpointError if no checkpoint can be opened, DataError if there is nothing at `dataroot`. A broken
    checkpoint beside good ones is left out, and so are directions that cannot be used; `broken` keeps the reasons.
    """

    def __init__(self, source: str | Path, dataroot: str | None = None):
        self.dataroot = dataroot
        self.broken: list[str] = []
        self._opened: dict[str, Opened] = {}
        self._reading: dict[tuple[str, int, int], Future[Reals]] = {}
        self._lock = threading.Lock()
        self._generator_at = lru_cache(MAX_MOMENTS)(self._read_generator)
        # Visitors' work runs side by side, each on one core: threads that wait for each other collapse under load.
        torch.set_num_threads(1)
        cores = os.cpu_count() or 1
        self._slots = Turns(cores, 64)  # more at once would only make everyone wait longer
        self._long = Turns(max(1, cores - 1), 12)  # work of seconds leaves a core to the faces
        if dataroot is not None:
            open_source(dataroot)
        self._open(Path(source))

    def _open(self, source: Path) -> None:
        for folder in find_checkpoints(source):
            try:
                checkpoint = load_checkpoint(folder)
            except CheckpointError as error:
                self._leave_out(error, folder)
                continue
            try:
                _ = checkpoint.directions
            except CheckpointError as error:
                self._leave_out(error, checkpoint.folder)
                checkpoint.directions = ()
            name, number = checkpoint.name, 2
            while name in self._opened:
                name, number = f"{checkpoint.name} ({number})", number + 1
            self._opened[name] = Opened(checkpoint)
        if not self._opened:
            raise CheckpointError("; ".join(self.broken) or f"no checkpoint at '{source}': train.py --out makes one")

    def _leave_out(self, error: CheckpointError, folder: Path) -> None:
        self.broken.append(str(error).replace(f"{folder.parent}{os.sep}", ""))  # visitors need not know where

    def warm_up(self) -> None:
        """Do in the background what the first visitors would else wait for: the first face, and, once their page may
        be there, the rest.
        """

        def work() -> None:
            with suppress(ValueError):  # many visitors are here already
                self.face()
            time.sleep(WARM_UP_AFTER)
            for name in self.names:
                self._read_reals(name)
                for prepare in (self.ranking, self.opinion, self._finder, lambda name: self.closest(checkpoint=name)):
                    with suppress(ValueError):  # the same, or the reals are not at hand
                        prepare(name)

        threading.Thread(target=work, daemon=True).start()

    # What there is

    @property
    def names(self) -> list[str]:
        """The checkpoints that can be shown, the default one first: photographs before drawn faces."""
        return sorted(self._opened, key=lambda name: (self._is_drawn(name), name))

    def checkpoints(self) -> list[dict[str, Any]]:
        """Every checkpoint with its figures, the default one first."""
        return [self._facts(name) for name in self.names]

    def _facts(self, name: str) -> dict[str, Any]:
        checkpoint = self._opened[name].checkpoint
        data = checkpoint.config.get("data") or {}
        return {
            "name": name,
            "image_size": checkpoint.model.image_size,
            "channels": checkpoint.model.nc,
            "nz": checkpoint.model.nz,
            "parameters": parameter_count(checkpoint.generator),
            "images_seen": checkpoint.images_seen,
            "data": data.get("name") or "images without a name",
            "data_count": data.get("count") or 0,
            "license": data.get("license"),
            "directions": {d.name: [d.low, d.high] for d in checkpoint.directions},
        }

    def checkpoint(self, name: str = "") -> Checkpoint:
        """One of them, by its name."""
        return self._checkpoint(name)

    def about(self, checkpoint: str = "") -> str:
        """A checkpoint in words: size, data set, images seen, licence."""
        sentences = self.sentences(checkpoint)
        return " ".join(text.format(**{k: _rounded(v) for k, v in gaps.items()}) for text, gaps in sentences)

    def sentences(self, checkpoint: str = "") -> list[tuple[str, dict[str, Any]]]:
        """The same as texts with {gaps}, and what stands in these, for a page in another language."""
        facts = self._facts(self._name(checkpoint))
        draws = "Draws colour faces" if facts["channels"] == 3 else "Draws grey faces"
        count, terms = facts["data_count"], facts["license"]
        return [
            (
                f"{draws} of {{size}} × {{size}} pixels from {{nz}} numbers, with {{weights}} weights.",
                {"size": facts["image_size"], "nz": facts["nz"], "weights": facts["parameters"]},
            ),
            (
                "Has seen {seen} images of {data}, a set of {count}." if count else "Has seen {seen} images of {data}.",
                {"seen": facts["images_seen"], "data": facts["data"], "count": count},
            ),
            ("Terms of the data: {terms}." if terms else "Terms of the data: not stated.", {"terms": terms}),
        ]

    def card(self, checkpoint: str = "") -> str:
        """The model card, as Markdown: its text without what only the Hub reads, and without pictures."""
        try:
            text = (self._checkpoint(checkpoint).folder / "README.md").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return "This checkpoint has no model card."
        return re.sub(r"\A---\n.*?\n---\n|!\[.*?\]\(.*?\)", "", text, flags=re.DOTALL).strip()

    def summary(self, checkpoint: str = "") -> dict[str, Any]:
        """What the page has to know of a checkpoint to begin with."""
        name = self._name(checkpoint)
        opened = self._checkpoint(name)
        directions = [
            {"name": d.name, "low": d.low, "high": d.high, "ends": d.ends, "kind": d.kind} for d in opened.directions
        ]
        return {
            "name": name,
            "names": self.names,
            "size": opened.model.image_size,
            "nz": opened.model.nz,
            "directions": directions,
            "moments": list(self._moments(name)),
            "sentences": self.sentences(name),
        }

    # Faces

    def random_seed(self) -> int:
        """A seed that nobody chose, short enough to remember."""
        return random.SystemRandom().randrange(1_000_000)

    def latent(
        self, seed: int = 0, checkpoint: str = "", walk: list[int] | None = None, origin: list[float] | None = None
    ) -> list[float]:
        """The z [nz] of a seed or origin, and of the neighbours walked to from there, before truncation and edits."""
        return self._walked(self._checkpoint(checkpoint), seed, walk, origin).tolist()

    def face(self, seed: int = 0, checkpoint: str = "", moment: int | None = None, **more: Any) -> Pixels:
        """The face [S, S, nc] of a seed. `more`: truncation, edits, directions, walk, origin and shift.

        The z `origin` [nz] takes the seed's place. `walk` leads on from there, each number to one of the neighbours.
        The z is drawn towards the origin by `truncation` (0 to 2); then `edits`, {dimension: value from -6 to 6}, take
        the place of some of its values, and `directions`, {name: standard deviations}, and `shift` [nz] are added.
        `moment`: as the generator drew it after so many images, one of the summary's moments.
        """
        generator, z = self._wanted(checkpoint, moment, seed=seed, **more)
        return self._render(generator, z[None])[0]

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
            with self._slots.ahead():
                answers |= zip(those, _pixels(generator, torch.stack([*those.values()])), strict=True)
        return [answers[i] for i in range(len(states))]

    def around(
        self, checkpoint: str = "", walk: list[int] | None = None, moment: int | None = None, **face: Any
    ) -> tuple[list[int], Pixels, Opinion | None]:
        """What is around a face, given as in `face`: eight neighbours [8, S, S, nc] a step away from it.

        Before them the numbers that lead there, and behind them its `opinion`.
        """
        name, walk = self._name(checkpoint), asked.walk(walk)
        first = NEIGHBOURS * len(walk)
        numbers = list(range(first, first + NEIGHBOURS))
        ways = [walk, *([*walk, number][-asked.MAX_WALK :] for number in numbers)]
        z = torch.stack([self._z(self._checkpoint(name), walk=way, **face) for way in ways])
        pixels = self._render(self._generator(name, moment), z)
        return numbers, pixels[1:], self._opinion(name, pixels[0])

    def opinion(self, checkpoint: str = "", **face: Any) -> Opinion | None:
        """What the discriminator thinks of a face, given as in `face`; None where there is no discriminator."""
        return self._opinion(self._name(checkpoint), self.face(checkpoint=checkpoint, **face))

    def _opinion(self, name: str, face: Pixels) -> Opinion | None:
        try:
            logit = self._logits(name, face[None])[0]
            among, logits = self._known_logits(name)
        except CheckpointError:
            return None
        return Opinion(float((logits < logit).mean()), among)

    def _wanted(self, checkpoint: str = "", moment: int | None = None, **face: Any) -> tuple[Generator, Tensor]:
        return self._generator(checkpoint, moment), self._z(self._checkpoint(checkpoint), **face)

    def _walked(
        self, opened: Checkpoint, seed: int = 0, walk: list[int] | None = None, origin: list[float] | None = None
    ) -> Tensor:
        nz = opened.model.nz
        z = latents.latent(asked.seed(seed), nz) if origin is None else asked.latent(origin, "origin", nz)
        for number in asked.walk(walk):  # turned and not moved: a walk stays where the generator was trained
            z = math.cos(STEP) * z + math.sin(STEP) * latents.latent(number, nz)
        return z

    def _z(
        self,
        opened: Checkpoint,
        seed: int = 0,
        truncation: float = 1.0,
        edits: dict[Any, float] | None = None,
        directions: dict[str, float] | None = None,
        walk: list[int] | None = None,
        origin: list[float] | None = None,
        shift: list[float] | None = None,
    ) -> Tensor:
        z = asked.number(truncation, "truncation", 0.0, MAX_TRUNCATION) * self._walked(opened, seed, walk, origin)
        for dimension, value in asked.edits(edits, opened.model.nz).items():
            z[dimension] = value
        known = {direction.name: direction for direction in opened.directions}
        for name, amount in asked.mapping(directions, "directions").items():
            direction = known[asked.choice(name, "direction", tuple(known))]
            z += asked.number(amount, name, direction.low, direction.high) * direction.vector
        return z if shift is None else z + asked.latent(shift, "shift", opened.model.nz)

    def _logits(self, name: str, pixels: Pixels) -> np.ndarray:
        """The discriminator's logits [N] of images [N, S, S, nc]."""
        net = self._opened[name].checkpoint.discriminator
        with self._slots, torch.inference_mode():
            images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
            return torch.cat([net(piece) for piece in images.split(64)]).numpy()

    def _known_logits(self, name: str) -> tuple[str, np.ndarray]:
        """The logits a face is ranked among: of photographs held out from training, else of other made-up faces."""
        opened, reading = self._opened[name], self._read_reals(name)
        at_hand = reading is not None and reading.done() and reading.exception() is None
        reals = reading.result() if reading is not None and at_hand else None
        among = "reals" if reals is not None and reals.enough_heldout else "fakes"
        with opened.measuring:
            if among not in opened.logits:
                if among == "reals" and reals is not None:
                    pixels = reals.pixels[reals.heldout].transpose(0, 2, 3, 1)
                else:
                    pixels = self._fakes(name, range(FIRST_JUDGED, FIRST_JUDGED + JUDGED))
                opened.logits[among] = self._logits(name, pixels)
        return among, opened.logits[among]

    def ranking(self, checkpoint: str = "") -> list[int]:
        """The dimensions of z, the one that changes the picture most first."""
        opened = self._opened[self._name(checkpoint)]
        with opened.measuring:
            if not opened.ranking:
                opened.ranking = self._measure_ranking(opened.checkpoint.generator)
        return opened.ranking

    def _measure_ranking(self, generator: Generator, seeds: int = 3) -> list[int]:
        """By mean absolute pixel change as a dimension goes from -2 to 2, over a few seeds."""
        nz = generator.config.nz
        effect = np.zeros(nz)
        for z in latents.latents(range(seeds), nz):
            low, high = (z.repeat(nz, 1).fill_diagonal_(end) for end in (-2.0, 2.0))
            change = self._render(generator, high).astype(np.int16) - self._render(generator, low)
            effect += np.abs(change).mean(axis=(1, 2, 3))
        return np.argsort(-effect, kind="stable").tolist()

    # From a photo to a face

    def find(self, photo: str | Path, checkpoint: str = "") -> Iterator[Search]:
        """Search for the latent whose face is nearest to a photo's, some times a second; it takes about ten seconds.

        Nothing of the photo is kept.
        """
        name = self._name(checkpoint)
        finder = self._finder(name)
        with self._slots.politely():
            crop = finder.crop(given.photo(photo))
        target = crop.pixels.permute(1, 2, 0).numpy()
        shown = -math.inf
        for progress in self._search(finder, crop.pixels):
            if progress.done < 1 and time.monotonic() - shown < SHOWN:
                continue
            z = (progress.z.clamp(-asked.MAX_Z, asked.MAX_Z) * 10**DIGITS).round() / 10**DIGITS
            with self._slots.politely():
                face = render(self._opened[name].checkpoint.generator, z[None])[0].permute(1, 2, 0).numpy()
            error = float(np.abs(face.astype(np.int16) - target).mean())
            origin = [round(value, DIGITS) for value in z.tolist()]
            yield Search(target, face, origin, error, progress.done, crop.face)
            shown = time.monotonic()

    def _search(self, finder: Finder, target: Tensor) -> Iterator[Progress]:
        if zerogpu.LENT:
            with suppress(Exception):  # no GPU is free, or this visitor has had their share: it is done here
                yield from search_with_gpu(finder, target, *SEARCH)
                return
        search = finder.search(target, *SEARCH)
        while True:
            with self._slots.politely():  # a step at a time: a search that nobody follows any more holds up nobody
                progress = next(search, None)
            if progress is None:
                return
            yield progress

    def _finder(self, name: str) -> Finder:
        opened = self._opened[name]
        with opened.learning:
            if opened.finder is None:
                generator = opened.checkpoint.generator
                opened.finder = Finder(opened.checkpoint, lambda z: self._render(generator, z, polite=True))
        return opened.finder

    # The lab

    def faces(self, faces: list[int | dict[str, Any]], checkpoint: str = "") -> Pixels:
        """Up to 64 faces [N, S, S, nc], each a seed or a mapping of what makes it.

        That is seed, truncation, edits, directions, walk, origin and shift, as in `face`.
        """
        opened = self._checkpoint(checkpoint)
        return self._render(opened.generator, self._latents(opened, self._some(faces)))

    def slider(self, having: list[Any], lacking: list[Any], checkpoint: str = "") -> list[float]:
        """A direction [nz], of length 1, from examples: up to 64 faces that have a trait, and as many that lack it."""
        opened = self._opened[self._name(checkpoint)]
        sides = [self._latents(opened.checkpoint, self._some(side)) for side in (having, lacking)]
        with opened.learning, self._long:
            if opened.response is None:
                opened.response = lab.response(opened.checkpoint.generator)
        return [round(value, 3) for value in lab.slider(sides[0], sides[1], opened.response).tolist()]

    def arithmetic(self, start: list[Any], minus: list[Any], plus: list[Any], checkpoint: str = "") -> list[float]:
        """The z [nz] of a sum of faces: mean of `start`, less the mean of `minus`, and that of `plus` added."""
        opened = self._checkpoint(checkpoint)
        z = lab.arithmetic(*(self._latents(opened, self._some(part)) for part in (start, minus, plus)))
        return [round(value, DIGITS) for value in z.clamp(-asked.MAX_Z, asked.MAX_Z).tolist()]

    def _some(self, faces: Any) -> list[Any]:
        if not isinstance(faces, list) or not 1 <= len(faces) <= GRID**2:
            raise ValueError(f"choose 1 to {GRID**2} faces for each part")
        return faces

    def _latents(self, opened: Checkpoint, faces: Sequence[int | dict[str, Any]]) -> Tensor:
        recipes = [face if isinstance(face, dict) else {"seed": face} for face in faces]
        try:
            return torch.stack([self._z(opened, **recipe) for recipe in recipes])
        except TypeError:
            raise ValueError("a face is a seed, or a mapping of what makes it: seed, truncation, edits, ...") from None

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

        faces: seeds, or mappings of what `face` takes. With `loop` the way leads back to the first face.
        """
        opened = self._checkpoint(checkpoint)
        if not isinstance(faces, list | tuple) or not 2 <= len(faces) <= MAX_STOPS:
            raise ValueError(f"faces must be a list of 2 to {MAX_STOPS}, not {asked.short(faces)}")
        stops = self._latents(opened, faces)
        spherical = asked.choice(kind, "path", PATHS) == "spherical"
        way = latents.path(stops, asked.whole(frames, "frames", 2, MAX_FRAMES), spherical, bool(loop))
        with self._long:
            return self._render(opened.generator, way)

    def animation(self, frames: Pixels, format: str = "gif", seconds: float = 4.0, loop: bool = False) -> bytes:
        """Frames as a file, as in dcgan/pictures.py."""
        with self._long:
            return animation(frames, format, seconds, loop)

    # Real and fake

    def real_vs_fake(self, shuffle: int = 0, checkpoint: str = "", own: Pixels | None = None) -> Pair:
        """64 reals beside 64 fakes, the same ones for the same `shuffle` number (0 to 999,999).

        The fakes are those of the seeds from 64 * shuffle on. `own`, [N, S, S, nc], are the visitor's reals. Where
        what the checkpoint learned from is not at hand, the built-in pair stands in, and the note says why.
        """
        shuffle = asked.whole(shuffle, "shuffle", 0, MAX_SHUFFLE)
        reals, _, name, note = self._sides(checkpoint, own)
        fakes = grid(self._fakes(name, range(shuffle * GRID**2, (shuffle + 1) * GRID**2)))
        chosen = np.random.default_rng(shuffle).permutation(len(reals))[: GRID * GRID]
        return Pair(grid(reals[chosen].transpose(0, 2, 3, 1)) if len(reals) else None, fakes, note, name)

    def quiz(self, checkpoint: str = "", own: Pixels | None = None) -> Quiz:
        """Twenty pairs of a real and a fake, at random, with what the discriminator would say.

        The reals are held-out ones, where there are any: neither visitor nor discriminator has seen them.
        Raises ValueError where there are no reals, or no discriminator.
        """
        pixels, reals, name, note = self._sides(checkpoint, own)
        chosen = reals.heldout if reals is not None and len(reals.heldout) >= PAIRS else np.arange(len(pixels))
        if len(chosen) < PAIRS:
            raise ValueError(f"the quiz needs {PAIRS} real pictures, and there are {len(chosen)}. {note}")
        rng = np.random.default_rng()
        real = pixels[rng.permutation(chosen)[:PAIRS]].transpose(0, 2, 3, 1)
        fake = self._fakes(name, rng.integers(latents.MAX_SEED, size=PAIRS))
        try:
            fooled = self._logits(name, fake) > self._logits(name, real)
        except CheckpointError:
            raise ValueError("this checkpoint has no discriminator to play against") from None
        fakes = rng.integers(2, size=PAIRS)  # 0: left, 1: right
        pairs = [side for r, f, at in zip(real, fake, fakes, strict=True) for side in ((r, f) if at else (f, r))]
        return Quiz(np.stack(pairs), fakes.tolist(), np.where(fooled, 1 - fakes, fakes).tolist(), note)

    def closest(self, seed: int = 0, count: int = 6, checkpoint: str = "") -> tuple[Pixels, Likeness]:
        """The training images [count, S, S, nc] that come closest to the face of a seed, and how close that is.

        Raises ValueError where what the checkpoint learned from is not at hand.
        """
        name = self._name(checkpoint)
        try:
            reals = self._reals(name)
        except DataError as reason:
            raise ValueError(f"its nearest training images cannot be shown: {reason}") from None
        face = torch.from_numpy(self.face(seed, checkpoint=name)).permute(2, 0, 1)
        with self._slots:
            found = reals.closest(face, asked.whole(count, "count", 1, MAX_CLOSEST))
        return found.images.permute(0, 2, 3, 1).numpy(), found

    def own_photos(self, files: Sequence[str], checkpoint: str = "") -> Pixels:
        """A visitor's pictures, as in dcgan/given.py."""
        model = self._checkpoint(checkpoint).model
        with self._long:
            return given.own_photos(files, model.image_size, model.nc)

    def _sides(self, checkpoint: str, own: Pixels | None) -> tuple[Pixels, Reals | None, str, str]:
        """Real pixels [N, nc, S, S] (none if there are no reals at all), their Reals, a checkpoint, and a note."""
        name = self._name(checkpoint)
        model = self._checkpoint(name).model
        if own is not None and own.shape[1:] == (model.nc, model.image_size, model.image_size):
            return own, None, name, f"Real: {len(own):,} pictures of your own. Fake: made up by the checkpoint {name}."
        try:
            reals = self._reals(name)
            what = "drawn faces" if self._is_drawn(name) else "pictures"
            note = f"Real: {len(reals):,} {what} at hand. Fake: made up by the checkpoint {name}."
        except DataError as reason:
            # Another checkpoint may be the built-in model; else this one's own fakes stand beside drawn faces.
            name, wanted = next(filter(self._is_drawn, self.names), name), name
            note = f"The pictures that {wanted} learned from cannot be shown: {reason}. "
            try:
                reals = self._reals(name, AVATARS)
                note += f"Meanwhile, real are drawn faces, and fake is what the checkpoint {name} makes up."
            except DataError as another:
                nothing = np.empty((0, model.nc, model.image_size, model.image_size), np.uint8)
                return nothing, None, name, note + f"Nor can drawn faces: {another}."
        return reals.pixels, reals, name, note

    def _fakes(self, name: str, seeds: Iterable[int]) -> Pixels:
        checkpoint = self._checkpoint(name)
        return self._render(checkpoint.generator, latents.latents(seeds, checkpoint.model.nz))

    def _is_drawn(self, name: str) -> bool:
        data = self._opened[name].checkpoint.config.get("data") or {}
        return data.get("source") == AVATARS

    def _reals(self, name: str, where: str | None = None) -> Reals:
        """What a checkpoint learned from. Raises DataError, with the reason, if it is not at hand."""
        reading = self._read_reals(name, where)
        if reading is None:
            raise DataError("they are not on this machine; start the demo with `--dataroot` and their folder or zip")
        try:
            return reading.result(PATIENCE)
        except StillReading:
            raise DataError("they are still being read; shuffle again in a moment") from None

    def _read_reals(self, name: str, where: str | None = None) -> Future[Reals] | None:
        """Begin to read the reals, unless someone has."""
        checkpoint = self._opened[name].checkpoint
        where = where or (AVATARS if self._is_drawn(name) else self.dataroot or _on_the_hub(checkpoint))
        if where is None:
            return None
        key = where, checkpoint.model.image_size, checkpoint.model.nc
        with self._lock:
            if key not in self._reading or _failed(self._reading[key]):
                self._reading[key] = Future()
                threading.Thread(target=_read, args=(self._reading[key], *key), daemon=True).start()
            return self._reading[key]

    # The course of the training

    def replay(self, checkpoint: str = "") -> dict[str, Any]:
        """The course of the training: `frames`, the images seen at each snapshot, and `curves`, {name: values}.

        The curves are loss_d, loss_g, d_real and d_fake over images_seen, at most 400 points each; a value that is
        not finite is None.
        """
        opened = self._checkpoint(checkpoint)
        rows = thin_history(opened.history, MAX_CURVE)
        curves = {key: [_finite(row.get(key)) for row in rows] for key in CURVES}
        return {"frames": [snapshot.images_seen for snapshot in opened.snapshots], "curves": curves}

    def snapshot(self, index: int = 0, checkpoint: str = "") -> bytes:
        """A frame of the replay: the fixed-noise grid as it looked then, a WebP file."""
        snapshots = self._checkpoint(checkpoint).snapshots
        if not snapshots:
            raise ValueError("this checkpoint keeps no snapshots of its training")
        try:
            return snapshots[asked.whole(index, "frame", 0, len(snapshots) - 1)].path.read_bytes()
        except OSError:
            raise ValueError("this frame is no longer there: start the demo again") from None

    def _moments(self, name: str) -> dict[int, Snapshot]:
        """The earlier moments whose generators a checkpoint keeps, by the images seen."""
        checkpoint = self._checkpoint(name)
        return {m.images_seen: m for m in checkpoint.moments if m.images_seen < checkpoint.images_seen}

    def _generator(self, checkpoint: str, moment: int | None) -> Generator:
        if moment is None:
            return self._checkpoint(checkpoint).generator
        name, moments = self._name(checkpoint), self._moments(checkpoint)
        if not moments:
            raise ValueError("this checkpoint keeps no generators of earlier moments")
        if isinstance(moment, bool) or not isinstance(moment, int) or moment not in moments:
            raise ValueError(f"moment must be one of {', '.join(map(str, moments))}, not {asked.short(moment)}")
        return self._generator_at(name, moment)

    def _read_generator(self, name: str, moment: int) -> Generator:
        try:
            return self._checkpoint(name).generator_at(self._moments(name)[moment])
        except CheckpointError:
            raise ValueError("this moment is no longer there: start the demo again") from None

    # Within

    def _name(self, checkpoint: str) -> str:
        """The name of a checkpoint that is here; "" stands for the default one."""
        if checkpoint in ("", None):
            return self.names[0]
        if not isinstance(checkpoint, str) or checkpoint not in self._opened:
            raise ValueError(f"checkpoint must be one of {', '.join(self.names)}, not {asked.short(checkpoint)}")
        return checkpoint

    def _checkpoint(self, name: str) -> Checkpoint:
        return self._opened[self._name(name)].checkpoint

    def _render(self, generator: Generator, z: Tensor, polite: bool = False) -> Pixels:
        """Latents [N, nz] -> faces [N, S, S, nc], a few in each turn, so that nobody waits for many."""
        pieces = []
        for piece in z.split(PIECE):
            with self._slots.politely() if polite else self._slots:
                pieces.append(_pixels(generator, piece))
        return np.concatenate(pieces)


def _pixels(generator: Generator, z: Tensor) -> Pixels:
    """Latents [N, nz] -> faces [N, S, S, nc]."""
    return render(generator, z).permute(0, 2, 3, 1).numpy()


def _rounded(value: Any) -> str:
    if not isinstance(value, int):
        return str(value)
    return f"{value / 1e6:.1f} million" if value >= 1e6 else f"{value:,}"


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _on_the_hub(checkpoint: Checkpoint) -> str | None:
    """The address of a checkpoint's reals, in a Space. Elsewhere the demo asks nothing of the network by itself."""
    return f"hf://datasets/{checkpoint.hub}" if checkpoint.hub and os.environ.get("SPACE_ID") else None


def _failed(reading: Future[Reals]) -> bool:
    """Whether it is worth reading again: the network may be back."""
    return reading.done() and reading.exception() is not None


def _read(reading: Future[Reals], where: str, size: int, nc: int) -> None:
    """Fill in `reading`, or give it the reason why not."""
    try:
        limit = DRAWN if where == AVATARS else STREAMED if where.startswith("hf://") else None
        # No worker processes: a fork of a server full of threads may never wake up.
        images = load_images(where, size, nc, workers=0, limit=limit, progress=False)
        reading.set_result(Reals(images))
    except Exception as error:  # whoever waits for the reading is to hear of it, whatever it was
        reading.set_exception(DataError(str(error).rstrip(".")))
