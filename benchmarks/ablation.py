"""What each part of the recipe is worth: one change at a time, at the same number of images seen.

    python benchmarks/ablation.py --dataroot PHOTOS --out runs/ablation                       (32 px, to screen)
    python benchmarks/ablation.py --dataroot PHOTOS --out runs/finalists --image-size 64 --ngf 64 --ndf 64 \\
        --images 200000 --seeds 0 1 2 --only tutorial best lsgan

Every run can be interrupted: the same command goes on with it, and leaves finished ones alone. The table is printed
at the end, or at any time with --table. The quality of `tutorial` is that of its generator as trained, in eval mode.
"""

import argparse
import sys
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.checkpoint import read_history
from dcgan.data.images import load_images
from dcgan.training.config import RECIPES, configure
from dcgan.training.loop import train
from dcgan.training.resume import STATE

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", default="avatars")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--images", type=int, default=100_000, help="images seen in each run (default: 100,000)")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--ngf", type=int, default=32)
    parser.add_argument("--ndf", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    flags = parser.parse_args()
    size = {name: getattr(flags, name) for name in ("image_size", "ngf", "ndf")}
    for seed in () if flags.table else flags.seeds:
        for name in flags.only:
            run = folder(flags.out, name, seed)
            if read_history(run / "history.jsonl")[-1:] and seen(run) >= flags.images:
                continue
            print(f"\n{name}, seed {seed}: {run}", flush=True)
            budget = {"epochs": 0, "max_images": flags.images, "seed": seed, "quality": 1}
            model, config = configure({**VARIANTS[name], **size, **budget})
            images = load_images(flags.dataroot, flags.image_size)
            train(model, config, images, run, resume=(run / STATE).exists())
            if seen(run) < flags.images:
                raise SystemExit("stopped: the same command goes on")
    table(flags)


def folder(out: Path, name: str, seed: int) -> Path:
    """The run folder of a variant."""
    safe = "".join(c if c.isalnum() else "-" for c in name)
    return out / f"{safe}-{seed}"


def seen(run: Path) -> int:
    return int(read_history(run / "history.jsonl")[-1]["images_seen"])


def courses(flags: argparse.Namespace, name: str) -> list[list[dict[str, float]]]:
    """The measured rows of each finished run of a variant."""
    histories = [read_history(folder(flags.out, name, seed) / "history.jsonl") for seed in flags.seeds]
    measured = [
        [row for row in history if "ffd" in row and row["images_seen"] <= 1.05 * flags.images] for history in histories
    ]
    return [rows for rows in measured if rows and rows[-1]["images_seen"] > 0.95 * flags.images]


def table(flags: argparse.Namespace) -> None:
    """A line for each variant: its figures after all images and the best FFD on the way; of several seeds the means,
    with the least and the most.
    """
    print("\n| | runs | " + " | ".join(FIGURES) + " | best FFD |\n" + "|---" * (len(FIGURES) + 3) + "|")
    for name in flags.only:
        ended = courses(flags, name)
        if ended:
            found = [[rows[-1][figure] for rows in ended] for figure in FIGURES]
            found.append([min(row["ffd"] for row in rows) for rows in ended])
            print(f"| {name} | {len(ended)} | " + " | ".join(map(spread, found)) + " |")


def spread(values: list[float]) -> str:
    """Their mean and, of several, the least and the most."""
    return f"{mean(values):.3g}" + (f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
