"""How good generated images are, measured without downloading anything.

All functions take uint8 images [N, nc, S, S] of one size and give plain floats. A figure means little alone: compare
it with the same figure for real images against real images (the floor) at the same n.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

Features = Callable[[Tensor], Tensor]


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance between Gaussians fitted to the features a [N, D] and b [M, D] (Heusel et al. 2017)."""
    a, b = a.double(), b.double()
    gap = (a.mean(0) - b.mean(0)).square().sum()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    # tr sqrt(AB) from the eigenvalues of sqrt(A) B sqrt(A), which is symmetric: no complex square root.
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    return float(gap + cov_a.trace() + cov_b.trace() - 2 * cross)


def sliced_wasserstein(a: Tensor, b: Tensor, levels: int = 3, seed: int = 0) -> list[float]:
    """Sliced Wasserstein distance x 1000 of 7 x 7 patches on each Laplacian level, finest first (Karras et al. 2018).

    a, b: the same number of images. Fine levels see texture, the coarsest one composition.
    """
    generator = torch.Generator().manual_seed(seed)
    distances = []
    for level_a, level_b in zip(_laplacian(a, levels), _laplacian(b, levels), strict=True):
        patches_a, patches_b = (_patches(level, torch.Generator().manual_seed(seed)) for level in (level_a, level_b))
        directions = torch.randn(patches_a.shape[1], 512, generator=generator)
        directions /= directions.norm(dim=0)
        gaps = [
            ((patches_a @ piece).sort(dim=0).values - (patches_b @ piece).sort(dim=0).values).abs().mean()
            for piece in directions.split(32, dim=1)
        ]
        distances.append(float(torch.stack(gaps).mean()) * 1000)
    return distances


def neighbourhoods(real: Tensor, fake: Tensor, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage of features [N, D] by k nearest neighbours.

    Kynkaanniemi et al. 2019 and Naeem et al. 2020. Precision and density: are fakes like reals; recall and coverage:
    are all kinds of reals among the fakes.
    """
    real_radius = _radius(real, k)
    fake_radius = _radius(fake, k)
    inside, covered, nearest_real = [], [], []
    for piece in fake.split(1024):
        inside.append((torch.cdist(piece, real) < real_radius).float())
    in_real_balls = torch.cat(inside)  # [fakes, reals]
    for piece, radius in zip(real.split(1024), real_radius.split(1024), strict=True):
        distances = torch.cdist(piece, fake)
        nearest_real.append((distances < fake_radius).any(dim=1).float())
        covered.append((distances.min(dim=1).values < radius).float())
    return {
        "precision": float(in_real_balls.any(dim=1).float().mean()),
        "recall": float(torch.cat(nearest_real).mean()),
        "density": float(in_real_balls.sum(dim=1).mean() / k),
        "coverage": float(torch.cat(covered).mean()),
    }


def random_features(seed: int = 0, width: int = 64) -> Features:
    """Features [N, 512] of a randomly initialised VGG-like net: no weights to fetch, no bias to any data set (Naeem)."""
    from torchvision.models import vgg16

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = vgg16(weights=None, init_weights=True).features.eval()

    @torch.inference_mode()
    def features(images: Tensor) -> Tensor:
        return net(_unit(images)).mean(dim=(2, 3))

    return lambda images: _in_batches(images, features)


class AttributeNet(nn.Module):
    """A small network that reads attributes off a face; its features say what a face is like.

    images [N, nc, S, S] in [-1, 1] -> (features [N, 128], outputs [N, K]).
    """

    def __init__(self, nc: int, outputs: int, width: int = 32):
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in ((nc, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width)):
            layers += [nn.Conv2d(narrow, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4 * width, outputs)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(images)
        return features, self.head(features)


def _unit(images: Tensor) -> Tensor:
    images = images.float() / 127.5 - 1
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def _in_batches(images: Tensor, features: Features, size: int = 256) -> Tensor:
    return torch.cat([features(piece) for piece in images.split(size)])


def _radius(points: Tensor, k: int) -> Tensor:
    """Distance of each point to its k-th nearest other."""
    return torch.cat([torch.cdist(piece, points).kthvalue(k + 1, dim=1).values for piece in points.split(1024)])


def _laplacian(images: Tensor, levels: int) -> Iterator[Tensor]:
    current = images.float()
    for _ in range(levels - 1):
        smaller = avg_pool2d(current, 2)
        yield current - interpolate(smaller, scale_factor=2, mode="bilinear", align_corners=False)
        current = smaller
    yield current


def _patches(level: Tensor, generator: torch.Generator, per_image: int = 32, size: int = 7) -> Tensor:
    """Random patches [N * per_image, nc * 49], each channel brought to mean 0 and deviation 1 over all of them."""
    n, nc, side, _ = level.shape
    corners = torch.randint(0, side - size + 1, (2, n, per_image), generator=generator)
    steps = torch.arange(size)
    rows = (corners[0][:, :, None] + steps)[:, :, :, None]
    columns = (corners[1][:, :, None] + steps)[:, :, None, :]
    patches = level.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None, None], rows, columns]
    patches = patches.reshape(n * per_image, size * size, nc)
    return ((patches - patches.mean(dim=(0, 1))) / (patches.std(dim=(0, 1)) + 1e-6)).flatten(1)
