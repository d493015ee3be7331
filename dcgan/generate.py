"""Seeds to files: `python -m dcgan generate checkpoints/faces --seeds 0-9999 --out faces.zip`."""

import argparse
import math
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import torch
from tqdm import tqdm

from dcgan.checkpoint import Checkpoint, load_checkpoint
from dcgan.cli import guarded, user_path, user_source
from dcgan.direction import Direction
from dcgan.errors import UserError, reason
from dcgan.files import writing
from dcgan.hub.pull import local_folder
from dcgan.latents import MAX_SEED
from dcgan.pictures import encoded
from dcgan.provenance import GENERATED, face_link, xmp
from dcgan.sampling import sample_batches

NAME = re.compile(r"\d{6,}\.png")  # of a seed's file


def parse_seeds(text: str) -> list[range]:
    """Parse "0-9999,12345" into ranges in order, with no seed twice. Raises ValueError for anything else."""
    parts = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"--seeds takes numbers and ranges like 0-99,123, not '{text}'")
        low, high = int(first), int(last or first)
        if not low <= high <= MAX_SEED:
            raise ValueError(f"--seeds: '{part.strip()}' is not a range of seeds from 0 to {MAX_SEED}")
        parts.append((low, high))
    ranges, end = [], 0
    for low, high in sorted(parts):
        ranges.append(range(max(low, end), high + 1))
        end = max(end, high + 1)
    return ranges


def parse_moves(moves: list[str], directions: dict[str, Direction]) -> dict[str, float]:
    """Parse ["age=2", ...] into amounts by direction. Raises ValueError for an unknown one, or outside its range."""
    moved: dict[str, float] = {}
    for move in moves:
        name, _, amount = move.rpartition("=")
        if name not in directions:
            raise ValueError(f"--move takes a direction such as age=2, here {', '.join(directions) or 'there is none'}")
        direction = directions[name]
        try:
            deviations = float(amount)
        except ValueError:
            deviations = math.nan
        if not direction.low <= deviations <= direction.high:
            raise ValueError(f"--move: {name} goes from {direction.low:g} to {direction.high:g}, not to '{amount}'")
        moved[name] = moved.get(name, 0.0) + deviations
    return moved


@contextmanager
def _writer(out: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Yield a function that puts a named file into a folder, or into a zip if `out` ends in .zip."""
    if out.suffix.lower() == ".zip":
        if out.exists() and not _has_only_faces(out):
            raise UserError(f"'{out}' is there already, and holds other things than faces: choose another --out")
        out.parent.mkdir(parents=True, exist_ok=True)
        with writing(out) as half, zipfile.ZipFile(half, "w", zipfile.ZIP_STORED) as archive:
            yield archive.writestr
    else:
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(out.iterdir()):
            if NAME.fullmatch(path.name) and GENERATED.encode() not in path.read_bytes():
                raise UserError(f"'{path}' is there already, and not marked as generated: choose another --out")

        def write(name: str, data: bytes) -> None:
            with writing(out / name, durable=False) as half:
                half.write_bytes(data)

        yield write


def _has_only_faces(out: Path) -> bool:
    try:
        with zipfile.ZipFile(out) as archive:
            return all(NAME.fullmatch(name) for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def generate(checkpoint: Checkpoint, ranges: list[range], flags: argparse.Namespace) -> None:
    """Write a PNG for each seed in `ranges`, as the flags of the command say. Raises ValueError or UserError."""
    directions = {direction.name: direction for direction in checkpoint.directions} if flags.move else {}
    moved = parse_moves(flags.move, directions)
    shift = sum((amount * directions[name].vector for name, amount in moved.items()), torch.zeros(()))
    digits = max(6, *(len(str(seeds.stop - 1)) for seeds in ranges))
    seeds = chain(*ranges)
    batches = sample_batches(checkpoint.generator, chain(*ranges), flags.truncation, shift=shift)
    with _writer(flags.out) as write, tqdm(total=sum(map(len, ranges)), unit="img") as bar:
        for images in batches:
            for image, seed in zip(images.numpy(), seeds, strict=False):
                link = face_link(checkpoint.name, seed, flags.truncation, directions=moved)
                mark = b"" if flags.no_metadata else xmp(checkpoint, link)
                write(f"{seed:0{digits}d}.png", encoded(image, xmp=mark))
            bar.update(len(images))


@guarded("generate", ValueError, output_counts=False)
def main(argv: list[str] | None = None) -> int:
    """Write a PNG for each seed."""
    parser = argparse.ArgumentParser(prog="python -m dcgan generate", description="Write a PNG for each seed.")
    add = parser.add_argument
    add("checkpoint", type=user_source, help="checkpoint folder, run folder or owner/name[@revision] on the Hub")
    add("--seeds", default="0-63", help="numbers and ranges, such as 0-9999,123456 (default: 0-63)")
    add("--out", type=user_path, required=True, help="folder, or a name that ends in .zip")
    add("--truncation", type=float, default=1.0, help="0 to 2; below 1: safer, more alike faces (default: 1)")
    text = "move all faces along a direction of the checkpoint, such as age=2; may be given several times"
    add("--move", action="append", default=[], metavar="NAME=DEVIATIONS", help=text)
    text = "leave out the mark that says a machine made the picture, with checkpoint, terms and seed"
    add("--no-metadata", action="store_true", help=text)
    flags = parser.parse_args(argv)
    ranges = parse_seeds(flags.seeds)
    checkpoint = load_checkpoint(local_folder(flags.checkpoint))
    try:
        generate(checkpoint, ranges, flags)
    except OSError as error:
        raise UserError(f"'{flags.out}' cannot be written ({reason(error)})") from None
    return 0


if __name__ == "__main__":
    from dcgan.__main__ import moved

    moved("generate")
