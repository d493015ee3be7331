"""Sampling: milliseconds for one face and for 64, plain and folded, taking turns.

python benchmarks/sampling_speed.py checkpoints/faces
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan import load_checkpoint
from dcgan.generate import folded, render
from dcgan.latents import latents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--turns", type=int, default=30)
    flags = parser.parse_args()
    plain = load_checkpoint(flags.checkpoint).generator
    fast = folded(plain)
    z = latents(range(64), plain.config.nz)
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(flags.turns):
        for name, generator in (("plain", plain), ("folded", fast)):
            for count in (1, 64):
                start = time.perf_counter()
                render(generator, z[:count])
                times.setdefault((name, count), []).append((time.perf_counter() - start) * 1000)
    differ = (render(plain, z).int() - render(fast, z).int()).abs().max().item()
    print(
        f"{torch.get_num_threads()} threads, {plain.config.image_size} px; "
        f"folding moves a pixel by at most {differ}/255\n"
    )
    print("| | faces | median ms | least | most |\n|---|---|---|---|---|")
    for (name, count), values in times.items():
        print(f"| {name} | {count} | {median(values):.1f} | {min(values):.1f} | {max(values):.1f} |")


if __name__ == "__main__":
    main()
