"""The course of a training, as its run and its checkpoint keep it: history, snapshots, generators of some moments."""

import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dcgan.files import writing

HISTORY = "history.jsonl"  # a file and two folders in a run and in a checkpoint
SNAPSHOTS = "snapshots"
MOMENTS = "generators"
MAX_HISTORY = 2_000
MAX_SNAPSHOTS = 100

Row = dict[str, float]  # of a history: images_seen, and figures by name


@dataclass(frozen=True)
class Snapshot:
    """A file that shows a training after `images_seen` images: the fixed-noise grid, or the generator itself."""

    images_seen: int
    path: Path


@dataclass(frozen=True)
class Course:
    """How a training went: the rows of its history, its fixed-noise grids, and generators that it had on the way."""

    history: Sequence[Row] = ()
    snapshots: Sequence[Snapshot] = ()
    moments: Sequence[Snapshot] = ()

    def write(self, folder: Path) -> None:
        """Write it, thinned out, into the folder of a new checkpoint."""
        write_history(folder / HISTORY, thin_history(self.history))
        (folder / SNAPSHOTS).mkdir()
        for snapshot in thin_snapshots(self.snapshots):
            shutil.copyfile(snapshot.path, folder / SNAPSHOTS / snapshot.path.name)
        for moment in self.moments:
            (folder / MOMENTS).mkdir(exist_ok=True)
            try:
                os.link(moment.path, folder / MOMENTS / moment.path.name)
            except OSError:  # the file system has no hard links
                shutil.copyfile(moment.path, folder / MOMENTS / moment.path.name)


def read_history(path: Path) -> list[Row]:
    """The rows of a history.jsonl up to the first that is cut or malformed; empty if there is no such file."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict) or "images_seen" not in row or not all(map(_is_figure, row.values())):
            break
        rows.append(row)
    return rows


def _is_figure(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows of a history.jsonl, all or none."""
    with writing(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def thin_history(rows: Sequence[Row], limit: int = MAX_HISTORY) -> list[Row]:
    """At most `limit` rows: where there are more, equal stretches of the run are averaged into one row each."""
    if len(rows) <= limit:
        return list(rows)
    thinned = []
    for i in range(limit):
        stretch = rows[i * len(rows) // limit : (i + 1) * len(rows) // limit]
        row: Row = {}
        for key in {k: None for r in stretch for k in r}:
            values = [r[key] for r in stretch if key in r]
            row[key] = values[-1] if key == "images_seen" else round(sum(values) / len(values), 5)
        thinned.append(row)
    return thinned


def list_moments(folder: Path) -> list[Snapshot]:
    """The generators of earlier moments in a folder, oldest first."""
    return list_snapshots(folder, ".safetensors")


def list_snapshots(folder: Path, suffix: str = ".webp") -> list[Snapshot]:
    """The fixed-noise grids in a folder, oldest first; with another suffix, its other files named by images seen."""
    found = [path for path in folder.glob(f"*{suffix}") if path.stem.isdecimal() and path.is_file()]
    return sorted((Snapshot(int(path.stem), path) for path in found), key=lambda snapshot: snapshot.images_seen)


def thin_moments(moments: list[Snapshot], limit: int) -> list[Snapshot]:
    """At most `limit` moments, the first and the last among them, evenly spaced in the logarithm of images seen."""
    kept = list(moments)
    while len(kept) > max(limit, 2):
        when = [math.log(moment.images_seen + 1000) for moment in kept]
        kept.pop(min(range(1, len(kept) - 1), key=lambda i: when[i + 1] - when[i - 1]))
    return kept


def thin_snapshots(snapshots: Sequence[Snapshot], limit: int = MAX_SNAPSHOTS) -> list[Snapshot]:
    """At most `limit` snapshots: the first limit / 10 of them, and the rest evenly spaced up to the last."""
    if len(snapshots) <= limit:
        return list(snapshots)
    head = limit // 10
    rest, count = snapshots[head:], limit - head
    return [*snapshots[:head], *(rest[(i + 1) * len(rest) // count - 1] for i in range(count))]
