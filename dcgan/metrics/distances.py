"""How good generated images are, measured without downloading anything.

A figure says little alone: compare it with the same figure for real images against real images (the floor) at the
same n, from the same crop. All images here are uint8 [N, nc, S, S]; all features are float32 [N, D].
"""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, interpolate

from dcgan.data.images import Images
from dcgan.latents import latents
from dcgan.metrics.attributes import attribute_net
from dcgan.model import Generator
from dcgan.pictures import normalised
from dcgan.sampling import render

Features = Callable[[Tensor], Tensor]

NEIGHBOURS = 5  # k, as in Naeem et al. 2020
FIRST_SEED = 1_000_000  # samples that are measured have the seeds from here on: far from those that people look at
PATCH = 7
FILTERS = 8
PATCHES = 32  # an image and level; Karras et al. take 128 of 16,384 images
MAX_PATCHES = 2**17  # a level
DIRECTIONS = 256
COARSEST = 16  # pixels: the side of the last Laplacian level, as in Karras et al.
MIN_REFERENCE = 500  # held-out images; where there are fewer, a generator is compared with all
MIN_IMAGES = 50
PIECE = 256  # images that are worked on at once


class MetricError(Exception):
    """A measurement that cannot be taken; the message is one line that says why."""


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
    Raises ValueError where there are no k neighbours.
    """
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"{k} neighbours want more than {k} images, not {min(len(real), len(fake))}")
    # Distances come from products: what all points have in common would cost them precision.
    centre = real.mean(0)
    real, fake = real - centre, fake - centre
    real_radius, fake_radius = _radius(real, k), _radius(fake, k)
    covered, recalled = (torch.zeros(len(real), dtype=torch.bool, device=real.device) for _ in range(2))
    precise = dense = 0
    for piece, radius in zip(fake.split(1024), fake_radius.split(1024), strict=True):
        distances = torch.cdist(piece, real)
        inside = distances < real_radius
        precise += int(inside.any(dim=1).sum())
        dense += int(inside.sum())
        covered |= inside.any(dim=0)
        recalled |= (distances < radius[:, None]).any(dim=0)
    return {
        "precision": precise / len(fake),
        "recall": float(recalled.float().mean()),
        "density": dense / (k * len(fake)),
        "coverage": float(covered.float().mean()),
    }


def sliced_wasserstein(fake: Tensor, real: Tensor, seed: int = 0) -> dict[int, float]:
    """Sliced Wasserstein distance x 1000 of patches on each Laplacian level, by the level's side (Karras et al. 2018).

    fake, real: the same number of images. Fine levels see texture, coarse ones composition. 32 patches of 7 x 7 an
    image and level, in units of the reals' standard deviation (in the paper each set is brought to its own mean and
    deviation, which hides wrong colours and contrast), along 256 directions; of thousands of images fewer patches each.
    """
    if len(fake) != len(real):
        raise ValueError(f"the same number of images is compared, not {len(fake)} with {len(real)}")
    distances = {}
    for (side, fakes), (_, reals) in zip(_patches(fake, seed).items(), _patches(real, seed).items(), strict=True):
        mean, deviation = reals.mean(dim=(0, 1)), reals.std(dim=(0, 1)) + 1e-6
        fakes, reals = (((patches - mean) / deviation).flatten(1).T for patches in (fakes, reals))
        directions = torch.randn(DIRECTIONS, len(reals), generator=torch.Generator().manual_seed(seed))
        directions = (directions / directions.norm(dim=1, keepdim=True)).to(reals.device)
        gaps = [(_sorted(piece @ fakes) - _sorted(piece @ reals)).abs().mean() for piece in directions.split(32)]
        distances[side] = float(torch.stack(gaps).mean()) * 1000
    return distances


def nearest(images: Tensor, references: Tensor) -> Tensor:
    """Distance [N] of each image to the nearest reference, mirrored or not: RMS over 32 x 32 pixels, in grey levels."""
    points, others = _pixels(images), [_pixels(references), _pixels(references.flip(3))]
    centre = others[0].mean(0)
    found = [
        torch.stack(
            [torch.cdist(piece - centre, part - centre).amin(1) for other in others for part in other.split(4096)]
        )
        for piece in points.split(1024)
    ]
    return torch.cat([distances.amin(0) for distances in found]) / points.shape[1] ** 0.5


def _pixels(images: Tensor) -> Tensor:
    return torch.cat([_at_32(piece.float()).flatten(1) for piece in images.split(PIECE)])


class Quality:
    """How near a generator comes to a set of images: cheap enough for the ticks of a training.

    Measured against held-out images, or against all where fewer than MIN_REFERENCE are held out.
    key: the figure to choose the best checkpoint by, lower is better: "ffd", the Frechet distance of faces in the
    features of the attribute network, where the images have labels; else "fd", that of random filters' answers.
    floor: the figures of as many training images: what a perfect generator would get.
    Raises MetricError where there are fewer than MIN_IMAGES images.
    """

    KEYS = ("ffd", "fd")

    def __init__(self, images: Images, device: torch.device | str = "cpu", count: int = 2000, progress: bool = True):
        if len(images) < MIN_IMAGES:
            raise MetricError(f"no metric can be taken from {len(images)} images: it wants {MIN_IMAGES}")
        heldout = np.flatnonzero(images.heldout)
        reference = heldout if len(heldout) >= MIN_REFERENCE else np.arange(len(images))
        net = attribute_net(images, device, progress=progress)
        self.device = torch.device(device)
        self.real = images.batch(evenly(reference, count)).to(device)
        self.key, self.features = ("ffd", net.features) if net else ("fd", filter_features(self.real))
        self.real_features = self.features(self.real)
        self.floor = self.compare(images.some(len(self.real)))

    def __call__(self, generator: Generator) -> dict[str, float]:
        """The figures of a generator in eval mode: `key`, swd and, in the same features, the neighbourhoods'."""
        return self.compare(
            render(generator, latents(range(FIRST_SEED, FIRST_SEED + len(self.real)), generator.config.nz))
        )

    def compare(self, fake: Tensor) -> dict[str, float]:
        """The same of images, as many as there are in `real`, or fewer."""
        fake = fake.to(self.device)
        features = self.features(fake)
        swd = sliced_wasserstein(fake, self.real[: len(fake)])
        return {
            self.key: frechet_distance(features, self.real_features),
            "swd": sum(swd.values()) / len(swd),
            **neighbourhoods(self.real_features, features),
        }


def evenly(indices: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of them, from all over."""
    return indices[np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)]


@cache
def _random_vgg16(seed: int) -> nn.Sequential:
    from torchvision.models import vgg16

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = vgg16(weights=None)
    up_to_fc2 = net.classifier[:5]
    layers = nn.Sequential(net.features, net.avgpool, nn.Flatten(), up_to_fc2)
    return layers.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def random_features(device: torch.device | str = "cpu", seed: int = 0) -> Features:
    """Features [N, 4096] of a randomly initialised VGG16 (its layer fc2), as Naeem et al. 2020 recommend.

    No weights to fetch, and no bias towards any data set. Images are seen at 32 px, so that two CPU cores manage.
    """
    net = _random_vgg16(seed).to(device)

    @torch.inference_mode()
    def features(images: Tensor) -> Tensor:
        images = _at_32(normalised(images.to(device))).expand(-1, 3, -1, -1)
        return net(images.contiguous(memory_format=torch.channels_last))

    return lambda images: torch.cat([features(piece) for piece in images.split(64)])


def filter_features(reference: Tensor, seed: int = 0) -> Features:
    """Features [N, 128 * levels]: how strongly random filters answer, on each Laplacian level, in each of 4 x 4 fields.

    What there is at each scale, and where: a shallow stand-in for a trained network, for images without labels. In
    units of the deviation over the reference images: faint texture counts as much as strong outlines.
    """

    @torch.inference_mode()
    def answers(images: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        found = []
        for level in _laplacian(images.to(reference.device), coarsest=8):
            filters = torch.randn(FILTERS, level.shape[1], PATCH, PATCH, generator=generator).to(level.device)
            found.append(adaptive_avg_pool2d(conv2d(level, filters, padding="same").abs(), 4).flatten(1))
        return torch.cat(found, dim=1)

    def all_answers(images: Tensor) -> Tensor:
        return torch.cat([answers(piece) for piece in images.split(PIECE)])

    scale = all_answers(reference).std(dim=0) + 1e-6
    return lambda images: all_answers(images) / scale


def _at_32(images: Tensor) -> Tensor:
    side = images.shape[-1]
    return interpolate(images, size=32, mode="bilinear") if side < 32 else avg_pool2d(images, side // 32)


def _radius(points: Tensor, k: int) -> Tensor:
    """Distance of each point to its k-th nearest other."""
    pieces = []
    for start in range(0, len(points), 1024):
        distances = torch.cdist(points[start : start + 1024], points)
        rows = torch.arange(len(distances), device=points.device)
        distances[rows, rows + start] = torch.inf
        pieces.append(distances.kthvalue(k, dim=1).values)
    return torch.cat(pieces)


def _sorted(rows: Tensor) -> Tensor:
    """Each row in ascending order; on a CPU by numpy, which sorts ten times faster than torch."""
    return torch.from_numpy(np.sort(rows.numpy(), axis=1)) if rows.device.type == "cpu" else rows.sort(dim=1).values


def _patches(images: Tensor, seed: int) -> dict[int, Tensor]:
    """Patches [P, 49, nc] of each Laplacian level, by its side, at places that follow from the seed."""
    generator = torch.Generator().manual_seed(seed)
    count = max(min(PATCHES, MAX_PATCHES // len(images)), 1)
    found: dict[int, list[Tensor]] = {}
    for piece in images.split(PIECE):
        for level in _laplacian(piece, COARSEST):
            found.setdefault(level.shape[-1], []).append(_cut(level, count, generator))
    return {side: torch.cat(pieces) for side, pieces in found.items()}


def _laplacian(images: Tensor, coarsest: int) -> Iterator[Tensor]:
    """A Laplacian pyramid down to `coarsest` pixels, finest level first: what each halving loses, and what is left."""
    current = images.float()
    while current.shape[-1] > coarsest:
        smaller = avg_pool2d(current, 2)
        yield current - interpolate(smaller, scale_factor=2, mode="bilinear", align_corners=False)
        current = smaller
    yield current


def _cut(level: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` patches of each image."""
    n, nc, side, _ = level.shape
    corners = torch.randint(0, side - PATCH + 1, (2, n, count, 1), generator=generator)
    rows, columns = (corners + torch.arange(PATCH)).to(level.device)
    image = torch.arange(n, device=level.device)[:, None, None, None]
    patches = level.permute(0, 2, 3, 1)[image, rows[:, :, :, None], columns[:, :, None, :]]
    return patches.reshape(n * count, PATCH * PATCH, nc)
