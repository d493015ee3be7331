"""Distances between generated and real images.

A figure says little alone: compare it with the same figure for real images against real images (the floor) at the
same n, from the same crop. Images are uint8 [N, nc, S, S]; features are float32 [N, D].
"""

import numpy as np
import torch
from torch import Tensor

from dcgan.metrics.features import PIECE, at_32, laplacian

NEIGHBOURS = 5  # k, as in Naeem et al. 2020
PATCH = 7
PATCHES = 32  # an image and level; Karras et al. take 128 of 16,384 images
MAX_PATCHES = 2**17  # a level
DIRECTIONS = 256
COARSEST = 16  # pixels: the side of the last Laplacian level, as in Karras et al.


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance between Gaussians fitted to the features a [N, D] and b [M, D] (Heusel et al. 2017)."""
    a, b = a.double(), b.double()
    gap = (a.mean(0) - b.mean(0)).square().sum()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    # tr sqrt(AB) from the eigenvalues of sqrt(A) B sqrt(A), which is symmetric: no square root of a complex matrix.
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    return max(float(gap + cov_a.trace() + cov_b.trace() - 2 * cross), 0.0)


def neighbourhoods(real: Tensor, fake: Tensor, k: int = NEIGHBOURS) -> dict[str, float]:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020) of features.

    A ball around each point reaches to its k-th nearest neighbour of its own kind. Precision: the share of fakes in
    any real ball; density: in how many of k. Recall: the share of reals in any fake ball; coverage: the share of real
    balls with a fake in them. Real against real, density is about 1 and coverage 1 - 1 / 2**k.
    Raises ValueError for k images or fewer.
    """
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"{k} neighbours want more than {k} images, not {min(len(real), len(fake))}")
    centre = real.mean(0)  # distances come from products: what all points have in common would cost them precision
    real, fake = real - centre, fake - centre
    # The nearest of its own kind is the point itself.
    real_radius, fake_radius = (torch.cdist(kind, kind).kthvalue(k + 1).values for kind in (real, fake))
    distances = torch.cdist(fake, real)
    inside = distances < real_radius
    return {
        "precision": int(inside.any(dim=1).sum()) / len(fake),
        "recall": float((distances < fake_radius[:, None]).any(dim=0).float().mean()),
        "density": int(inside.sum()) / (k * len(fake)),
        "coverage": float(inside.any(dim=0).float().mean()),
    }


def sliced_wasserstein(fake: Tensor, real: Tensor, seed: int = 0) -> dict[int, float]:
    """Sliced Wasserstein distance x 1000 of patches on each Laplacian level, by the level's side (Karras et al. 2018).

    fake, real: the same number of images, else ValueError. Fine levels see texture, coarse ones composition. 32 patches
    of 7 x 7 an image and level (fewer of thousands of images), along 256 directions, in units of the reals' standard
    deviation, or of a grey level if that is more; in the paper each set is brought to its own mean and deviation, which
    hides wrong colours and contrast.
    """
    if len(fake) != len(real):
        raise ValueError(f"the same number of images is compared, not {len(fake)} with {len(real)}")
    distances = {}
    for (side, fakes), (_, reals) in zip(_patches(fake, seed).items(), _patches(real, seed).items(), strict=True):
        mean, deviation = reals.mean(dim=(0, 1)), reals.std(dim=(0, 1)).clamp(min=1)
        fakes, reals = (((patches - mean) / deviation).flatten(1).T for patches in (fakes, reals))
        directions = torch.randn(DIRECTIONS, len(reals), generator=torch.Generator().manual_seed(seed))
        directions = (directions / directions.norm(dim=1, keepdim=True)).to(reals.device)
        gaps = [(_sorted(piece @ fakes) - _sorted(piece @ reals)).abs().mean() for piece in directions.split(32)]
        distances[side] = float(torch.stack(gaps).mean()) * 1000
    return distances


def _sorted(rows: Tensor) -> Tensor:
    """Each row in ascending order; on a CPU by numpy, which sorts ten times faster than torch."""
    return torch.from_numpy(np.sort(rows.numpy(), axis=1)) if rows.device.type == "cpu" else rows.sort(dim=1).values


def _patches(images: Tensor, seed: int) -> dict[int, Tensor]:
    """Patches [P, 49, nc] of each Laplacian level, by its side, at places that follow from the seed."""
    generator = torch.Generator().manual_seed(seed)
    count = max(min(PATCHES, MAX_PATCHES // len(images)), 1)
    found: dict[int, list[Tensor]] = {}
    for piece in images.split(PIECE):
        for level in laplacian(piece, COARSEST):
            found.setdefault(level.shape[-1], []).append(_cut(level, count, generator))
    return {side: torch.cat(pieces) for side, pieces in found.items()}


def _cut(level: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` patches of each image."""
    n, nc, side, _ = level.shape
    corners = torch.randint(0, side - PATCH + 1, (2, n, count, 1), generator=generator)
    rows, columns = (corners + torch.arange(PATCH)).to(level.device)
    image = torch.arange(n, device=level.device)[:, None, None, None]
    patches = level.permute(0, 2, 3, 1)[image, rows[:, :, :, None], columns[:, :, None, :]]
    return patches.reshape(n * count, PATCH * PATCH, nc)


def nearest(images: Tensor, references: Tensor) -> Tensor:
    """Distance [N] of each image to the nearest reference, mirrored or not: RMS over 32 x 32 pixels, in grey levels."""
    others = torch.cat([_pixels(references), _pixels(references.flip(3))])
    centre, found = others.mean(0), []
    for piece in images.split(1024):
        points = _pixels(piece) - centre
        found.append(torch.stack([torch.cdist(points, part - centre).amin(1) for part in others.split(4096)]).amin(0))
    return torch.cat(found) / len(centre) ** 0.5


def _pixels(images: Tensor) -> Tensor:
    return torch.cat([at_32(piece.float()).flatten(1) for piece in images.split(PIECE)])
