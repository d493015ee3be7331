"""Latent vectors: seeds to latents, and interpolation between latents.

Every z here is a float32 tensor of length nz (or a batch [N, nz]) on the CPU.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

MAX_SEED = 2**32 - 1


def latent(seed: int, nz: int) -> Tensor:
    """The latent [nz] of a seed: standard normal, the same on every device and in every batch.

    Raises ValueError for a seed outside 0 .. 2**32 - 1.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"a seed is a whole number from 0 to {MAX_SEED}, not {seed}")
    return torch.randn(nz, generator=torch.Generator("cpu").manual_seed(int(seed)))


def latents(seeds: Iterable[int], nz: int) -> Tensor:
    """The latent of each seed, [N, nz]."""
    rows = [latent(seed, nz) for seed in seeds]
    return torch.stack(rows) if rows else torch.empty(0, nz)


def lerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """The point at fraction t on the straight line from a to b."""
    return a + (b - a) * t


def slerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """The point at fraction t on the great arc from a [nz] to b [nz]; its length goes linearly from |a| to |b|.

    Gaussian latents lie near a sphere of radius sqrt(nz); a straight line cuts through its inside, where the
    generator was never trained (White 2016). Parallel vectors, which span no arc, fall back to `lerp`.
    """
    length_a, length_b = a.norm(), b.norm()
    cosine = torch.dot(a, b) / (length_a * length_b)
    if not torch.isfinite(cosine) or cosine.abs() > 0.9995:
        return lerp(a, b, t)
    angle = torch.arccos(cosine)
    t = torch.as_tensor(t, dtype=a.dtype)
    direction = (torch.sin((1 - t) * angle) * a / length_a + torch.sin(t * angle) * b / length_b) / torch.sin(angle)
    return direction * lerp(length_a, length_b, t)


def path(stops: Tensor, steps: int, spherical: bool = True, loop: bool = False) -> Tensor:
    """`steps` latents [steps, nz] evenly spaced along the stops [K, nz], both ends included.

    A `loop` returns to the first stop, which is not repeated at the end.
    """
    move = slerp if spherical else lerp
    if loop or len(stops) == 1:
        stops = torch.cat([stops, stops[:1]])
    legs = len(stops) - 1
    rows = []
    for position in torch.linspace(0, legs, steps + loop, dtype=torch.float64)[:steps].tolist():
        leg = min(int(position), legs - 1)
        rows.append(move(stops[leg], stops[leg + 1], position - leg))
    return torch.stack(rows)
