"""Photos as phones take them, made by code: generated faces, which are nobody's, anywhere on soft colours."""

from functools import cache
from pathlib import Path

from PIL import Image

from dcgan import load_checkpoint, sample
from dcgan.checkpoint import Checkpoint
from tests.data.pictures import blot

SIDE = 300  # pixels, of a face's picture in a photo


@cache
def _faces() -> Checkpoint:
    return load_checkpoint(Path(__file__).parents[2] / "checkpoints" / "faces")


@cache
def face(seed: int, side: int = SIDE) -> Image.Image:
    """A generated face, framed as UTKFace frames its own."""
    pixels = sample(_faces().generator, seeds=[seed])[0]
    return Image.fromarray(pixels.numpy()).resize((side, side), Image.Resampling.BICUBIC)


def photo(*faces: tuple[int, tuple[int, int]], turn: float = 0, seed: int = 0) -> Image.Image:
    """A photo of 1200 x 900 with faces, by seed, around some places, turned to the left by `turn` degrees."""
    image = blot(1200, 900, seed)
    for number, (x, y) in faces:
        turned, whole = (
            part.rotate(turn, Image.Resampling.BICUBIC, expand=True)
            for part in (face(number), Image.new("L", (SIDE, SIDE), 255))
        )
        image.paste(turned, (x - turned.width // 2, y - turned.height // 2), whole)
    return image
