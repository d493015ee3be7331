"""How near a generator comes to a set of images: what it is compared with, and the figures that a training takes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dcgan.data import Images
from dcgan.data.sources import printable
from dcgan.latents import latents
from dcgan.metrics.attributes import attribute_net
from dcgan.metrics.distances import NEIGHBOURS, frechet_distance, neighbourhoods, sliced_wasserstein
from dcgan.metrics.features import MetricError, filter_features
from dcgan.model import Generator
from dcgan.sampling import render

FIRST_SEED = 1_000_000  # measured samples have the seeds from here on, which people hardly look at
MIN_REFERENCE = 500  # held-out images; with fewer, a training compares its generator with training images
MIN_COUNT = 2 * NEIGHBOURS  # images on each side
MIN_IMAGES = 50  # for figures to be taken during a training


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
