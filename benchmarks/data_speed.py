"""Reading images: decoding a set the first time, opening it the second, and the memory that a large one takes.

python benchmarks/data_speed.py --dataroot PHOTOS      (a folder or a zip; without it, 2,000 drawn faces)
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.data.images import Images, load_images

CELEBA = 202_599  # images in CelebA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", default="avatars")
    flags = parser.parse_args()
    limit = 2_000 if flags.dataroot == "avatars" else None
    with tempfile.TemporaryDirectory() as folder:
        first, images = timed(lambda: load_images(flags.dataroot, 64, limit=limit, cache=Path(folder)))
        second, _ = timed(lambda: load_images(flags.dataroot, 64, limit=limit, cache=Path(folder)))
        print(f"first start:  {len(images):,} images in {first:.1f} s, {len(images) / first:,.0f} images/s")
        print(f"second start: {second:.2f} s")
        large(Path(folder))


def large(folder: Path, batches: int = 500) -> None:
    """Random batches from as many synthetic images as CelebA has; anonymous memory is what cannot be given back."""
    path = folder / "pixels.u8"
    with path.open("wb") as file:
        noise = np.random.default_rng(0).integers(0, 256, (1_000, 3, 64, 64), dtype=np.uint8).tobytes()
        for _ in range(CELEBA // 1_000 + 1):
            file.write(noise)
    pixels = np.memmap(path, np.uint8, "r", shape=(CELEBA, 3, 64, 64))
    images = Images("synthetic", pixels, [str(i) for i in range(CELEBA)], [], "")
    stream = images.batches(128, seed=0, flip=True)
    seconds, peak = timed(lambda: max(anonymous_mib() for _ in zip(range(batches), stream, strict=False)))
    speed = batches * 128 / seconds
    print(
        f"{CELEBA:,} images, {pixels.nbytes / 2**30:.2f} GiB mapped: {speed:,.0f} images/s, "
        f"RssAnon at most {peak:,.0f} MiB"
    )


def anonymous_mib() -> float:
    """This process's anonymous resident memory (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
