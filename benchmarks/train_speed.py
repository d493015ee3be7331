"""Training speed beside the tutorial's loop, on the same machine, the same files and in the same minutes.

    python benchmarks/train_speed.py --dataroot PHOTOS      (a folder or a zip; without it, drawn faces)

Three contestants take turns, each turn in a fresh process: the tutorial's loop as it is taught (ImageFolder, a
DataLoader with 2 workers, fp32, .item() in every step), ours (`--recipe best` with batch 128), and the ceiling (our
step over and over on one batch that is already on the device). Medians over the turns, with least and most.
"""

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.convolution import keep_freed_memory
from dcgan.data import Images, load_images, open_source
from dcgan.model import Discriminator, Generator, ModelConfig, init_weights
from dcgan.ranks import join
from dcgan.training import RECIPES, Networks, TrainConfig, adversarial_step, autocast, normalised

BATCH = 128
CONTESTANTS = ("tutorial", "ours", "ceiling", "ceiling_fp32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", default="avatars")
    parser.add_argument("--turns", type=int, default=3, help="turns of each contestant (default: 3)")
    parser.add_argument("--steps", type=int, default=12, help="timed steps in a turn, on a CPU (default: 12)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.contestant:
        print(json.dumps(run_turn(flags.contestant, flags.dataroot, flags.steps)))
        return

    with tempfile.TemporaryDirectory() as folder:
        dataroot = as_folder(flags.dataroot, Path(folder))
        load_images(dataroot, 64)  # packed once, as a second start of ours would find it
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
        for turn in range(flags.turns):
            for name in CONTESTANTS:
                command = [sys.executable, __file__, "--contestant", name, "--dataroot", dataroot]
                done = subprocess.run(
                    [*command, "--steps", str(flags.steps)], capture_output=True, text=True, check=False
                )
                if done.returncode:
                    raise SystemExit(done.stderr)
                rows[name].append(json.loads(done.stdout.splitlines()[-1]))
                print(f"turn {turn + 1}: {name:12} {rows[name][-1]['images_per_second']:8.1f} images/s", flush=True)
    report(rows, flags.json)


def run_turn(name: str, dataroot: str, steps: int) -> dict[str, float]:
    """One contestant's images/s over `steps` steps after two to warm up, and its peak memory in MiB."""
    contest = {"tutorial": tutorial_steps, "ours": our_steps}.get(name)
    run = contest(dataroot) if contest else ceiling_steps(dataroot, "fp32" if name == "ceiling_fp32" else "auto")
    cuda = torch.cuda.is_available()
    if cuda:
        steps *= 20
    for _ in range(2):
        next(run)
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        next(run)
    if cuda:
        torch.cuda.synchronize()
    speed = steps * BATCH / (time.perf_counter() - start)
    memory = (
        torch.cuda.max_memory_allocated() / 2**20 if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    return {"images_per_second": speed, "peak_mib": memory}


def tutorial_steps(dataroot: str):
    """The loop of the PyTorch DCGAN faces tutorial, a step at a time."""
    from torch import nn, optim
    from torchvision import datasets, transforms

    device = join(1, BATCH).device
    normalise = transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    steps = [transforms.Resize(64), transforms.CenterCrop(64), transforms.ToTensor(), normalise]
    dataset = datasets.ImageFolder(dataroot, transform=transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=2)
    torch.manual_seed(999)
    net_g, net_d = Generator(ModelConfig()).to(device), Discriminator(ModelConfig()).to(device)
    init_weights(net_g)
    init_weights(net_d)
    criterion = nn.BCEWithLogitsLoss()
    opt_d = optim.Adam(net_d.parameters(), lr=0.0002, betas=(0.5, 0.999))
    opt_g = optim.Adam(net_g.parameters(), lr=0.0002, betas=(0.5, 0.999))
    while True:
        for images, _ in loader:
            real = images.to(device)
            ones, zeros = torch.ones(len(real), device=device), torch.zeros(len(real), device=device)
            net_d.zero_grad()
            output = net_d(real)
            loss_real = criterion(output, ones)
            loss_real.backward()
            d_x = output.sigmoid().mean().item()
            fake = net_g(torch.randn(len(real), 100, 1, 1, device=device))
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
            yield d_x, d_g_z1, d_g_z2, loss_g.item(), (loss_real + loss_fake).item()


def our_steps(dataroot: str):
    """Our loop, with everything that it does between two ticks."""
    model, config = ModelConfig(), TrainConfig(**{"recipe": "best", **RECIPES["best"], "batch_size": BATCH})
    device = join(config.ngpu, BATCH).device
    keep_freed_memory()
    nets, cast = Networks(model, config, device), autocast(config.precision, device)
    images: Images = load_images(dataroot, 64, progress=False)
    seen, kept = 0, []
    for pixels in images.batches(config.batch_size, config.seed, 0, config.flip, config.drop_last, device):
        real = normalised(pixels)
        noise = torch.randn(len(real), model.nz, 1, 1, device=device)
        kept.append(adversarial_step(nets, config, real, noise, cast))
        seen += len(real)
        nets.average(len(real), config.ema, seen)
        yield seen


def ceiling_steps(dataroot: str, precision: str):
    """Our step on one batch that stays where it is."""
    model, config = ModelConfig(), TrainConfig(**{"recipe": "best", **RECIPES["best"], "batch_size": BATCH})
    device = join(config.ngpu, BATCH).device
    keep_freed_memory()
    nets, cast = Networks(model, config, device), autocast(precision, device)
    images = load_images(dataroot, 64, progress=False)
    real = normalised(next(images.batches(BATCH, 0, device=device)))
    noise = torch.randn(BATCH, model.nz, 1, 1, device=device)
    while True:
        adversarial_step(nets, config, real, noise, cast)
        yield


def as_folder(dataroot: str, folder: Path) -> str:
    """What the tutorial's ImageFolder can read: a class folder of files."""
    inside = folder / "all"
    inside.mkdir()
    if Path(dataroot).is_file():
        with contextlib.closing(zipfile.ZipFile(dataroot)) as archive:
            archive.extractall(inside)
    elif Path(dataroot).is_dir():
        inside.rmdir()
        return dataroot
    else:
        source = open_source(dataroot)
        for i in range(BATCH * 20):
            source.open(i).save(inside / f"{i:06d}.png")
    return str(folder)


def report(rows: dict[str, list[dict[str, float]]], path: Path | None) -> None:
    """The table, and the JSON."""
    speeds = {name: [row["images_per_second"] for row in turns] for name, turns in rows.items()}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"\n{device}, 64 px, batch {BATCH}\n\n| | images/s | least | most | peak MiB |\n|---|---|---|---|---|")
    for name, values in speeds.items():
        peak = max(row["peak_mib"] for row in rows[name])
        print(f"| {name} | {median(values):.1f} | {min(values):.1f} | {max(values):.1f} | {peak:,.0f} |")
    pairs = (("ours", "tutorial"), ("ours", "ceiling"), ("ceiling", "ceiling_fp32"))
    ratios = {f"{a} / {b}": median(x / y for x, y in zip(speeds[a], speeds[b], strict=True)) for a, b in pairs}
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f}")
    if path:
        path.write_text(json.dumps({"device": device, "turns": rows, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()
