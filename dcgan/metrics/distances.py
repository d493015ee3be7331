"""Distances between generated and real images, and the figures that a training takes of a generator.

A figure says little alone: compare it with the same figure for real images against real images (the floor) at the
same n, from the same crop. Images are uint8 [N, nc, S, S]; features are float32 [N, D].
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dcgan.data import Images
from dcgan.data.sources import printable
from dcgan.latents import latents
from dcgan.metrics.attributes import attribute_net
from dcgan.metrics.features import PIECE, MetricError, at_32, filter_features, laplacian
from dcgan.model import Generator
from dcgan.sampling import render

NEIGHBOURS = 5  # k, as in Naeem et al. 2020
FIRST_SEED = 1_000_000  # measured samples have the seeds from here on, which people hardly look at
PATCH = 7
PATCHES = 32  # an image and level; Karras et al. take 128 of 16,384 images
MAX_PATCHES = 2**17  # a level
DIRECTIONS = 256
COARSEST = 16  # pixels: the side of the last Laplacian level, as in Karras et al.
MIN_REFERENCE = 500  # held-out images; with fewer, a training compares its generator with training images
MIN_COUNT = 2 * NEIGHBOURS  # images on each side
MIN_IMAGES = 50  # for figures to be taken during a training


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
    points, others = _pixels(images), [_pixels(references), _pixels(references.flip(3))]
    centre = others[0].mean(0)
    parts = [part - centre for other in others for part in other.split(4096)]
    found = [
        torch.stack([torch.cdist(piece - centre, part).amin(1) for part in parts]).amin(0)
        for piece in points.split(1024)
    ]
    return torch.cat(found) / points.shape[1] ** 0.5


def _pixels(images: Tensor) -> Tensor:
    return torch.cat([at_32(piece.float()).flatten(1) for piece in images.split(PIECE)])


class Reference(NamedTuple):
    """Real images that samples are compared with, and as many others for the floor: uint8 [n, nc, S, S]."""

    name: str
    real: Tensor
    others: Tensor


def references(images: Images, num: int) -> list[Reference]:
    """The held-out images, with training images for the floor; and half of the training images, with the other half.

    At most `num` of each. Raises MetricError if there are too few images.
    """
    one, other = np.array_split(np.random.default_rng(0).permutation(images.training), 2)
    heldout = evenly(np.flatnonzero(images.heldout), num)
    found = []
    for name, real, others in (("held-out", heldout, one), ("training", one, other)):
        n = min(num, len(real), len(others))
        if n >= MIN_COUNT:
            found.append(Reference(name, *(images.batch(np.sort(side[:n])) for side in (real, others))))
    if not found:
        few = f"'{printable(images.name)}' has {len(images.training)} training images"
        raise MetricError(f"{few}: too few to compare with, it takes {2 * MIN_COUNT}")
    return found


class Quality:
    """How near a generator comes to a set of images, cheap enough for the ticks of a training.

    Measured against held-out images or, if fewer than MIN_REFERENCE are held out, against half of the training images;
    in runs of earlier versions against "all". against: which of the three. real: those images.
    key: of the figure to choose the best checkpoint by, lower is better: "ffd", the Frechet distance in the features of
    the attribute network, if the images have labels; else "fd", that in filter features.
    floor: the figures of as many other training images, which a perfect generator would get.
    Raises MetricError for fewer than MIN_IMAGES images.
    """

    KEYS = ("ffd", "fd")
    against = "held-out"

    def __init__(self, images: Images, device: torch.device | str = "cpu", count: int = 2000, progress: bool = True):
        if len(images) < MIN_IMAGES:
            raise MetricError(f"no metric can be taken from {len(images)} images: it wants {MIN_IMAGES}")
        found = references(images, count)
        few = images.heldout.sum() < MIN_REFERENCE
        self.against, real, others = found[-1] if few else found[0]
        if few and images.split is None:
            real = images.batch(evenly(np.arange(len(images)), count))
            self.against, others = "all", images.some(len(real))
        net = attribute_net(images, device, progress=progress)
        self.device = torch.device(device)
        self.real = real.to(device)
        self.key, self.features = ("ffd", net.features) if net else ("fd", filter_features(self.real))
        self.real_features = self.features(self.real)
        self.floor = self.compare(others)

    def __call__(self, generator: Generator) -> dict[str, float]:
        """The figures of a generator in eval mode: `key`, swd and, in the same features, the neighbourhoods'."""
        z = latents(range(FIRST_SEED, FIRST_SEED + len(self.real)), generator.config.nz)
        return self.compare(render(generator, z))

    def compare(self, fake: Tensor) -> dict[str, float]:
        """The figures of images, as many as there are in `real`, or fewer."""
        fake = fake.to(self.device)
        features = self.features(fake)
        swd = sliced_wasserstein(fake, self.real[: len(fake)])
        return {
            self.key: frechet_distance(features, self.real_features),
            "swd": sum(swd.values()) / len(swd),
            **neighbourhoods(self.real_features, features),
        }


def evenly(indices: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the indices, from all over."""
    return indices[np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)]
