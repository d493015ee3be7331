"""All figures of how good checkpoints are, each beside its floor: what real images get in place of samples."""

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dcgan.checkpoint import Checkpoint
from dcgan.data import Images
from dcgan.latents import latents
from dcgan.metrics import distances, features
from dcgan.metrics.attributes import AttributeNet, attribute_net
from dcgan.metrics.distances import frechet_distance, nearest
from dcgan.metrics.features import Features, MetricError
from dcgan.metrics.quality import FIRST_SEED, MIN_COUNT, Reference
from dcgan.sampling import render

MAX_FACES = 1000  # images on each side in which faces are looked for ...
MIN_FACES = 0.25  # ... if one is found in at least this share ...
LOOKED_AT = 100  # ... of so many real images
MAX_NEIGHBOURS = 5000  # images on each side whose neighbours are counted: the effort grows as the square


class Metric(NamedTuple):
    """Features, and the figures that are computed from those of fakes and of reals, by name.

    by: the name of the features. better: "lower" or "higher". most: images on each side, at most.
    """

    by: str
    features: Features
    figures: Callable[[Tensor, Tensor], dict[str, float]]
    better: str = "lower"
    most: int = sys.maxsize


def by_detector(device: torch.device, real: Tensor) -> Metric:
    """The share of faces. Raises MetricError without OpenCV, and for real images in few of which a face is found."""
    finder = features.face_finder()
    share = float(finder(real[:LOOKED_AT]).mean())
    if share < MIN_FACES:
        raise MetricError(f"a face is found in {share:.0%} of the real images")
    return Metric("YuNet", finder, face_figures, "higher", MAX_FACES)


def by_imagenet(device: torch.device, real: Tensor) -> Metric:
    """The distance in ImageNet's features. Raises MetricError without the packages that hold them."""
    view = features.imagenet_features(device)
    return Metric("EfficientNet-Lite1", view, lambda fake, real: {"FD": frechet_distance(fake, real)})


# What had no part in training is measured against the first reference only.
EYES = {"the share of faces": by_detector, "the distance by EfficientNet-Lite1": by_imagenet}


@dataclass(frozen=True)
class Row:
    """A figure of every checkpoint, by name.

    better: "lower", "higher", or "as floor" if a good generator gets the floor. n: images on each side. floor: what
    real images get in place of samples.
    """

    reference: str
    figure: str
    by: str
    better: str
    n: int
    floor: float
    values: dict[str, float]


def evaluate(
    checkpoints: dict[str, Checkpoint],
    images: Images,
    found: list[Reference],
    num: int,
    device: torch.device,
    inception: Features | None,
    eyes: Sequence[Metric] = (),
) -> list[Row]:
    """All figures of `num` samples of each checkpoint against `references(images, num)`, of the checkpoints' size.

    eyes: what is measured against the first reference only.
    """
    net = attribute_net(images, device)
    samples = {}
    for name, checkpoint in checkpoints.items():
        print(f"sampling {name}")
        z = latents(range(FIRST_SEED, FIRST_SEED + num), checkpoint.model.nz)
        samples[name] = render(checkpoint.generator.to(device), z)
    rows: list[Row] = []
    seen: dict[tuple[Features, bytes], Tensor] = {}
    for reference in found:
        metrics = metrics_for(reference.real.to(device), net, inception)
        for metric in (*metrics, *(eyes if reference is found[0] else ())):
            print(f"comparing with {reference.name} images by {metric.by}")
            rows += compare(metric, reference, samples, seen)
    print("looking for the nearest training images")
    return [*rows, *memorised(images, samples, device)]


def metrics_for(real: Tensor, net: AttributeNet | None, inception: Features | None) -> Iterator[Metric]:
    """All that is measured against these real images, on their device.

    net: the attribute network, for images with labels; random filters stand in for it. To compare by other features,
    yield another Metric.
    """
    name, view, key = ("attributes", net.features, "FFD") if net else ("filters", features.filter_features(real), "FD")
    if inception:
        yield Metric("Inception", inception, inception_figures)
    yield Metric(name, view, lambda fake, real: {key: frechet_distance(fake, real)})
    yield Metric("Laplacian levels", lambda images: images.to(real.device), wasserstein_figures)
    for by, seen in (("random VGG16", features.random_features(real.device)), (name, view)):
        yield Metric(by, seen, lambda fake, real: distances.neighbourhoods(real, fake), "higher", MAX_NEIGHBOURS)
    if net and all(attribute.values for attribute in net.attributes):
        yield Metric(name, lambda images: torch.stack([*net.predict(images).values()], 1), covered_pairs, "higher")


def compare(
    metric: Metric, reference: Reference, samples: dict[str, Tensor], seen: dict[tuple[Features, bytes], Tensor]
) -> list[Row]:
    """The metric's figures of samples against the reference, with the floor.

    seen: features of images, by these. They are computed once: what is real here is a floor there.
    """
    n = min(len(reference.real), metric.most)

    def look(images: Tensor) -> Tensor:
        key = metric.features, hashlib.blake2b(images[:n].numpy().data).digest()
        if key not in seen:
            seen[key] = metric.features(images[:n])
        return seen[key]

    real = look(reference.real)
    floors = metric.figures(look(reference.others), real)
    found = {name: metric.figures(look(images), real) for name, images in samples.items()}
    return [
        Row(reference.name, figure, metric.by, metric.better, n, floor, {name: f[figure] for name, f in found.items()})
        for figure, floor in floors.items()
    ]


def wasserstein_figures(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Sliced Wasserstein distances of images: the mean over all levels, and each level's."""
    levels = distances.sliced_wasserstein(fake, real)
    return {"SWD x 1000": sum(levels.values()) / len(levels)} | {f"SWD x 1000, {s} px": d for s, d in levels.items()}


def inception_figures(fake: Tensor, real: Tensor) -> dict[str, float]:
    """FID (Heusel et al. 2017) and KID (Binkowski et al. 2018) of Inception's features."""
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    kid = kid_features_to_metric(fake, real, kid_subset_size=min(1000, len(real)), verbose=False)
    return {"FID": frechet_distance(fake, real), "KID x 1000": 1000 * float(kid[KEY_METRIC_KID_MEAN])}


def covered_pairs(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Of the pairs of two attributes' values that reals have, the share that fakes have: [N, attributes]."""
    pairs = list(combinations(range(real.shape[1]), 2))
    seen, there = (
        {(pair, *values) for pair in pairs for values in faces[:, list(pair)].unique(dim=0).tolist()}
        for faces in (fake, real)
    )
    return {"factor pairs covered": len(seen & there) / len(there)}


def face_figures(fake: Tensor, real: Tensor) -> dict[str, float]:
    """The share of fakes in which a face is found, also as a part of reals'; both [N, 1], of `face_finder`."""
    share = float(fake.mean())
    return {"faces found": share, "faces found, to reals'": share / max(float(real.mean()), 1e-6)}


def memorised(images: Images, samples: dict[str, Tensor], device: torch.device) -> list[Row]:
    """How near samples come to training images, beside how near held-out images do; [] if too few are held out."""

    def gaps(pictures: Tensor) -> Tensor:
        pieces = np.array_split(images.training, -(-len(images.training) // 4096))
        return torch.stack([nearest(pictures.to(device), images.batch(p).to(device)) for p in pieces]).amin(dim=0)

    def row(figure: str, of: Callable[[Tensor], Tensor]) -> Row:
        values = {name: float(of(distances)) for name, distances in found.items()}
        return Row("all training", figure, "pixels", "as floor", n, float(of(unseen)), values)

    heldout, n = np.flatnonzero(images.heldout), min(map(len, samples.values()))
    if len(heldout) < MIN_COUNT:
        return []
    unseen, found = gaps(images.batch(heldout)), {name: gaps(pictures) for name, pictures in samples.items()}
    near = unseen.quantile(0.01)
    return [
        row("distance to the nearest, median", lambda distances: distances.median()),
        row("nearer than 1% of held-out", lambda distances: (distances < near).float().mean()),
    ]
