"""How long a training takes: our step measured here at each size, and worked out for data sets and numbers of devices.

    python benchmarks/cost_table.py

The work of a step grows with the images alone, so the times are images seen over images/s. For several devices they
are lower bounds: each is taken to be as fast as the one measured here, and none to wait for another. Then what a tick
adds at 64 px: a snapshot, a save, and the BatchNorm statistics of the averaged generator.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent.parent))

from dcgan.data import load_images
from dcgan.training.config import RECIPES, configure
from dcgan.training.distributed import join
from dcgan.training.networks import Networks
from dcgan.training.run import About, Run
from dcgan.training.step import adversarial_step, stepper

BATCH = {64: 64, 128: 32, 256: 16}  # image sizes
PASSES = {20_000: 100, 200_000: 25, 10_000_000: 3}  # data sets, and how often each is seen
DEVICES = (1, 8, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", default="avatars", help="what a tick's pictures are drawn beside")
    parser.add_argument("--turns", type=int, default=3)
    flags = parser.parse_args()
    cuda = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, torch {torch.__version__}, --recipe best\n")
    devices = " | ".join(f"{n} device{'s' * (n > 1)}" for n in DEVICES)
    print(f"| px | Gflop an image | images/s | passes over images | {devices} |\n" + "|---" * (4 + len(DEVICES)) + "|")
    for size, batch in BATCH.items():
        nets = networks(image_size=size, batch_size=batch)
        speed, work = images_per_second(nets, flags.turns), gigaflop(networks(image_size=size, batch_size=2, ngpu=0))
        for count, passes in PASSES.items():
            hours = [count * passes / speed / 3600 / n for n in DEVICES]
            cells = " | ".join(f"{h:,.1f} h" if h >= 0.1 else f"{h * 60:.1f} min" for h in hours)
            print(f"| {size} | {work:.1f} | {speed:,.0f} | {passes} x {count:,} | {cells} |")
    tick(flags.dataroot, flags.turns)


def networks(**settings: int) -> Networks:
    model, config = configure({**RECIPES["best"], **settings})
    return Networks(model, config, join(config.ngpu, config.batch_size))


def batch_of(nets: Networks) -> tuple[torch.Tensor, torch.Tensor]:
    """Real images and noise for a step."""
    count, config = nets.config.batch_size, nets.generator.config
    pixels = torch.randint(0, 256, (count, config.nc, config.image_size, config.image_size), dtype=torch.uint8)
    return nets.prepared(pixels.to(nets.device)), torch.randn(count, config.nz, 1, 1, device=nets.device)


def gigaflop(nets: Networks) -> float:
    """The work of a step for each image, forwards and backwards through both networks."""
    with FlopCounterMode(display=False) as counter:
        adversarial_step(nets, *batch_of(nets))
    return counter.get_total_flops() / nets.config.batch_size / 1e9


def seconds(nets: Networks, work: Callable[[], object], turns: int) -> float:
    """The median time of a piece of work; a turn more warms up."""
    times = []
    for _ in range(turns + 1):
        start = time.perf_counter()
        work()
        if nets.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[1:])


def images_per_second(nets: Networks, turns: int) -> float:
    """The speed of our step on one batch that stays on the device."""
    step, (real, noise), steps = stepper(nets), batch_of(nets), 200 if nets.device.type == "cuda" else 4

    def work() -> None:
        for _ in range(steps):
            step(real, noise, False)

    return steps * nets.config.batch_size / seconds(nets, work, turns)


def tick(dataroot: str, turns: int) -> None:
    """Print what a tick costs beside the training between two of them."""
    nets, images = networks(), load_images(dataroot, 64, limit=2_000)
    speed = images_per_second(nets, turns)
    between = nets.config.tick / speed
    print(f"\n64 px, batches of {nets.config.batch_size}: {speed:,.0f} images/s, {between:,.0f} s between two ticks")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder, "run"), nets, images, About("tick"), began=None)
        with run.open(0, resume=False):
            parts = {"snapshot": lambda: run.snapshot(1), "save": lambda: run.save(1), "statistics": nets.calibrate}
            for name, work in parts.items():
                took = seconds(nets, work, turns)
                print(f"{name}: {took:.2f} s, {took / between:.2%}")


if __name__ == "__main__":
    main()
