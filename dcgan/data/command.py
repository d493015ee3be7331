"""The faces of photos as pictures of their own: `python -m dcgan crop PHOTOS OUT`."""

import argparse
import os
from pathlib import Path, PurePosixPath

import numpy as np

from dcgan.cli import guarded, new_folder, user_path, user_source, whole
from dcgan.data import Images, load_images
from dcgan.data.sources import SHEET
from dcgan.pictures import GRID, grid, picture

SIZES = (32, 64, 128, 256, 512)


def write_faces(images: Images, folder: Path) -> None:
    """Write each image as a PNG that is called as its photo, with a number from the second on, and a sheet of 64."""
    taken = {Path(SHEET).stem}
    for pixels, name in zip(images.pixels, images.names, strict=True):
        stem = unique = os.fsdecode(os.fsencode(PurePosixPath(name).stem)[:200])  # of a length that disks take
        number = 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem}-{number}"
        taken.add(unique.casefold())
        picture(pixels.transpose(1, 2, 0)).save(folder / f"{unique}.png")
    chosen = np.linspace(0, len(images) - 1, min(len(images), GRID**2)).astype(int)
    picture(grid(images.pixels[chosen].transpose(0, 2, 3, 1))).save(folder / SHEET)


@guarded("crop")
def main(argv: list[str] | None = None) -> int:
    """Write the faces of photos into a folder."""
    parser = argparse.ArgumentParser(prog="python -m dcgan crop", description="Cut the faces out of photos.")
    parser.add_argument("source", type=user_source, help="folder or zip of photos, or hf://datasets/OWNER/NAME")
    parser.add_argument("out", type=user_path, help="folder to write; it must be new or empty")
    parser.add_argument("--size", type=int, choices=SIZES, default=128, help="pixels of a face (default: 128)")
    parser.add_argument("--workers", type=whole(), default=2, help="processes that look for faces (default: 2)")
    flags = parser.parse_args(argv)
    with new_folder(flags.out) as folder:
        images = load_images(flags.source, flags.size, workers=flags.workers, crop="face")
        write_faces(images, folder)
    print(f"wrote {len(images)} faces to {flags.out}; {flags.out / SHEET} shows up to {GRID**2} of them")
    return 0
