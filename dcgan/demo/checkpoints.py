"""The checkpoints that the demo offers, and what pages say of one: facts, curves, snapshots, the model card."""

import math
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dcgan import latents, provenance
from dcgan.checkpoint import (
    Checkpoint,
    CheckpointError,
    find_checkpoints,
    load_checkpoint,
    load_net,
    no_checkpoint,
)
from dcgan.course import Snapshot, thin_history
from dcgan.demo import requests
from dcgan.demo.sentences import Sentences, spelled
from dcgan.hub.pull import local_folder
from dcgan.latent import arithmetic
from dcgan.latents import MAX_SEED
from dcgan.model import Discriminator, Generator, ModelConfig, parameter_count
from dcgan.pictures import normalised
from dcgan.sampling import render

MAX_CURVE = 400  # points of a curve: no screen shows more
CURVES = ("images_seen", "loss_d", "loss_g", "d_real", "d_fake", "ffd", "fd")
MAX_MOMENTS = 16  # earlier generators in memory, 30 MB each
RANKED_ON = 3  # seeds
RIVALS = range(2_000_000, 2_000_256)  # seeds of faces among which another is ranked


class Checkpoints:
    """The checkpoints at `source` by name; the name "" stands for the default one.

    A damaged checkpoint is left out, and so are directions that cannot be used; `broken` holds the reasons. Methods
    raise ValueError, one line for the visitor, for an unknown name. Raises CheckpointError if none can be opened.
    """

    def __init__(self, source: Path):
        self.broken: list[str] = []
        self._by_name: dict[str, Checkpoint] = {}
        for folder in find_checkpoints(local_folder(source)):
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
            while name in self._by_name:
                name, number = f"{checkpoint.name} ({number})", number + 1
            self._by_name[name] = checkpoint
        if not self._by_name:
            raise CheckpointError("; ".join(self.broken)) if self.broken else no_checkpoint(source)

    def _leave_out(self, error: CheckpointError, folder: Path) -> None:
        self.broken.append(str(error).replace(f"{folder.parent}{os.sep}", ""))  # without the machine's paths

    @property
    def names(self) -> list[str]:
        """The names, the default checkpoint first: photographs before drawn faces."""
        return sorted(self._by_name, key=lambda name: (self._by_name[name].is_drawn, name))

    def name(self, name: str = "") -> str:
        """A name that is known; "" and None give the default one."""
        return self.names[0] if name in ("", None) else requests.choice(name, "checkpoint", self.names)

    def get(self, name: str = "") -> Checkpoint:
        """The checkpoint of a name."""
        return self._by_name[self.name(name)]

    def figures(self) -> list[dict[str, Any]]:
        """Name and figures of every checkpoint, the default one first."""
        return [{"name": name, **facts(self._by_name[name])} for name in self.names]

    def summary(self, name: str = "") -> dict[str, Any]:
        """What a page needs to open a checkpoint, and the names of all."""
        checkpoint = self.get(name)
        return {
            "name": self.name(name),
            "names": self.names,
            "size": checkpoint.model.image_size,
            "nz": checkpoint.model.nz,
            "directions": [
                {"name": d.name, "low": d.low, "high": d.high, "ends": d.ends, "kind": d.kind}
                for d in checkpoint.directions
            ],
            "moments": list(moments(checkpoint)),
            "seeds": first_seeds(checkpoint),
            "marks": provenance.xmp(checkpoint, "{link}").decode(),
            "sentences": sentences(checkpoint),
        }

    def generator(self, name: str = "", moment: int | None = None) -> Generator:
        """The generator of a checkpoint, or as it was after `moment` images."""
        checkpoint = self.get(name)
        if moment is None:
            return checkpoint.generator
        known = moments(checkpoint)
        if not known:
            raise ValueError("this checkpoint keeps no generators of earlier moments")
        if type(moment) is not int or moment not in known:
            raise ValueError(f"moment must be one of {', '.join(map(str, known))}, not {requests.short(moment)}")
        try:
            return _generator_at(checkpoint.model, known[moment].path)
        except CheckpointError:
            raise ValueError("this moment is no longer there: start the demo again") from None


@lru_cache(MAX_MOMENTS)
def _generator_at(model: ModelConfig, path: Path) -> Generator:
    return load_net(Generator, model, path)


def facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """The figures of a checkpoint: sizes, data, licence, ranges of its directions."""
    model, data = checkpoint.model, checkpoint.data
    return {
        "image_size": model.image_size,
        "channels": model.nc,
        "nz": model.nz,
        "parameters": parameter_count(checkpoint.generator),
        "images_seen": checkpoint.images_seen,
        "data": data.get("name") or "images without a name",
        "data_count": data.get("count") or 0,
        "license": checkpoint.terms,
        "directions": {d.name: [d.low, d.high] for d in checkpoint.directions},
    }


def first_seeds(checkpoint: Checkpoint, most: int = 8) -> list[int]:
    """Seeds of faces to begin with, at most `most`: those that the checkpoint names, else seed 0."""
    named = checkpoint.config.get("seeds")
    known = [seed for seed in named if type(seed) is int and 0 <= seed <= MAX_SEED] if isinstance(named, list) else []
    return known[:most] or [0]


def sentences(checkpoint: Checkpoint) -> Sentences:
    """A checkpoint in words, to be translated by the page: size, data set, images seen, licence."""
    known = facts(checkpoint)
    draws = "Draws colour faces" if known["channels"] == 3 else "Draws grey faces"
    seen, count, terms = known["images_seen"], known["data_count"], known["license"]
    has_seen = "Has seen {seen} images of {data}, a set of {count}." if count else "Has seen {seen} images of {data}."
    return [
        (
            f"{draws} of {{size}} × {{size}} pixels from {{nz}} numbers, with {{weights}} weights.",
            {"size": known["image_size"], "nz": known["nz"], "weights": known["parameters"]},
        ),
        (
            has_seen if seen else "Nothing is known of its training.",
            {"seen": seen, "data": known["data"], "count": count},
        ),
        ("Terms of the data: {terms}." if terms else "Terms of the data: not stated.", {"terms": terms}),
    ]


def about(checkpoint: Checkpoint) -> str:
    """A checkpoint in English words."""
    return spelled(sentences(checkpoint))


def card(checkpoint: Checkpoint) -> str:
    """The model card as Markdown, without the front matter that only the Hub reads, and without pictures."""
    text = re.sub(r"\A---\n.*?\n---\n|!\[.*?\]\(.*?\)", "", checkpoint.card, flags=re.DOTALL).strip()
    return text or "This checkpoint has no model card."


def moments(checkpoint: Checkpoint) -> dict[int, Snapshot]:
    """The earlier generators that a checkpoint keeps, by images seen."""
    return {m.images_seen: m for m in checkpoint.moments if m.images_seen < checkpoint.images_seen}


def replay(checkpoint: Checkpoint) -> dict[str, Any]:
    """The course of a training: `frames`, the images seen at each snapshot, and `curves`, {name: values}.

    The curves are loss_d, loss_g, d_real, d_fake and the measured ffd or fd over images_seen, at most 400 points
    each; a value that is missing or not finite is None.
    """
    rows = thin_history(checkpoint.history, MAX_CURVE)
    curves = {key: [_finite(row.get(key)) for row in rows] for key in CURVES}
    return {"frames": [snapshot.images_seen for snapshot in checkpoint.snapshots], "curves": curves}


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def snapshot(checkpoint: Checkpoint, index: int = 0) -> bytes:
    """A frame of the replay, a WebP file of the fixed-noise grid. Raises ValueError."""
    if not checkpoint.snapshots:
        raise ValueError("this checkpoint keeps no snapshots of its training")
    frame = checkpoint.snapshots[requests.whole(index, "frame", 0, len(checkpoint.snapshots) - 1)]
    try:
        return frame.path.read_bytes()
    except OSError:
        raise ValueError("this frame is no longer there: start the demo again") from None


def ranking(generator: Generator) -> list[int]:
    """The dimensions of z, the one that changes the picture most first.

    By the mean absolute change of a pixel as a dimension goes from -2 to 2, over three seeds.
    """
    nz = generator.config.nz
    effect = np.zeros(nz)
    for z in latents.latents(range(RANKED_ON), nz):
        low, high = (z.repeat(nz, 1).fill_diagonal_(end) for end in (-2.0, 2.0))
        change = render(generator, high).numpy().astype(np.int16) - render(generator, low).numpy()
        effect += np.abs(change).mean(axis=(1, 2, 3))
    return np.argsort(-effect, kind="stable").tolist()


def fake_logits(checkpoint: Checkpoint) -> np.ndarray:
    """The discriminator's logits [256] of faces made up here, to rank others among. Raises CheckpointError."""
    faces = render(checkpoint.generator, latents.latents(RIVALS, checkpoint.model.nz))
    return logits(checkpoint.discriminator, faces)


@torch.inference_mode()
def logits(discriminator: Discriminator, pixels: Tensor) -> np.ndarray:
    """The discriminator's logits [N] of uint8 images [N, nc, S, S]."""
    return torch.cat([discriminator(normalised(piece)) for piece in pixels.split(64)]).numpy()


def signal(response: Tensor) -> list[list[float]]:
    """The covariance [nz, nz] with which pages fit sliders to examples, rounded: see dcgan/latent/arithmetic.py."""
    return [[float(f"{value:.6g}") for value in row] for row in arithmetic.expected(response).tolist()]
