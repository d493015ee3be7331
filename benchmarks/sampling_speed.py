"""Sampling: milliseconds for one face and for 64, by the generator as it is, folded, and as `sample` does it.

One face is the mean of ten in a row, as a visitor's drag asks for them.

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
from dcgan.folded import folded, sampler
from dcgan.latents import latents
from dcgan.pixels import to_uint8
from dcgan.training.malloc import keep_freed_memory


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--turns", type=int, default=30)
    flags = parser.parse_args()
    keep_freed_memory()
    plain = load_checkpoint(flags.checkpoint).generator
    ways = {"as it is": plain, "folded": folded(plain), "sample": sampler(plain)}
    z = latents(range(64), plain.config.nz)[:, :, None, None]
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(flags.turns):
        for name, net in ways.items():
            for count, calls in ((1, 10), (64, 1)):
                start = time.perf_counter()
                for _ in range(calls):
                    to_uint8(net(z[:count]))
                times.setdefault((name, count), []).append((time.perf_counter() - start) / calls * 1000)
    gap = (to_uint8(plain(z)).int() - to_uint8(ways["sample"](z)).int()).abs().max().item()
    print(
        f"{torch.get_num_threads()} threads, {plain.config.image_size} px; {type(ways['sample']).__name__} is what "
        f"`sample` uses here: pixels differ by at most {gap}/255\n"
    )
    print("| | faces | median ms | least | most |\n|---|---|---|---|---|")
    for (name, count), values in times.items():
        print(f"| {name} | {count} | {median(values):.1f} | {min(values):.1f} | {max(values):.1f} |")


if __name__ == "__main__":
    main()
