"""What each part of the recipe is worth: one change at a time, at the same number of images seen.

    python benchmarks/ablation.py --dataroot PHOTOS --out runs/ablation                       (32 px, to screen)
    python benchmarks/ablation.py --dataroot PHOTOS --out runs/finalists --image-size 64 --ngf 64 --ndf 64 \\
        --images 200000 --seeds 0 1 2 --only tutorial best lsgan
    python benchmarks/ablation.py --dataroot UTKFACE --out runs/finetune --images 20000 --photos 200

With --photos, so many photos of children are learned by networks that have learned adults before (or those of --init,
and any pictures), and the checkpoints are compared with photos of other children.
Every run can be interrupted: the same command goes on with it, and leaves finished ones alone. The table is printed
at the end, or at any time with --table. The quality of `tutorial` is that of its generator as trained, in eval mode.
"""

import argparse
import sys
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.checkpoint import Checkpoint, load_checkpoint, read_history
from dcgan.data import Images, load_images
from dcgan.latents import latents
from dcgan.metrics.distances import frechet_distance
from dcgan.metrics.features import filter_features
from dcgan.metrics.quality import FIRST_SEED, Quality
from dcgan.sampling import render
from dcgan.training.config import RECIPES, configure
from dcgan.training.loop import train
from dcgan.training.resume import STATE

Judge = Callable[[Tensor], dict[str, float]]  # the figures of pictures
SIZE = {"image_size": 32, "ngf": 32, "ndf": 32}
FIGURES = ("ffd", "swd", "precision", "recall", "density", "coverage")
TUTORIAL = {**RECIPES["dcgan"], "precision": "auto"}
AVERAGE = {**TUTORIAL, "ema": 10_000}
BASE = {**AVERAGE, "batch_size": 32, "lr": 0.0005, "d_bias": True}
# All below "base" change one thing in it.
VARIANTS: dict[str, dict[str, Any]] = {
    "tutorial": TUTORIAL,
    "tutorial, averaged": AVERAGE,
    "base": BASE,
    "D without bias": {**BASE, "d_bias": False},
    "flip": {**BASE, "flip": True},
    "translation": {**BASE, "augment": "translation"},
    "lsgan": {**BASE, "loss": "lsgan"},
    "hinge, spectral": {**BASE, "loss": "hinge", "d_norm": "spectral"},
    "R1": {**BASE, "r1": 1.0},
    "R1, no norm": {**BASE, "r1": 1.0, "d_norm": "none"},
    "relativistic": {**BASE, "loss": "relativistic"},
    "R3GAN": {**BASE, "loss": "relativistic", "r1": 1.0, "r2": 1.0, "penalty_every": 1, "d_norm": "none"},
    "slower D": {**BASE, "lr_d": 0.00025},
    "best": RECIPES["best"],
    "faster D": {**BASE, "lr_d": 0.001},
    "cutout": {**BASE, "augment": "cutout"},
    "color": {**BASE, "augment": "color"},
}
# With --photos: all but the first begin from --init.
FINETUNE = RECIPES["finetune"]
FINETUNINGS: dict[str, dict[str, Any]] = {
    "from nothing": {**FINETUNE, "recipe": "best", "lr": 5e-4},
    "finetune": FINETUNE,
    "tutorial": {**TUTORIAL, "drop_last": True},
    "rate 5e-4": {**FINETUNE, "lr": 5e-4},
    "rate 2e-4": {**FINETUNE, "lr": 2e-4},
    "rate 5e-5": {**FINETUNE, "lr": 5e-5},
    "R1": {**FINETUNE, "lr": 5e-4, "r1": 1.0},
    "always altered": {**FINETUNE, "lr": 5e-4, "adapt": 0.0},
}
ADULT = 13  # years
BASE_IMAGES = 100_000  # images that the networks have learned adults from
SAMPLES = 1_000  # of each checkpoint
LARGEST = 2_000  # photos at most that are learned: the others are what all are compared with


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", default="avatars")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--images", type=int, default=100_000, help="images seen in each run (default: 100,000)")
    for name, size in SIZE.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=size)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--photos", type=int, default=0, help="learn so many from what --init has learned")
    parser.add_argument("--init", help="checkpoint to begin from (default: one that learns the adults now)")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    flags = parser.parse_args()
    variants = FINETUNINGS if flags.photos else VARIANTS
    shape = {name: getattr(flags, name) for name in SIZE}
    images, init, judge = load_images(flags.dataroot, flags.image_size), None, None
    if flags.photos:
        images, init, judge = finetuning(images, flags, shape)
        shape = asdict(init.model)
    rows = {}
    for name in flags.only or variants:
        safe = "".join(c if c.isalnum() else "-" for c in name)
        runs = [flags.out / str(flags.photos or "") / f"{safe}-{seed}" for seed in flags.seeds]
        for seed, run in zip(flags.seeds, runs, strict=True):
            budget = {"epochs": 0, "max_images": flags.images, "seed": seed, "quality": 1}
            if not flags.table:
                learn({**variants[name], **shape, **budget}, images, run, None if name == "from nothing" else init)
        rows[name] = [found for run in runs if (found := figures(run, flags.images, judge))]
    table(rows)


def learn(settings: dict[str, Any], images: Images, run: Path, init: Checkpoint | None = None) -> None:
    """Train, or go on with, a run; nothing if it has ended."""
    if seen(run) >= settings["max_images"]:
        return
    print(f"\n{run}", flush=True)
    model, config = configure(settings)
    train(model, config, images, run, resume=(run / STATE).exists(), init=init)
    if seen(run) < settings["max_images"]:
        raise SystemExit("stopped: the same command goes on")


def seen(run: Path) -> int:
    """The images that a run has seen."""
    return max((row["images_seen"] for row in read_history(run / "history.jsonl")), default=0)


def part(images: Images, out: Path, name: str, indices: np.ndarray) -> Images:
    """Some of the images, as a set of its own, with a folder in `out`."""
    (out / name).mkdir(parents=True, exist_ok=True)
    names = [images.names[i] for i in indices]
    return Images(name, images.pixels[indices], names, [], f"{images.digest}-{name}-{len(names)}", out / name)


def finetuning(images: Images, flags: argparse.Namespace, size: dict[str, int]) -> tuple[Images, Checkpoint, Judge]:
    """The photos to learn, the checkpoint to begin from and the judge of what was learned."""
    new, base = np.arange(len(images)), flags.out / "base"
    if not flags.init:
        ages = np.array([int(Path(name).name.partition("_")[0]) for name in images.names])
        new, adults = np.flatnonzero(ages < ADULT), part(images, flags.out, "adults", np.flatnonzero(ages >= ADULT))
        learn({**RECIPES["best"], **size, "max_images": BASE_IMAGES}, adults, base)
    new = np.array(sorted(new, key=lambda i: zlib.crc32(b"order" + images.names[i].encode())))
    keys = np.arange(len(images), dtype=np.uint64)
    divided = {"keys": keys, "first": keys.astype(int), "known": (keys, np.isin(keys, new[LARGEST:]))}
    # By another name drawn faces have no labels, which would take many minutes to learn, and are compared by FD alone.
    quality = Quality(replace(images, name="judged", folder=flags.out, **divided))
    features = filter_features(quality.real)

    def judge(pictures: Tensor) -> dict[str, float]:
        return {"fd": frechet_distance(features(pictures), features(quality.real)), **quality.compare(pictures)}

    learned = part(images, flags.out, f"photos-{flags.photos}", new[: flags.photos])
    print("other photos instead:", judge(images.batch(new[:SAMPLES])))
    return learned, load_checkpoint(flags.init or base), judge


def figures(run: Path, images: int, judge: Judge | None) -> dict[str, float]:
    """The judge's figures of a run's checkpoint or, without one, those after all images and the best FFD on the way.

    {} of a run that has not ended.
    """
    if seen(run) <= 0.95 * images:
        return {}
    if judge:
        checkpoint = load_checkpoint(run)
        z = latents(range(FIRST_SEED, FIRST_SEED + SAMPLES), checkpoint.model.nz)
        return judge(render(checkpoint.generator, z))
    history = read_history(run / "history.jsonl")
    measured = [row for row in history if "ffd" in row and row["images_seen"] <= 1.05 * images]
    return {name: measured[-1][name] for name in FIGURES} | {"best FFD": min(row["ffd"] for row in measured)}


def table(rows: dict[str, list[dict[str, float]]]) -> None:
    """A line for each variant that has ended: its figures; of several seeds the means, with the least and the most."""
    ended = {name: runs for name, runs in rows.items() if runs}
    columns = next(iter(ended.values()), [{}])[0]
    print("\n| | runs | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 2) + "|")
    for name, runs in ended.items():
        cells = " | ".join(spread([run[column] for run in runs]) for column in columns)
        print(f"| {name} | {len(runs)} | {cells} |")


def spread(values: list[float]) -> str:
    """Their mean and, of several, the least and the most."""
    return f"{mean(values):.3g}" + (f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
