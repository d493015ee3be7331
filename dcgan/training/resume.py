"""Checks of a run folder before a training starts there, and the state that it resumes from."""

import json
import os
import shlex
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from dcgan.checkpoint import CONFIG
from dcgan.course import MOMENTS, SNAPSHOTS
from dcgan.data.sources import SETTINGS, SHEET
from dcgan.device import set_random_state
from dcgan.errors import UserError, reason
from dcgan.files import beside, recover
from dcgan.training.networks import Networks

STATE = SETTINGS.with_name("state.pt")
FIGURES = ("training_images.png", SHEET, "loss.png", "progress.webp", "real_vs_fake.png")
WRITTEN = ("checkpoint", "state", SNAPSHOTS, MOMENTS, "history.jsonl", *FIGURES)


class TrainingError(UserError):
    """Training that cannot start or go on; the message is one line that says what to do."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainings out of the folder within the block; raises TrainingError if one writes there.

    Does nothing on Windows and on network file systems without such locks.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise TrainingError(
            f"another training writes to '{folder}': wait for its end, or choose another --out"
        ) from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def check_folder(run: Path, resume: bool) -> None:
    """Raise TrainingError if a new run would overwrite anything, or there is nothing to resume."""
    started = (run / SETTINGS).is_file()
    if run.name in WRITTEN and (run.parent / SETTINGS).is_file():
        raise TrainingError(f"'{run}' is a part of the run '{run.parent}': give --out {shlex.quote(str(run.parent))}")
    if (run / "checkpoint" / CONFIG).exists() and not started:
        raise TrainingError(
            f"'{run}' holds a checkpoint, but not what resuming needs ({SETTINGS.parent}/): choose another --out"
        )
    if resume and not started:
        raise TrainingError(f"nothing to resume in '{run}': leave out --resume to start there")
    if started and not resume:
        raise TrainingError(f"'{run}' holds a run already: add --resume to go on with it, or choose another --out")
    if not resume and (taken := [name for name in WRITTEN if _has_content(run / name)]):
        raise TrainingError(f"'{run}' holds {', '.join(taken)}, which a run would overwrite: choose another --out")


def _has_content(path: Path) -> bool:
    """Whether this is more than what is left of a run that was killed before it had written its settings."""
    if path.is_dir():
        left = beside(SETTINGS, ".tmp").name, f"{SETTINGS.name}.tmp"  # the second by earlier versions
        return any(inside.name not in left for inside in path.iterdir())
    return path.is_file() and path.stat().st_size > 0


def recover_checkpoint(run: Path) -> None:
    """Put a checkpoint back that a killed save has set aside. Raises OSError."""
    recover(run / "checkpoint")
    aside = run / "checkpoint.old"  # by earlier versions
    if (aside / CONFIG).is_file() and not (run / "checkpoint").exists():
        aside.rename(run / "checkpoint")


def read_settings(run: Path) -> dict[str, Any]:
    """Return the settings of a run: name, model, train and data. Raises TrainingError if they are damaged."""
    try:
        settings = json.loads((run / SETTINGS).read_text(encoding="utf-8-sig"))
        for part, kind in {"name": str, "model": dict, "train": dict, "data": dict}.items():
            if not isinstance(settings[part], kind):
                raise ValueError(f"its {part} is none")
        return settings
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"'{run / SETTINGS}' is damaged ({reason(error)}): start again in another --out") from None


def origin(run: Path) -> dict[str, Any] | None:
    """What the settings of a run say of the checkpoint that it began from; None if it began from nothing."""
    return read_settings(run).get("init") if (run / SETTINGS).is_file() else None


def restore(run: Path, nets: Networks) -> int:
    """Load the last save of a run into `nets` and the random generators; return its images seen, 0 if there is none."""
    path = run / STATE
    if not path.is_file():
        if origin(run):
            raise TrainingError(f"'{run}' ended before it had saved what it began from: remove it, and start again")
        return 0
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not look at the sums
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} in it is damaged")
        state = torch.load(path, map_location=nets.device, weights_only=True)
        nets.load_state_dict(state["networks"])
        torch.set_rng_state(state["rng"].cpu())
        if (own := f"rng_{nets.device.type}") in state:
            set_random_state(nets.device, state[own])
        return state["seen"]
    except Exception as error:
        raise TrainingError(
            f"'{path}' cannot be read ({reason(error)}): start again without --resume in another --out"
        ) from None
