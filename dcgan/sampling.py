"""From seeds to pictures.

python -m dcgan generate checkpoints/faces --seeds 0-9999 --out faces.zip
"""

import argparse
import io
import math
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from dcgan.checkpoint import CheckpointError, load_checkpoint
from dcgan.cli import interruptible, place
from dcgan.direction import Direction
from dcgan.files import writing
from dcgan.hub.pull import local_folder
from dcgan.latents import MAX_SEED, latents
from dcgan.model import Generator
from dcgan.pictures import to_uint8

MAX_TRUNCATION = 2.0


@torch.inference_mode()
def render(generator: Generator, z: Tensor, batch_size: int = 64) -> Tensor:
    """Latents [N, nz] -> uint8 images [N, nc, S, S] on the CPU.

    The generator must be in eval mode: in train mode an image would change with the batch around it.
    """
    assert not generator.training, "sample in eval mode"
    weight = next(generator.parameters())
    pieces = []
    for piece in z.split(batch_size):
        count = len(piece)
        if count > 1 and count % 2:  # CPU kernels sum an odd batch's last image in another order, with other rounding
            piece = torch.cat([piece, piece[-1:]])
        images = generator(piece.to(weight.device, weight.dtype)[:, :, None, None])
        pieces.append(to_uint8(images[:count]).cpu())
    size = generator.config.image_size
    return torch.cat(pieces) if len(pieces) else torch.empty(0, generator.config.nc, size, size, dtype=torch.uint8)


def folded(generator: Generator) -> Generator:
    """A copy of a generator in eval mode with each BatchNorm multiplied into the convolution before it.

    The images are the same but for rounding; the copy has convolutions and activations only.
    """
    assert not generator.training, "fold in eval mode"
    copy = deepcopy(generator).requires_grad_(False)
    layers: list[Any] = []
    for layer in copy.main:
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer, transpose=True)
        else:
            layers.append(layer)
    copy.main = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    return copy


def sample_batches(
    generator: Generator, seeds: Iterable[int], truncation: float = 1.0, batch_size: int = 64, shift: Tensor | float = 0
) -> Iterator[Tensor]:
    """Like `sample`, but in pieces of at most `batch_size` images, so that memory does not grow with the seeds."""
    if not 0 <= truncation <= MAX_TRUNCATION:
        raise ValueError(f"truncation goes from 0 to {MAX_TRUNCATION:g}, not to {truncation}")
    remaining = iter(seeds)
    pieces = iter(lambda: list(islice(remaining, batch_size)), [])
    images = (render(generator, truncation * latents(p, generator.config.nz) + shift, batch_size) for p in pieces)
    return (piece.permute(0, 2, 3, 1).contiguous() for piece in images)


def sample(generator: Generator, seeds: Iterable[int], truncation: float = 1.0, shift: Tensor | float = 0) -> Tensor:
    """Images of the seeds, uint8 [N, H, W, nc].

    The same seed gives the same pixels alone and in any batch. `truncation`, 0 to 2, below 1 draws every latent
    towards the origin: safer, more alike faces. `shift` [nz] is then added to all, such as 2 * direction.vector.
    Raises ValueError for another truncation, or a seed outside 0 .. 2**32 - 1.
    """
    config = generator.config
    empty = torch.empty(0, config.image_size, config.image_size, config.nc, dtype=torch.uint8)
    return torch.cat([empty, *sample_batches(generator, seeds, truncation, shift=shift)])


def parse_seeds(text: str) -> list[range]:
    """ "0-9999,12345" -> ranges in order, with no seed twice. Raises ValueError for anything else."""
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"--seeds takes numbers and ranges like 0-99,123, not '{text}'")
        ranges.append(range(int(first), int(last or first) + 1))
        if not ranges[-1] or ranges[-1].stop - 1 > MAX_SEED:
            raise ValueError(f"--seeds: '{part.strip()}' is not a range of seeds from 0 to {MAX_SEED}")
    ranges.sort(key=lambda r: r.start)
    stops = accumulate((r.stop for r in ranges), max, initial=0)  # of all before
    return [range(max(r.start, stop), r.stop) for r, stop in zip(ranges, stops, strict=False) if stop < r.stop]


def parse_moves(moves: Iterable[str], directions: Iterable[Direction]) -> Tensor:
    """["age=2", ...] -> what they add to a z. Raises ValueError for what is no direction here, or goes too far."""
    known, shift = {direction.name: direction for direction in directions}, torch.zeros(())
    for move in moves:
        name, _, amount = move.rpartition("=")
        if name not in known:
            raise ValueError(f"--move takes a direction such as age=2, here {', '.join(known) or 'there is none'}")
        way = known[name]
        try:
            deviations = float(amount)
        except ValueError:
            deviations = math.nan
        if not way.low <= deviations <= way.high:
            raise ValueError(f"--move: {name} goes from {way.low:g} to {way.high:g}, not to '{amount}'")
        shift = shift + deviations * way.vector
    return shift


@contextmanager
def _writer(out: Path) -> Iterator[Callable[[str, bytes], None]]:
    """A function that puts a named file into a folder, or into a zip if `out` ends in .zip."""
    if out.suffix.lower() == ".zip":
        if out.exists() and not _is_ours(out):
            raise ValueError(f"'{out}' is there already, and holds other things than faces: choose another --out")
        out.parent.mkdir(parents=True, exist_ok=True)
        # A PNG does not get smaller; half of the pictures do not get the zip's name.
        with writing(out) as half, zipfile.ZipFile(half, "w", zipfile.ZIP_STORED) as archive:
            yield archive.writestr
    else:
        out.mkdir(parents=True, exist_ok=True)

        def write(name: str, data: bytes) -> None:
            half = out / f"{name}.tmp"
            try:
                half.write_bytes(data)
                half.replace(out / name)
            except BaseException:  # a full disk: neither half a picture, nor one less
                half.unlink(missing_ok=True)
                raise

        yield write


def _is_ours(out: Path) -> bool:
    try:
        with zipfile.ZipFile(out) as archive:
            return all(re.fullmatch(r"\d{6,}\.png", name) for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _png(image: Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze(2).numpy() if image.shape[2] == 1 else image.numpy()).save(file, "PNG")
    return file.getvalue()


@interruptible("generate: stopped")
def main(argv: list[str] | None = None) -> int:
    """Write a PNG for each seed. Exit code 2, after one line on stderr, for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m dcgan generate", description="Write a PNG for each seed.")
    parser.add_argument("checkpoint", help="checkpoint folder or run folder")
    parser.add_argument("--seeds", default="0-63", help="numbers and ranges, such as 0-9999,123456 (default: 0-63)")
    parser.add_argument("--out", type=place, required=True, help="folder, or a name that ends in .zip")
    parser.add_argument(
        "--truncation", type=float, default=1.0, help="0 to 2; below 1: safer, more alike faces (default: 1)"
    )
    parser.add_argument(
        "--move",
        action="append",
        default=[],
        metavar="NAME=DEVIATIONS",
        help="move all faces along a direction of the checkpoint, such as age=2; may be given several times",
    )
    flags = parser.parse_args(argv)
    try:
        ranges = parse_seeds(flags.seeds)
        checkpoint = load_checkpoint(local_folder(flags.checkpoint))
        shift = parse_moves(flags.move, checkpoint.directions if flags.move else ())
        digits = max(6, len(str(max(r.stop - 1 for r in ranges))))
        names = (f"{seed:0{digits}d}.png" for seed in chain(*ranges))
        pieces = sample_batches(checkpoint.generator, chain(*ranges), flags.truncation, shift=shift)
        with _writer(flags.out) as write, tqdm(total=sum(map(len, ranges)), unit="img") as bar:
            for images in pieces:
                for image in images:
                    write(next(names), _png(image))
                bar.update(len(images))
    except (CheckpointError, ValueError) as error:
        print(f"generate: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"generate: '{flags.out}' cannot be written ({error.strerror})", file=sys.stderr)
        return 2
    return 0
