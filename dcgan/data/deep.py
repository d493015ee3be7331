"""Pictures of more than 8 bits a channel, in the 8 that training sees."""

from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

DARK = 2**6 - 1  # the brightest that 14 bits are in the upper 8 of 16


def in_8_bits(levels: np.ndarray) -> np.ndarray:
    """Integers of 16 or 32 bits, or floats, in uint8.

    They are scaled from 0, or the lowest level if that is negative, to the first of the usual white levels (1 for
    floats, those of 8, 10, 12, 14 and 16 bits for integers) that none exceeds, so that pictures of one camera keep
    their brightness to each other; else to the brightest level.
    """
    usual = [1] if levels.dtype.kind == "f" else [2**bits - 1 for bits in (8, 10, 12, 14, 16)]
    levels = levels.astype(np.float64)
    finite = levels[np.isfinite(levels)]
    black, brightest = finite.min(initial=0), finite.max(initial=0)
    white = next((level for level in usual if brightest <= level), brightest)
    return (np.nan_to_num((levels - black) / (white - black), posinf=1).clip(0, 1) * 255).astype(np.uint8)


def with_deep_colours(picture: Image.Image, file: Path | IO[bytes]) -> Image.Image:
    """The picture in a file; colours of fewer than 16 bits that are kept in 16 are scaled as `in_8_bits` says.

    Of 16 bits Pillow reads the upper 8: of colours of 12 bits nearly nothing.
    """
    if picture.format not in ("PNG", "TIFF") or picture.mode not in ("RGB", "RGBA"):
        return picture
    if np.asarray(picture)[:, :, :3].max() > DARK:
        return picture
    import cv2

    if not isinstance(file, Path):
        file.seek(0)
    content = file.read_bytes() if isinstance(file, Path) else file.read()
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # a kind of TIFF that OpenCV does not read
        return picture
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[1::-1] != picture.size:
        return picture
    deep = Image.fromarray(in_8_bits(pixels[:, :, 2::-1]))
    if pixels.shape[2] == 4:
        deep.putalpha(Image.fromarray((pixels[:, :, 3] / 257).astype(np.uint8)))
    deep.info = picture.info
    return deep
