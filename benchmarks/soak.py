"""Trainings killed at random moments and taken up again: what is lost, and whether the end is that of an unbroken one.

python benchmarks/soak.py --kills 50 --stops 10

Every second SIGKILL waits until a file is being written. Then SIGTERM, at the recipe's own size: how long it takes to
save and end. On a CPU; exits with 1 where something does not hold.
"""

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from multiprocessing.context import ForkProcess as Process
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.training import command as train
from dcgan.training import step
from dcgan.training.resume import STATE
from tests.training.tiny import same_end

FORK = multiprocessing.get_context("fork")
TICK, BATCH = 400, 8
SMALL = ["--image-size=16", "--nz=8", "--ngf=8", "--ndf=8", f"--batch-size={BATCH}", f"--tick={TICK}", "--ema=100"]
SMALL += ["--quality=2", "--moments=4", f"--max-images={16 * TICK}"]
LARGE = ["--batch-size=32", "--tick=320", "--quality=2", "--max-images=100000000"]
ALWAYS = ["--ngpu=0", "--workers=2"]


def child(run: Path, log: Path, argv: list[str]) -> tuple[Process, Any, int]:
    """`train.py` in a process of its own, the number of steps that it has taken, and the images seen before."""
    resume = ["--resume"] * (run / "state" / "settings.json").is_file()
    steps, before = FORK.RawValue("q", 0), seen_in(run)
    process = FORK.Process(target=train_counted, args=([*argv, *ALWAYS, "--out", str(run), *resume], log, steps))
    process.start()
    return process, steps, before


def train_counted(argv: list[str], log: Path, steps: Any) -> None:
    """Train, counting the steps and printing into `log`, and exit."""
    take = step.adversarial_step

    def counted(*args: object) -> torch.Tensor:
        stats = take(*args)
        steps.value += 1
        return stats

    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    step.adversarial_step = counted
    sys.exit(train.main(argv))


def killed(process: Process, log: Path) -> bool:
    """Wait for its end; whether SIGKILL was it. Exits where it failed."""
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        sys.exit(f"FAILED: {log.read_text()[-2000:]}")
    return process.exitcode != 0


def seen_in(run: Path) -> int:
    """The images seen in the state that a run would go on from."""
    path = run / STATE
    return torch.load(path, weights_only=True)["seen"] if path.is_file() else 0


def half_written(run: Path) -> bool:
    return any(name.endswith((".tmp", ".new", ".old")) for _, below, files in os.walk(run) for name in (*below, *files))


def kills(folder: Path, count: int, chance: random.Random) -> bool:
    """Kill so many times, starting a new run whenever one has come to its end."""
    argv, log = ["--dataroot", str(folder / "photos"), "--name=soak", *SMALL], folder / "log.txt"
    start = time.perf_counter()
    killed(child(folder / "unbroken", log, argv)[0], log)
    span = (time.perf_counter() - start) / 3
    lost, writing, equal, run = [], 0, [], folder / "run0"
    while len(lost) < count or run.exists():
        (process, steps, before), left = child(run, log, argv), count - len(lost)
        deadline = time.perf_counter() + chance.uniform(0, span) if left else float("inf")
        while process.is_alive() and (time.perf_counter() < deadline or (left % 2 and not half_written(run))):
            time.sleep(0.0005 if left % 2 else 0.002)
        if process.is_alive():
            process.kill()
            writing += half_written(run)
        if killed(process, log):
            lost.append((before + steps.value * BATCH - seen_in(run)) / TICK)
        else:
            equal.append(same_end(run, folder / "unbroken"))
            run = folder / f"run{len(equal)}"
    print(
        f"{len(lost)} times SIGKILL, {writing} of them within a write: every resume worked; "
        f"lost at most {max(lost):.2f} ticks (median {median(lost):.2f}); "
        f"{sum(equal)} of {len(equal)} runs ended bit for bit as the unbroken one"
    )
    return all(equal) and max(lost) <= 1 + BATCH / TICK


def stops(folder: Path, count: int, chance: random.Random) -> bool:
    """Send SIGTERM so many times, at the size that the recipe trains."""
    argv, log, run = ["--dataroot", str(folder / "photos"), *LARGE], folder / "log.txt", folder / "large"
    took, whole = [], True
    for _ in range(count):
        process, steps, before = child(run, log, argv)
        time.sleep(chance.uniform(0.1, 20))
        start = time.perf_counter()
        process.terminate()
        killed(process, log)
        took.append(time.perf_counter() - start)
        whole &= not steps.value or seen_in(run) == before + 32 * steps.value
    print(
        f"{count} times SIGTERM: exit code 0, every step saved: {whole}; "
        f"over after {median(took):.1f} s, at most {max(took):.1f} s"
    )
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    torch.set_num_threads(1)
    chance, noise = random.Random(flags.seed), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["DCGAN_CACHE"] = str(folder / "cache")
        (folder / "photos").mkdir()
        for i in range(120):
            blot = Image.fromarray(noise.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            blot.resize((64, 64), Image.Resampling.BICUBIC).save(folder / "photos" / f"{i:03d}.png")
        held = [not flags.kills or kills(folder, flags.kills, chance)]
        held += [not flags.stops or stops(folder, flags.stops, chance)]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
