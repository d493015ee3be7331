"""Between pixels, uint8 from 0 to 255, and what the networks see, -1 to 1."""

import torch
from torch import Tensor


def normalised(pixels: Tensor) -> Tensor:
    """uint8 of any shape -> [-1, 1], float32."""
    return pixels.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] -> 0 .. 255, with a fixed range: no picture's contrast depends on its neighbours."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
