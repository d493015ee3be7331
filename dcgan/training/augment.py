"""Differentiable augmentation (Zhao et al. 2020): D sees real and fake images altered alike, and overfits less.

Images are [N, nc, S, S] in [-1, 1]; each is altered on its own, by draws from torch's default generator.
"""

import torch
from torch import Tensor

from dcgan.metrics.attributes import translation

CUTOUT = 1 / 2  # of the side


def augment(images: Tensor, policy: str, share: float = 1.0) -> Tensor:
    """Apply the ALTERATIONS that `policy` lists, separated by commas, to this share of the images."""
    if not policy or not share:
        return images
    altered = images
    for name in names(policy):
        altered = ALTERATIONS[name](altered)
    if share == 1:
        return altered
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < share
    return torch.where(chosen, altered, images)


def names(policy: str) -> list[str]:
    """The alterations in a comma-separated list, with spaces or without."""
    return [name.strip() for name in policy.split(",") if name.strip()]


def color(images: Tensor) -> Tensor:
    """Random brightness (+-0.5), saturation (x 0 to 2) and contrast (x 0.5 to 1.5)."""
    brightness, saturation, contrast = _uniform(images, 3)
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return middle + (images - middle) * (contrast + 0.5)


def cutout(images: Tensor) -> Tensor:
    """Grey out a square of half the side, anywhere (partly outside, too)."""
    n, _, size, _ = images.shape
    half = int(size * CUTOUT / 2 + 0.5)
    centre = torch.randint(0, size, (2, n, 1), device=images.device)
    steps = torch.arange(size, device=images.device)
    rows, columns = ((steps >= c - half) & (steps < c + half) for c in centre)
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(inside, 0)


ALTERATIONS = {"color": color, "translation": translation, "cutout": cutout}


def _uniform(images: Tensor, count: int) -> Tensor:
    return torch.rand(count, len(images), 1, 1, 1, device=images.device, dtype=images.dtype)
