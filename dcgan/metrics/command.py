"""`dcgan evaluate`: how good a checkpoint is, or several side by side.

python -m dcgan evaluate checkpoints/faces --dataroot my_photos

Samples are compared with the held-out tenth of the data and with half of the training images. Only FID and KID download
anything: Inception's weights, by torch-fidelity.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from dcgan.checkpoint import Checkpoint, load_checkpoint
from dcgan.cli import guarded, user_path, user_source
from dcgan.data import load_images
from dcgan.data.crop import CROPS
from dcgan.data.sources import printable
from dcgan.data.split import division
from dcgan.device import find_device, with_float64
from dcgan.hub.pull import local_folder
from dcgan.metrics.evaluate import EYES, evaluate
from dcgan.metrics.features import MetricError, inception_features
from dcgan.metrics.quality import FIRST_SEED, MIN_COUNT, references


def report(result: dict[str, Any]) -> Iterator[str]:
    """The lines of a result: what was measured, a table for each reference, and notes."""
    for about in ({"data": result["data"], "samples": result["samples"]}, result["checkpoints"]):
        for name, facts in about.items():
            yield f"{name}: " + ", ".join(f"{key} {value}" for key, value in facts.items())
    for reference, rows in groupby(result["rows"], lambda row: row["reference"]):
        head = f"against {reference} images", "better", "n", "floor", *result["checkpoints"]
        lines = [head]
        for row in rows:
            values = (f"{value:,.3f}" for value in (row["floor"], *row["values"].values()))
            lines.append((f"{row['figure']} ({row['by']})", row["better"], f"{row['n']:,}", *values))
        yield ""
        widths = [max(8, *map(len, column)) + 2 for column in zip(*lines, strict=True)]
        for label, *cells in lines:
            yield f"{label:<42}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths[1:], strict=True))
    yield from ("", *result["notes"])


def alike(paths: list[str]) -> dict[str, Checkpoint]:
    """The checkpoints by their paths. Raises MetricError unless all make images of one kind from one crop."""
    checkpoints = {path: load_checkpoint(local_folder(path)) for path in paths}
    kinds = {f"{c.model.image_size} px with {c.model.nc} channels" for c in checkpoints.values()}
    crops = {c.crop for c in checkpoints.values()}
    for wanted, found in (("make images of one kind", kinds), ("be trained on one --crop", crops)):
        if len(found) > 1:
            raise MetricError(f"side by side all must {wanted}, not {' and '.join(sorted(found))}")
    return checkpoints


def measure(flags: argparse.Namespace) -> dict[str, Any]:
    """The result of a command line, ready for JSON. Raises CheckpointError, DataError or MetricError."""
    if flags.num < MIN_COUNT:
        raise MetricError(f"--num must be at least {MIN_COUNT}, not {flags.num}")
    checkpoints = alike(flags.checkpoint)
    first = next(iter(checkpoints.values()))
    model, crop = first.model, first.crop
    images = load_images(flags.dataroot, model.image_size, model.nc, crop=crop, every=first.every)
    images = images.divided(*division(first.data))
    found, num, heldout = references(images, flags.num), flags.num, int(images.heldout.sum())
    notes = [
        f"{name} was trained on other images than these: what is said of training images is not about its own"
        for name, checkpoint in checkpoints.items()
        if not images.are_those_of(checkpoint.data)
    ]
    if heldout < MIN_COUNT:
        notes.append(f"how near samples come to training images is missing: {heldout} images are held out")
        num = min(num, len(found[0].real))  # nothing else looks at more
    device = with_float64(find_device())
    inception, eyes = None, []
    try:
        inception = inception_features(flags.inception, device)
    except MetricError as error:
        if flags.inception:
            raise
        notes.append(f"FID and KID are missing: {error}")
    for what, metric in EYES.items():
        try:
            eyes.append(metric(device, found[0].real))
        except MetricError as error:
            notes.append(f"{what} is missing: {error}")
    rows = evaluate(checkpoints, images, found, num, device, inception, eyes)
    data = {"name": printable(images.name), "digest": images.digest, "training": len(images.training)}
    data |= {"heldout": heldout, "px": model.image_size, "nc": model.nc}
    data["prepared"] = f"{CROPS[crop]}, resized (bilinear, antialiased)"
    return {
        "data": data,
        "samples": {"number": num, "first_seed": FIRST_SEED},
        "checkpoints": {name: {"images_seen": c.images_seen} for name, c in checkpoints.items()},
        "rows": [asdict(row) for row in rows],
        "notes": notes,
    }


@guarded("evaluate")
def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dcgan evaluate", description="Say how good checkpoints are.")
    parser.add_argument(
        "checkpoint", type=user_source, nargs="+", help="checkpoint folder or run folder; several are set side by side"
    )
    parser.add_argument(
        "--dataroot",
        type=user_source,
        required=True,
        help="what it was trained on: folder or zip of images, or avatars",
    )
    parser.add_argument("--num", type=int, default=10_000, help="samples of each (default: 10000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else on stdout")
    parser.add_argument(
        "--inception", type=user_path, metavar="PATH", help="Inception's weights, where there is no network"
    )
    flags = parser.parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for the figures alone
        result = measure(flags)
    print(json.dumps(result, indent=2) if flags.json else "\n".join(report(result)).rstrip())
    return 0
