"""Training speed beside the tutorial's loop, on the same machine, the same files and in the same minutes.

    python benchmarks/train_speed.py --dataroot PHOTOS      (a folder or a zip; without it, drawn faces)

Contestants take turns, each turn in a fresh process and with an empty cache: the tutorial's loop as it is taught
(ImageFolder, a DataLoader with 2 workers, fp32, .item() in every step), ours (`--recipe best` with batch 128), and
the ceiling, our step over and over on one batch that is already on the device: as ours computes it, and in eager fp32.
Each trains two epochs; the first includes reading the files. Medians over the turns, with least and most.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, get_start_method, set_start_method
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from dcgan.data import load_images
from dcgan.data.sources import DrawnSource, open_source
from dcgan.model import Discriminator, Generator, ModelConfig, init_weights
from dcgan.training.config import RECIPES, configure
from dcgan.training.distributed import join
from dcgan.training.networks import Networks
from dcgan.training.step import stepper

BATCH = 128
CONTESTANTS = ("tutorial", "ours", "ceiling", "ceiling_fp32")
DEVICE = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", default="avatars")
    parser.add_argument("--images", type=int, help="images in an epoch (default: 2,560 on a CPU, 20,000 on a GPU)")
    parser.add_argument("--turns", type=int, default=3, help="turns of each contestant (default: 3)")
    flags = parser.parse_args()
    count = flags.images or (20_000 if torch.cuda.is_available() else 2_560)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        dataroot = class_folder(flags.dataroot, Path(folder, "photos"), count)
        for turn in range(flags.turns):
            for name, turns in rows.items():
                with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
                    turns.append(fresh.submit(run_turn, name, str(dataroot), get_start_method()).result())
                print(f"turn {turn + 1}: {name:12} {turns[-1]['later']:8.1f} images/s", flush=True)
    report(rows)


def run_turn(name: str, dataroot: str, start_method: str) -> dict[str, float]:
    """One contestant's images/s in its first epoch and in its second, and its peak memory in MiB."""
    set_start_method(start_method, force=True)  # of loaders, which a spawned process would spawn: seconds an epoch
    with tempfile.TemporaryDirectory() as cache:
        os.environ["DCGAN_CACHE"] = cache
        start, speeds = time.perf_counter(), []
        steps, epoch = tutorial(dataroot) if name == "tutorial" else ours(dataroot, name)
        for _ in range(2):
            epoch()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()
            now = time.perf_counter()
            speeds.append(steps * BATCH / (now - start))
            start = now
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peak = torch.cuda.max_memory_allocated() / 2**20 if DEVICE.type == "cuda" else peak
    return {"first": speeds[0], "later": speeds[1], "peak_mib": peak}


def tutorial(dataroot: str) -> tuple[int, Callable[[], None]]:
    """The loop of the PyTorch DCGAN faces tutorial: steps in an epoch, and an epoch."""
    from torch import nn, optim
    from torchvision import datasets, transforms

    normalise = transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    pipeline = [transforms.Resize(64), transforms.CenterCrop(64), transforms.ToTensor(), normalise]
    dataset = datasets.ImageFolder(dataroot, transform=transforms.Compose(pipeline))
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=2)
    torch.manual_seed(999)
    net_g, net_d = Generator(ModelConfig()).to(DEVICE), Discriminator(ModelConfig()).to(DEVICE)
    init_weights(net_g)
    init_weights(net_d)
    criterion = nn.BCEWithLogitsLoss()
    opt_d = optim.Adam(net_d.parameters(), lr=0.0002, betas=(0.5, 0.999))
    opt_g = optim.Adam(net_g.parameters(), lr=0.0002, betas=(0.5, 0.999))
    losses = []

    def epoch() -> None:
        for images, _ in loader:
            real = images.to(DEVICE)
            ones, zeros = torch.ones(len(real), device=DEVICE), torch.zeros(len(real), device=DEVICE)
            net_d.zero_grad()
            output = net_d(real)
            loss_real = criterion(output, ones)
            loss_real.backward()
            d_x = output.sigmoid().mean().item()
            fake = net_g(torch.randn(len(real), 100, 1, 1, device=DEVICE))
            output = net_d(fake.detach())
            loss_fake = criterion(output, zeros)
            loss_fake.backward()
            d_g_z1 = output.sigmoid().mean().item()
            opt_d.step()
            net_g.zero_grad()
            output = net_d(fake)
            loss_g = criterion(output, ones)
            loss_g.backward()
            d_g_z2 = output.sigmoid().mean().item()
            opt_g.step()
            losses.append((loss_g.item(), (loss_real + loss_fake).item(), d_x, d_g_z1, d_g_z2))

    return len(loader), epoch


def ours(dataroot: str, name: str) -> tuple[int, Callable[[], None]]:
    """Our loop, with everything that it does between two ticks; a ceiling: its step on one batch that never changes."""
    precision = "fp32" if name == "ceiling_fp32" else "auto"
    model, config = configure({**RECIPES["best"], "batch_size": BATCH, "precision": precision})
    nets = Networks(model, config, join(config.ngpu, BATCH))
    images = load_images(dataroot, 64, progress=False)
    batches = images.batches(BATCH, config.seed, 0, config.flip, config.drop_last, nets.device)
    step, fixed, kept = stepper(nets), nets.prepared(next(batches)), []
    steps = images.epoch_length(BATCH, config.drop_last) // BATCH

    def epoch() -> None:
        for i in range(steps):
            real = nets.prepared(next(batches)) if name == "ours" else fixed
            kept.append(step(real, torch.randn(BATCH, 100, 1, 1, device=nets.device), False))
            nets.average(BATCH, (i + 1) * BATCH)

    return steps, epoch


def class_folder(dataroot: str, folder: Path, count: int) -> Path:
    """The first `count` pictures as the tutorial's ImageFolder reads them: files in a class folder."""
    source = open_source(dataroot)
    (folder / "all").mkdir(parents=True)
    packed = zipfile.ZipFile(dataroot) if Path(dataroot).is_file() else None
    for i, name in enumerate(source.names[:count]):
        file = folder / "all" / f"{i:06d}{Path(name).suffix}"
        if isinstance(source, DrawnSource):
            source.open(i).save(file.with_suffix(".png"))
        else:
            file.write_bytes(packed.read(name) if packed else Path(dataroot, name).read_bytes())
    return folder


def report(rows: dict[str, list[dict[str, float]]]) -> None:
    """Print the table, and the ratios turn by turn."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"\n{device}, torch {torch.__version__}, 64 px, batch {BATCH}; images/s: median (least to most)\n")
    print("| | first epoch | later epochs | peak MiB |\n|---|---|---|---|")
    for name, turns in rows.items():
        first, later = (spread([turn[key] for turn in turns], ",.0f") for key in ("first", "later"))
        print(f"| {name} | {first} | {later} | {max(turn['peak_mib'] for turn in turns):,.0f} |")
    pairs = ("ours", "tutorial", "first"), ("ours", "tutorial", "later"), ("ours", "ceiling", "later")
    for a, b, key in (*pairs, ("ceiling", "ceiling_fp32", "later")):
        ratios = [x[key] / y[key] for x, y in zip(rows[a], rows[b], strict=True)]
        print(f"{a} / {b}, {key}: {spread(ratios, '.2f')}")


def spread(values: list[float], how: str) -> str:
    """The median, with the least and the most."""
    return f"{median(values):{how}} ({min(values):{how}} to {max(values):{how}})"


if __name__ == "__main__":
    main()
