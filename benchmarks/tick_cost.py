"""What a tick costs: the snapshot and the save, beside the training between two of them.

python benchmarks/tick_cost.py
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.data import load_images
from dcgan.training.config import RECIPES, configure
from dcgan.training.distributed import join
from dcgan.training.networks import Networks
from dcgan.training.run import About, Run
from dcgan.training.step import stepper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", default="avatars")
    parser.add_argument("--turns", type=int, default=5)
    flags = parser.parse_args()
    model, config = configure(RECIPES["best"])
    nets = Networks(model, config, join(config.ngpu, config.batch_size))
    step, steps = stepper(nets), 4_000 if nets.device.type == "cuda" else 20
    images = load_images(flags.dataroot, 64, limit=2_000)
    real = nets.prepared(next(images.batches(config.batch_size, 0, device=nets.device)))
    noise = torch.randn(len(real), model.nz, 1, 1, device=nets.device)

    def seconds(*work) -> float:
        start = time.perf_counter()
        for part in work:
            part()
        if nets.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder, "run"), nets, images, About("tick"), began=None)
        with run.open(0, resume=False):
            seconds(*[lambda: step(real, noise, False)] * steps)
            speed = steps * config.batch_size / seconds(*[lambda: step(real, noise, False)] * steps)
            ticks = [seconds(lambda t=t: run.snapshot(t), lambda t=t: run.save(t)) for t in range(1, flags.turns + 1)]
            means = [seconds(nets.calibrate) for _ in range(flags.turns)]
    between = config.tick / speed
    print(f"{speed:,.0f} images/s: {between:,.0f} s between two ticks")
    print(f"a snapshot and a save: {median(ticks):.2f} s, {median(ticks) / between:.2%}")
    print(f"BatchNorm statistics of the averaged generator: {median(means):.2f} s, {median(means) / between:.2%}")


if __name__ == "__main__":
    main()
