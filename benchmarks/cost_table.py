"""How long a training takes: our step measured here at each size, and worked out for data sets and numbers of devices.

    python benchmarks/cost_table.py

The work of a step grows with the images alone, so the times are images seen over images/s. For several devices they
are lower bounds: each is taken to be as fast as the one measured here, and none to wait for another.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent.parent))

from dcgan.model import ModelConfig
from dcgan.training.config import RECIPES, TrainConfig, configure
from dcgan.training.distributed import join
from dcgan.training.networks import Networks
from dcgan.training.step import adversarial_step, stepper

BATCH = {64: 64, 128: 32, 256: 16}  # image sizes
PASSES = {20_000: 100, 200_000: 25, 10_000_000: 3}  # data sets, and how often each is seen
DEVICES = (1, 8, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    flags = parser.parse_args()
    cuda = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, torch {torch.__version__}, --recipe best\n")
    devices = " | ".join(f"{n} device{'s' * (n > 1)}" for n in DEVICES)
    print(f"| px | Gflop an image | images/s | passes over images | {devices} |\n" + "|---" * (4 + len(DEVICES)) + "|")
    for size, batch in BATCH.items():
        model = ModelConfig(image_size=size)
        work, speed = gigaflop(model), images_per_second(model, batch, flags.turns)
        for count, passes in PASSES.items():
            hours = [count * passes / speed / 3600 / n for n in DEVICES]
            cells = " | ".join(f"{h:,.1f} h" if h >= 0.1 else f"{h * 60:.1f} min" for h in hours)
            print(f"| {size} | {work:.1f} | {speed:,.0f} | {passes} x {count:,} | {cells} |")


def batch_of(nets: Networks, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    config = nets.generator.config
    pixels = torch.randint(0, 256, (count, config.nc, config.image_size, config.image_size), dtype=torch.uint8)
    return nets.prepared(pixels.to(nets.device)), torch.randn(count, config.nz, 1, 1, device=nets.device)


def gigaflop(model: ModelConfig) -> float:
    """The work of a step for each image, forwards and backwards through both networks."""
    nets = Networks(model, TrainConfig(batch_size=2, ngpu=0))
    with FlopCounterMode(display=False) as counter:
        adversarial_step(nets, *batch_of(nets, 2))
    return counter.get_total_flops() / 2 / 1e9


def images_per_second(model: ModelConfig, batch: int, turns: int) -> float:
    """Our step on one batch that stays on the device."""
    _, config = configure({**RECIPES["best"], "batch_size": batch})
    nets = Networks(model, config, join(config.ngpu, batch))
    step, speeds, steps = stepper(nets), [], 200 if nets.device.type == "cuda" else 4
    real, noise = batch_of(nets, batch)
    for _ in range(turns + 1):
        start = time.perf_counter()
        for _ in range(steps):
            step(real, noise, False)
        if nets.device.type == "cuda":
            torch.cuda.synchronize()
        speeds.append(steps * batch / (time.perf_counter() - start))
    return median(speeds[1:])  # the first warms up


if __name__ == "__main__":
    main()
