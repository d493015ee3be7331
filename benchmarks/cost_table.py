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
from dcgan.training.malloc import keep_freed_memory
from dcgan.training.precision import autocast, layout

from dcgan.model import ModelConfig
from dcgan.training.config import RECIPES, TrainConfig, configure
from dcgan.training.distributed import join
from dcgan.training.loop import adversarial_step, stepper
from dcgan.training.networks import Networks

MODELS = {64: ModelConfig(), 128: ModelConfig(image_size=128), 256: ModelConfig(image_size=256)}
BATCH = {64: 64, 128: 32, 256: 16}
PASSES = {20_000: 100, 200_000: 25, 10_000_000: 3}  # data sets, and how often each is seen
DEVICES = (1, 8, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    flags = parser.parse_args()
    device = join(1, 64).device
    keep_freed_memory()
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, torch {torch.__version__}, --recipe best\n")
    print(
        "| px | Gflop an image | images/s | passes over images | " + " | ".join(f"{n} devices" for n in DEVICES) + " |"
    )
    print("|---" * (4 + len(DEVICES)) + "|")
    for size, model in MODELS.items():
        work, speed = flops(model), images_per_second(model, BATCH[size], device, flags.turns)
        for count, passes in PASSES.items():
            hours = [count * passes / speed / 3600 / n for n in DEVICES]
            cells = " | ".join(f"{h:,.1f} h" if h >= 0.1 else f"{h * 60:.1f} min" for h in hours)
            print(f"| {size} | {work:.1f} | {speed:,.0f} | {passes} x {count:,} | {cells} |")


def flops(model: ModelConfig) -> float:
    """Gflop of a step, forwards and backwards through both networks, for each image."""
    nets = Networks(model, TrainConfig(batch_size=2, ngpu=0), torch.device("cpu"))
    real = torch.rand(2, model.nc, model.image_size, model.image_size) * 2 - 1
    with FlopCounterMode(display=False) as counter:
        adversarial_step(nets, TrainConfig(), real, torch.randn(2, model.nz, 1, 1), autocast("fp32", real.device))
    return counter.get_total_flops() / 2 / 1e9


def images_per_second(model: ModelConfig, batch: int, device: torch.device, turns: int) -> float:
    """Our step on one batch that stays on the device."""
    _, config = configure({**RECIPES["best"], "batch_size": batch})
    nets, steps = Networks(model, config, device), 200 if device.type == "cuda" else 4
    step = stepper(nets, config, autocast(config.precision, device))
    real = torch.rand(batch, model.nc, model.image_size, model.image_size, device=device) * 2 - 1
    real = real.contiguous(memory_format=layout(config.precision, device))
    noise = torch.randn(batch, model.nz, 1, 1, device=device)
    speeds = []
    for turn in range(turns + 1):
        start = time.perf_counter()
        for _ in range(steps):
            step(real, noise)
        if device.type == "cuda":
            torch.cuda.synchronize()
        if turn:  # the first warms up
            speeds.append(steps * batch / (time.perf_counter() - start))
    return median(speeds)


if __name__ == "__main__":
    main()
