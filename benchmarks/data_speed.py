"""Speed and memory of reading images: decoding a set, opening it again, and batches of a set as large as CelebA.

python benchmarks/data_speed.py --dataroot PHOTOS      (a folder or a zip; without it, 2,000 drawn faces)
"""

import argparse
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.data import Images, load_images

CELEBA = 202_599  # images in CelebA
BATCHES = 500


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", default="avatars")
    flags = parser.parse_args()
    limit = 2_000 if flags.dataroot == "avatars" else None
    with tempfile.TemporaryDirectory() as folder:
        for start in ("first", "second"):
            begun = time.perf_counter()
            images = load_images(flags.dataroot, 64, limit=limit, cache=Path(folder))
            print(f"{start} start: {len(images):,} images in {time.perf_counter() - begun:.2f} s")
        large(Path(folder) / "pixels.u8")


def large(path: Path) -> None:
    """Print the speed of random batches, and the anonymous memory, which the system cannot take back."""
    noise = np.random.default_rng(0).integers(0, 256, (1_000, 3, 64, 64), dtype=np.uint8).tobytes()
    with path.open("wb") as file:
        file.writelines(noise for _ in range(CELEBA // 1_000 + 1))
    pixels = np.memmap(path, np.uint8, "r", shape=(CELEBA, 3, 64, 64))
    images = Images("synthetic", pixels, [str(i) for i in range(CELEBA)], [], "")
    begun = time.perf_counter()
    peak = max(anonymous_mib() for _ in islice(images.batches(128, seed=0, flip=True), BATCHES))
    speed = BATCHES * 128 / (time.perf_counter() - begun)
    print(f"{CELEBA:,} images, {pixels.nbytes / 2**30:.2f} GiB mapped: {speed:,.0f} images/s, {peak:,.0f} MiB RssAnon")


def anonymous_mib() -> float:
    """The anonymous resident memory of this process (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
