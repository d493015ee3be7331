"""The checkpoints at hand, and what can be told of them: facts, curves and pictures of their training, model cards."""

import math
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from dcgan.checkpoint import Checkpoint, CheckpointError, Snapshot, find_checkpoints, load_checkpoint, thin_history
from dcgan.demo import requests
from dcgan.demo.sentences import Sentences, spelled
from dcgan.hub.pull import local_folder
from dcgan.model import Generator, parameter_count

MAX_CURVE = 400  # points of a curve: no screen shows more
CURVES = ("images_seen", "loss_d", "loss_g", "d_real", "d_fake", "ffd", "fd")
MAX_MOMENTS = 16  # generators of earlier moments in memory, 30 MB each


class Shelf:
    """The checkpoints found at `source`, by their names; where a name is asked for, "" stands for the default one.

    Raises CheckpointError if none can be opened. A broken one beside good ones is left out, and so are directions that
    cannot be used; `broken` keeps the reasons. A name that is not here is a ValueError, one line for the visitor.
    """

    def __init__(self, source: Path):
        self.broken: list[str] = []
        self._checkpoints: dict[str, Checkpoint] = {}
        self._generator_at = lru_cache(MAX_MOMENTS)(self._read_generator)
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
            while name in self._checkpoints:
                name, number = f"{checkpoint.name} ({number})", number + 1
            self._checkpoints[name] = checkpoint
        if not self._checkpoints:
            raise CheckpointError("; ".join(self.broken) or f"no checkpoint at '{source}': train.py --out makes one")

    def _leave_out(self, error: CheckpointError, folder: Path) -> None:
        self.broken.append(str(error).replace(f"{folder.parent}{os.sep}", ""))  # visitors need not know where

    @property
    def names(self) -> list[str]:
        """The checkpoints that can be shown, the default one first: photographs before drawn faces."""
        return sorted(self._checkpoints, key=lambda name: (self._checkpoints[name].is_drawn, name))

    def checkpoints(self) -> list[dict[str, Any]]:
        """Every checkpoint with its figures, the default one first."""
        return [self._facts(name) for name in self.names]

    def name(self, checkpoint: str) -> str:
        """The name of a checkpoint that is here."""
        if checkpoint in ("", None):
            return self.names[0]
        if not isinstance(checkpoint, str) or checkpoint not in self._checkpoints:
            raise ValueError(f"checkpoint must be one of {', '.join(self.names)}, not {requests.short(checkpoint)}")
        return checkpoint

    def checkpoint(self, name: str = "") -> Checkpoint:
        """One of them."""
        return self._checkpoints[self.name(name)]

    def _facts(self, name: str) -> dict[str, Any]:
        checkpoint = self._checkpoints[name]
        data = checkpoint.data
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

    def about(self, checkpoint: str = "") -> str:
        """A checkpoint in words: size, data set, images seen, licence."""
        return spelled(self.sentences(checkpoint))

    def sentences(self, checkpoint: str = "") -> Sentences:
        """The same for a page in another language."""
        facts = self._facts(self.name(checkpoint))
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
            text = (self.checkpoint(checkpoint).folder / "README.md").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return "This checkpoint has no model card."
        return re.sub(r"\A---\n.*?\n---\n|!\[.*?\]\(.*?\)", "", text, flags=re.DOTALL).strip()

    def summary(self, checkpoint: str = "") -> dict[str, Any]:
        """What the page has to know of a checkpoint to begin with."""
        name = self.name(checkpoint)
        found = self.checkpoint(name)
        directions = [
            {"name": d.name, "low": d.low, "high": d.high, "ends": d.ends, "kind": d.kind} for d in found.directions
        ]
        return {
            "name": name,
            "names": self.names,
            "size": found.model.image_size,
            "nz": found.model.nz,
            "directions": directions,
            "moments": list(self.moments(name)),
            "sentences": self.sentences(name),
        }

    def replay(self, checkpoint: str = "") -> dict[str, Any]:
        """The course of its training: `frames`, the images seen at each snapshot, and `curves`, {name: values}.

        The curves are loss_d, loss_g, d_real, d_fake and the measured ffd or fd over images_seen, at most 400 points
        each; a value that is missing or not finite is None.
        """
        known = self.checkpoint(checkpoint)
        rows = thin_history(known.history, MAX_CURVE)
        curves = {key: [_finite(row.get(key)) for row in rows] for key in CURVES}
        return {"frames": [snapshot.images_seen for snapshot in known.snapshots], "curves": curves}

    def snapshot(self, index: int = 0, checkpoint: str = "") -> bytes:
        """A frame of the replay: the fixed-noise grid as it looked then, a WebP file."""
        snapshots = self.checkpoint(checkpoint).snapshots
        if not snapshots:
            raise ValueError("this checkpoint keeps no snapshots of its training")
        try:
            return snapshots[requests.whole(index, "frame", 0, len(snapshots) - 1)].path.read_bytes()
        except OSError:
            raise ValueError("this frame is no longer there: start the demo again") from None

    def moments(self, name: str) -> dict[int, Snapshot]:
        """The earlier moments whose generators a checkpoint keeps, by the images seen."""
        checkpoint = self.checkpoint(name)
        return {m.images_seen: m for m in checkpoint.moments if m.images_seen < checkpoint.images_seen}

    def generator(self, checkpoint: str, moment: int | None = None) -> Generator:
        """The generator of a checkpoint, or as it was at one of its moments."""
        if moment is None:
            return self.checkpoint(checkpoint).generator
        name, moments = self.name(checkpoint), self.moments(checkpoint)
        if not moments:
            raise ValueError("this checkpoint keeps no generators of earlier moments")
        if isinstance(moment, bool) or not isinstance(moment, int) or moment not in moments:
            raise ValueError(f"moment must be one of {', '.join(map(str, moments))}, not {requests.short(moment)}")
        return self._generator_at(name, moment)

    def _read_generator(self, name: str, moment: int) -> Generator:
        try:
            return self.checkpoint(name).generator_at(self.moments(name)[moment])
        except CheckpointError:
            raise ValueError("this moment is no longer there: start the demo again") from None


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None
