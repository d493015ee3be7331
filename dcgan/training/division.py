"""The images of a run that goes on: which of them are held out, as before, and how they changed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dcgan.data.images import Images
from dcgan.data.sources import SETTINGS
from dcgan.data.split import division
from dcgan.files import writing
from dcgan.training.resume import TrainingError

# Keys of all images that the run ever had, and which of them are held out, and which were there at its last start.
DIVISION = SETTINGS.with_name("images.safetensors")


def save_division(run: Path, images: Images) -> None:
    """Write down which images are held out, unless their names tell. Raises OSError.

    Images that the run had before stay in it, so that those that come back are on the side that they were on.
    """
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

    data: the run's settings of them. Raises TrainingError if they changed, unless `accept`.
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
