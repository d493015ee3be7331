"""What a tick costs: a stretch of training with a snapshot and a save at its start, beside the same stretch without.

python benchmarks/tick_cost.py
"""

import argparse
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.training.malloc import keep_freed_memory
from dcgan.training.precision import autocast

from dcgan.data.images import load_images
from dcgan.pictures import normalised
from dcgan.training.config import RECIPES, configure
from dcgan.training.distributed import join
from dcgan.training.loop import stepper
from dcgan.training.networks import Networks
from dcgan.training.run import Writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", default="avatars")
    parser.add_argument("--turns", type=int, default=5)
    flags = parser.parse_args()
    model, config = configure(RECIPES["best"])
    device = join(config.ngpu, config.batch_size).device
    keep_freed_memory()
    nets, steps = Networks(model, config, device), 4_000 if device.type == "cuda" else 20
    images = load_images(flags.dataroot, 64, limit=2_000)
    real = normalised(next(images.batches(config.batch_size, 0, device=device)))
    step = stepper(nets, config, autocast(config.precision, device))

    def stretch() -> None:
        for _ in range(steps):
            step(real, torch.randn(len(real), model.nz, 1, 1, device=device))
        if device.type == "cuda":
            torch.cuda.synchronize()

    plain, ticked = [], []
    with tempfile.TemporaryDirectory() as folder:
        settings = {"name": "tick", "model": asdict(model), "train": asdict(config)}
        writer = Writer(Path(folder, "run"), nets, images, settings, {})
        writer.start(0, {})
        stretch()
        for turn in range(flags.turns):
            start = time.perf_counter()
            stretch()
            plain.append(time.perf_counter() - start)
            start = time.perf_counter()
            writer.snapshot(turn + 1)
            writer.save(turn + 1, nets.good(turn + 1).state)
            stretch()
            writer.wait()
            ticked.append(time.perf_counter() - start)
    cost = median(a - b for a, b in zip(ticked, plain, strict=True))
    speed = steps * config.batch_size / median(plain)
    share = cost / (config.tick / speed)
    print(
        f"{speed:,.0f} images/s; a tick costs {cost:.2f} s, {share:.2%} of the {config.tick / speed:,.0f} s between two"
    )


if __name__ == "__main__":
    main()
