"""Everything that the demo can do, without Gradio: checkpoints in, pixels out.

Every method may be called from any thread and checks what it is given: a visitor's mistake is a ValueError whose
message is one line for the visitor. Nothing that belongs to a visitor is kept here.
"""

import io
import math
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillReading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dcgan import latents
from dcgan.checkpoint import Checkpoint, CheckpointError, find_checkpoints, load_checkpoint, thin_history
from dcgan.data import DataError, load_images, open_source
from dcgan.generate import render
from dcgan.model import parameter_count

Pixels = NDArray[np.uint8]

AVATARS = "avatars"  # the built-in data set, drawn on the spot
DRAWN = 256  # so many of its faces: four grids without a repeat, drawn in a few seconds
STREAMED = 512  # so many reals of a data set on the Hub
PATIENCE = 10.0  # seconds to wait for the reals before showing something else meanwhile
GRID = 8  # a grid shows GRID x GRID faces
MAX_TRUNCATION = 2.0
MAX_Z = 6.0  # beyond it the generator was never trained
MAX_FRAMES = 64
MAX_SHUFFLE = 999_999
MAX_CURVE = 400  # points of a curve: no screen shows more
CURVES = ("images_seen", "loss_d", "loss_g", "d_real", "d_fake")
PATHS = ("spherical", "linear")
FORMATS = ("gif", "webp")


@dataclass
class Opened:
    """A checkpoint, and the order of its dimensions once that is measured."""

    checkpoint: Checkpoint
    ranking: list[int] = field(default_factory=list)
    measuring: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Pair:
    """Reals beside fakes: two grids [8 S, 8 S, nc] and a sentence that says what they are."""

    real: Pixels | None
    fake: Pixels
    note: str


class Studio:
    """The checkpoints found at `source`, and the real images at `dataroot`.

    Raises CheckpointError if no checkpoint can be opened, DataError if there is nothing at `dataroot`. A broken
    checkpoint beside good ones is left out, and its reason kept in `broken`.
    """

    def __init__(self, source: str | Path, dataroot: str | None = None):
        self.dataroot = dataroot
        self.broken: list[str] = []
        self._opened: dict[str, Opened] = {}
        self._reading: dict[tuple[str, int, int], Future[np.ndarray]] = {}
        self._lock = threading.Lock()
        # More at once would only make everyone wait longer.
        self._slots = threading.BoundedSemaphore(os.cpu_count() or 1)
        if dataroot is not None:
            open_source(dataroot)
        self._open(Path(source))

    def _open(self, source: Path) -> None:
        for folder in find_checkpoints(source):
            try:
                checkpoint = load_checkpoint(folder)
            except CheckpointError as error:
                self.broken.append(str(error).replace(f"{source}{os.sep}", ""))  # visitors need not know where
                continue
            name, number = checkpoint.name, 2
            while name in self._opened:
                name, number = f"{checkpoint.name} ({number})", number + 1
            self._opened[name] = Opened(checkpoint)
        if not self._opened:
            raise CheckpointError("; ".join(self.broken) or f"no checkpoint at '{source}': train.py --out makes one")

    def warm_up(self) -> None:
        """Begin, in the background, what the first visitors would else wait for."""

        def work() -> None:
            for name in self.names:
                self._read_reals(name)
                self.ranking(name)

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
        }

    def about(self, checkpoint: str = "") -> str:
        """A checkpoint in words: size, data set, images seen, licence."""
        facts = self._facts(self._name(checkpoint))
        size, colours = facts["image_size"], "colour" if facts["channels"] == 3 else "grey"
        pictures = f", a set of {facts['data_count']:,}" if facts["data_count"] else ""
        return (
            f"Draws {colours} faces of {size} × {size} pixels from {facts['nz']} numbers, with "
            f"{_rounded(facts['parameters'])} weights. Has seen {_rounded(facts['images_seen'])} images "
            f"of {facts['data']}{pictures}. Terms of the data: {facts['license'] or 'not stated'}."
        )

    def summary(self, checkpoint: str = "") -> dict[str, Any]:
        """What the page has to know of a checkpoint to begin with."""
        name = self._name(checkpoint)
        model = self._opened[name].checkpoint.model
        return {"name": name, "names": self.names, "size": model.image_size, "nz": model.nz}

    # Faces

    def random_seed(self) -> int:
        """A seed that nobody chose, short enough to remember."""
        return random.SystemRandom().randrange(1_000_000)

    def latent(self, seed: int = 0, checkpoint: str = "") -> list[float]:
        """The z [nz] of a seed, before truncation and edits."""
        nz = self._checkpoint(checkpoint).model.nz
        return latents.latent(_seed(seed), nz).tolist()

    def face(
        self, seed: int = 0, truncation: float = 1.0, edits: dict[Any, float] | None = None, checkpoint: str = ""
    ) -> Pixels:
        """The face [S, S, nc] of a seed.

        Its z is drawn towards the origin by `truncation` (0 to 2); then `edits`, {dimension: value from -6 to 6},
        take the place of some of its values.
        """
        opened = self._checkpoint(checkpoint)
        nz = opened.model.nz
        z = _number(truncation, "truncation", 0.0, MAX_TRUNCATION) * latents.latent(_seed(seed), nz)
        for dimension, value in _edits(edits, nz).items():
            z[dimension] = value
        return self._render(opened, z[None])[0]

    def ranking(self, checkpoint: str = "") -> list[int]:
        """The dimensions of z, the one that changes the picture most first."""
        opened = self._opened[self._name(checkpoint)]
        with opened.measuring:
            if not opened.ranking:
                opened.ranking = self._measure_ranking(opened.checkpoint)
        return opened.ranking

    def _measure_ranking(self, checkpoint: Checkpoint, seeds: int = 3) -> list[int]:
        """By mean absolute pixel change as a dimension goes from -2 to 2, over a few seeds."""
        nz = checkpoint.model.nz
        effect = np.zeros(nz)
        for z in latents.latents(range(seeds), nz):
            low, high = (z.repeat(nz, 1).fill_diagonal_(end) for end in (-2.0, 2.0))
            change = self._render(checkpoint, high).astype(np.int16) - self._render(checkpoint, low)
            effect += np.abs(change).mean(axis=(1, 2, 3))
        return np.argsort(-effect, kind="stable").tolist()

    # From one face to another

    def path(
        self, seed_a: int = 0, seed_b: int = 1, kind: str = "spherical", frames: int = 9, checkpoint: str = ""
    ) -> Pixels:
        """`frames` (2 to 64) faces [frames, S, S, nc] on the way from seed A to seed B, both included."""
        opened = self._checkpoint(checkpoint)
        stops = latents.latents([_seed(seed_a, "seed A"), _seed(seed_b, "seed B")], opened.model.nz)
        spherical = _choice(kind, "path", PATHS) == "spherical"
        return self._render(opened, latents.path(stops, _whole(frames, "frames", 2, MAX_FRAMES), spherical))

    def animation(self, frames: Pixels, format: str = "gif", seconds: float = 4.0) -> bytes:
        """Frames as a GIF or animated WebP of about 256 px that goes there and back, for ever, in `seconds` each."""
        format = _choice(format, "format", FORMATS)
        seconds = _number(seconds, "seconds", 0.5, 60.0)
        factor = max(1, 256 // frames.shape[1])
        options: dict[str, Any] = {"quality": 85, "method": 2} if format == "webp" else {}
        file = io.BytesIO()
        with self._slots:
            there = [enlarged(picture(frame), factor) for frame in frames]
            if format == "gif":  # one palette for all: nothing flickers, and Pillow's own is a hundred times slower
                palette = picture(grid(frames)).quantize()
                there = [frame.quantize(palette=palette) for frame in there]
            loop = there + there[-2:0:-1]
            pace = max(20, round(1000 * seconds / len(loop)))  # browsers slow down anything faster
            loop[0].save(file, format, save_all=True, append_images=loop[1:], duration=pace, loop=0, **options)
        return file.getvalue()

    # Real and fake

    def real_vs_fake(self, shuffle: int = 0, checkpoint: str = "") -> Pair:
        """64 reals beside 64 fakes, the same ones for the same `shuffle` number (0 to 999,999).

        The fakes are those of the seeds from 64 * shuffle on. Where what the checkpoint learned from is not at hand,
        the built-in pair stands in for it, and the note says why and what to do.
        """
        name = self._name(checkpoint)
        shuffle = _whole(shuffle, "shuffle", 0, MAX_SHUFFLE)
        try:
            reals = self._reals(name)
            what = "drawn faces" if self._is_drawn(name) else "pictures"
            note = f"Real: 64 of {len(reals):,} {what} at hand. Fake: 64 that the checkpoint {name} made up."
        except DataError as reason:
            # Another checkpoint may be the built-in model; else this one's own fakes stand beside drawn faces.
            name, wanted = next(filter(self._is_drawn, self.names), name), name
            note = f"The pictures that {wanted} learned from cannot be shown: {reason}. "
            try:
                reals = self._reals(name, AVATARS)
                note += f"Meanwhile, real are drawn faces, and fake is what the checkpoint {name} makes up."
            except DataError as another:
                return Pair(None, self._fakes(name, shuffle), note + f"Nor can drawn faces: {another}.")
        chosen = np.random.default_rng(shuffle).permutation(len(reals))[: GRID * GRID]
        return Pair(grid(reals[chosen].transpose(0, 2, 3, 1)), self._fakes(name, shuffle), note)

    def _fakes(self, name: str, shuffle: int) -> Pixels:
        checkpoint, count = self._checkpoint(name), GRID * GRID
        seeds = range(shuffle * count, (shuffle + 1) * count)
        return grid(self._render(checkpoint, latents.latents(seeds, checkpoint.model.nz)))

    def _is_drawn(self, name: str) -> bool:
        data = self._opened[name].checkpoint.config.get("data") or {}
        return data.get("source") == AVATARS

    def _reals(self, name: str, where: str | None = None) -> np.ndarray:
        """What a checkpoint learned from, uint8 [N, nc, S, S]. Raises DataError, with the reason, if not at hand."""
        reading = self._read_reals(name, where)
        if reading is None:
            raise DataError("they are not on this machine; start the demo with `--dataroot` and their folder or zip")
        try:
            return reading.result(PATIENCE)
        except StillReading:
            raise DataError("they are still being read; shuffle again in a moment") from None

    def _read_reals(self, name: str, where: str | None = None) -> Future[np.ndarray] | None:
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
            return snapshots[_whole(index, "frame", 0, len(snapshots) - 1)].path.read_bytes()
        except OSError:
            raise ValueError("this frame is no longer there: start the demo again") from None

    # Within

    def _name(self, checkpoint: str) -> str:
        """The name of a checkpoint that is here; "" stands for the default one."""
        if checkpoint in ("", None):
            return self.names[0]
        if not isinstance(checkpoint, str) or checkpoint not in self._opened:
            raise ValueError(f"checkpoint must be one of {', '.join(self.names)}, not {_short(checkpoint)}")
        return checkpoint

    def _checkpoint(self, name: str) -> Checkpoint:
        return self._opened[self._name(name)].checkpoint

    def _render(self, checkpoint: Checkpoint, z: Tensor) -> Pixels:
        """Latents [N, nz] -> faces [N, S, S, nc]."""
        # One face is too little work to share among threads; faces of several visitors run side by side instead.
        with self._slots, _threads(1 if len(z) == 1 else torch.get_num_threads()):
            return render(checkpoint.generator, z).permute(0, 2, 3, 1).numpy()


# Pictures


def picture(pixels: Pixels) -> Image.Image:
    """[H, W, nc] as a picture."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


def enlarged(image: Image.Image, factor: int) -> Image.Image:
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)


def grid(images: Pixels, columns: int = GRID) -> Pixels:
    """Images [N, S, S, nc] row by row in one [rows S, columns S, nc]; what is left of the last row is black."""
    rows = -(-len(images) // columns)
    n, size, _, channels = images.shape
    cells = np.zeros((rows * columns, size, size, channels), np.uint8)
    cells[:n] = images
    cells = cells.reshape(rows, columns, size, size, channels).swapaxes(1, 2)
    return cells.reshape(rows * size, columns * size, channels)


def encoded(pixels: Pixels, format: str = "png") -> bytes:
    """[H, W, nc] as the bytes of a file: "png", which keeps every pixel, or "jpeg", for what is only looked at."""
    file = io.BytesIO()
    options = {"png": {"compress_level": 1}, "jpeg": {"quality": 93, "subsampling": 0}}[format]
    picture(pixels).save(file, format, **options)
    return file.getvalue()


# What visitors may ask for


def _seed(value: Any, name: str = "seed") -> int:
    return _whole(value, name, 0, latents.MAX_SEED)


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high and value == int(value):
        return int(value)
    raise ValueError(f"{name} must be a whole number from {low} to {high}, not {_short(value)}")


def _number(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:  # NaN is in no range
        return float(value)
    raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {_short(value)}")


def _choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    if value in choices:
        return value
    raise ValueError(f"{name} must be {' or '.join(choices)}, not {_short(value)}")


def _edits(edits: Any, nz: int) -> dict[int, float]:
    """Edits as {dimension: value}. In JSON the dimensions are texts."""
    if edits is None:
        return {}
    if not isinstance(edits, dict):
        raise ValueError(f"edits must be a mapping of dimensions to values, not {_short(edits)}")
    checked = {}
    for key, value in edits.items():
        dimension = int(key) if isinstance(key, str) and key.isdecimal() and len(key) < 6 else key
        dimension = _whole(dimension, "dimension", 0, nz - 1)
        checked[dimension] = _number(value, f"dimension {dimension}", -MAX_Z, MAX_Z)
    return checked


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _rounded(number: int) -> str:
    return f"{number / 1e6:.1f} million" if number >= 1e6 else f"{number:,}"


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _on_the_hub(checkpoint: Checkpoint) -> str | None:
    """The address of a checkpoint's reals, in a Space. Elsewhere the demo asks nothing of the network by itself."""
    return f"hf://datasets/{checkpoint.hub}" if checkpoint.hub and os.environ.get("SPACE_ID") else None


def _failed(reading: Future[np.ndarray]) -> bool:
    """Whether it is worth reading again: the network may be back."""
    return reading.done() and reading.exception() is not None


def _read(reading: Future[np.ndarray], where: str, size: int, nc: int) -> None:
    """Fill in `reading` with images [N, nc, size, size], or with the reason why not."""
    try:
        limit = DRAWN if where == AVATARS else STREAMED if where.startswith("hf://") else None
        # No worker processes: a fork of a server full of threads may never wake up.
        images = load_images(where, size, nc, workers=0, limit=limit, progress=False)
        reading.set_result(images.pixels)
    except Exception as error:  # whoever waits for the reading is to hear of it, whatever it was
        reading.set_exception(DataError(str(error).rstrip(".")))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with `count` threads within the block; the setting belongs to the calling thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
