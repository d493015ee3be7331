"""A run that goes on: checks of its folder, its settings and last state, and its images, divided as before."""

import json
import shlex
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dcgan.checkpoint import CONFIG
from dcgan.course import MOMENTS, SNAPSHOTS
from dcgan.data.images import Images
from dcgan.data.sources import SETTINGS, SHEET
from dcgan.data.split import division
from dcgan.device import set_random_state
from dcgan.errors import UserError, reason
from dcgan.files import beside, writing
from dcgan.training.networks import Networks

STATE = SETTINGS.with_name("state.pt")
# Keys of all images that the run ever had, and which of them are held out, and which were there at its last start.
DIVISION = SETTINGS.with_name("images.safetensors")
FIGURES = ("training_images.png", SHEET, "loss.png", "progress.webp", "real_vs_fake.png")
WRITTEN = ("checkpoint", "state", SNAPSHOTS, MOMENTS, "history.jsonl", *FIGURES)


class TrainingError(UserError):
    """Training that cannot start or go on; the message is one line that says what to do."""


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


def save_division(run: Path, images: Images) -> None:
    """Write down which images are held out, also those that the run had before, unless names tell. Raises OSError."""
    if images.keys is None:
        return
    keys, heldout = images.keys, images.sides[0]
    before, sides = images.known or (keys[:0], heldout[:0])
    gone = ~np.isin(before, keys)
    keys, heldout = np.append(keys, before[gone]), np.append(heldout, sides[gone])
    with writing(run / DIVISION) as path:
        path.write_bytes(save({"keys": keys, "heldout": heldout, "there": np.isin(keys, images.keys)}))


def divided_as_before(
    run: Path, data: dict[str, Any], images: Images, dataroot: str, accept: bool
) -> tuple[Images, str]:
    """The images at `dataroot` of a run that goes on, divided as before, and how they changed: in words, "" if not.

    data: the run's settings of them. Raises TrainingError if they changed and that is not accepted.
    """
    images = images.divided(*division(data))
    before, now = data["count"], len(images.training)
    change = f"{before:,} were trained on, now it would be {now:,}, or others"
    if images.keys is None:
        same = (data["digest"], before) == (images.digest, now)
    else:
        try:
            saved = load((run / DIVISION).read_bytes())
            images = replace(images, known=(saved["keys"], saved["heldout"]))
            there = saved["keys"][saved.get("there", slice(None))]  # earlier versions forgot what was gone
            added, removed = (len(np.setdiff1d(*pair)) for pair in ((images.keys, there), (there, images.keys)))
            change = f"{added:,} added, {removed:,} removed"
        except (OSError, KeyError, SafetensorError):
            pass
        same = data["split"] == images.split
    if not same and not accept:
        advice = "put them back, or go on with --changed-data ok"
        raise TrainingError(f"cannot resume: the data changed since ('{dataroot}': {change}): {advice}")
    return images, "" if same else change
