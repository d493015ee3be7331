"""Directions of latent space: what makes a face older, turns it, or puts it into another light."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from dcgan.checkpoint import Checkpoint
from dcgan.direction import REACH, Direction
from dcgan.metrics.readings import Reader, Reading
from dcgan.model import Discriminator
from dcgan.pictures import normalised
from dcgan.sampling import render

SAMPLES = 2_048  # pictures of a fit
BATCH = 256
MIN_FIT = 0.25  # least share of a reading's variance that is linear in z
MIN_FIT_BESIDE = 0.1  # and of one that directions are to leave alone
MAX_BESIDE = 1 / 3  # most that a direction changes any other, of what it changes its own reading by
MIN_EFFECT = 0.5  # least change of a reading from t = -2 to 2, in deviations of it
RIDGE = 0.03  # squared slope, in deviations, from which on what a direction changes besides counts as such

STEPS = range(-REACH, REACH + 1)
MOVED = 48  # faces moved along each direction
ORDINARY = 1_536  # faces that define what is ordinary
COMPONENTS = 64  # of the discriminator's features: 99.8 % of their variance in the shipped checkpoints
COMMON = 0.99  # share of the generator's faces that is ordinary
STRANGE = 0.2  # largest share of the moved faces that may be strange


class Ordinary:
    """The range of a generator's ordinary faces, by the discriminator's last features averaged over the picture.

    A face is strange when its Mahalanobis distance from the mean is larger than that of 99 % of the generator's faces.
    """

    def __init__(self, discriminator: Discriminator, faces: Tensor):
        """faces: some hundred at least, uint8 [N, nc, S, S]; the last third sets the limit."""
        self.features = discriminator.main[:-1]
        features = self._look(faces)
        known, fresh = features.tensor_split([len(features) * 2 // 3])
        self.mean = known.mean(dim=0)
        _, deviations, axes = torch.linalg.svd((known - self.mean) / math.sqrt(len(known)), full_matrices=False)
        kept = deviations[:COMPONENTS].clamp_min(1e-6)
        self.whitening = axes[: len(kept)].T / kept
        self.limit = self._distance(fresh).quantile(COMMON)

    def strange(self, faces: Tensor) -> float:
        """The share of strange faces among these."""
        return float((self._distance(self._look(faces)) > self.limit).float().mean())

    @torch.inference_mode()
    def _look(self, faces: Tensor) -> Tensor:
        return torch.cat([self.features(normalised(piece)).mean(dim=(2, 3)) for piece in faces.split(BATCH)])

    def _distance(self, features: Tensor) -> Tensor:
        return ((features - self.mean) @ self.whitening).norm(dim=1)


def fit_directions(
    checkpoint: Checkpoint, readers: Sequence[Reader], samples: int = SAMPLES, seed: int = 0
) -> tuple[Direction, ...]:
    """Fit a direction for each reading that a line through latent space changes, and that others do not.

    z is normal, so the slopes of a linear regression on it are mean gradients (Stein 1981). Each direction changes its
    own reading, and on average hardly any of the others. Where two are nearly the same, the later reading is left out.
    A line is printed for each that is left out, and why. Raises CheckpointError without a discriminator.
    """
    generator, discriminator, nz = checkpoint.generator, checkpoint.discriminator, checkpoint.model.nz
    readings = [each for reader in readers for each in reader.readings]

    def read(faces: Tensor) -> Tensor:
        return torch.cat([reader.read(faces) for reader in readers], dim=1)

    random = torch.Generator().manual_seed(seed)
    half = torch.randn(max(samples // 2, 4 * nz), nz, generator=random)
    z = torch.stack([half, -half], dim=1).flatten(0, 1)  # in opposite pairs, even powers of z bend no slope
    faces = torch.cat([render(generator, piece) for piece in tqdm(z.split(BATCH), "drawing faces", unit="batch")])
    values = torch.cat([read(piece) for piece in tqdm(faces.split(BATCH), "looking at faces", unit="batch")])
    mean, deviation = values.mean(dim=0), values.std(dim=0).clamp_min(1e-6)
    values, ordinary = (values - mean) / deviation, Ordinary(discriminator, faces[:ORDINARY])

    fits, slopes = heldout_fit(z, values), torch.linalg.lstsq(z, values).solution
    kept = chosen(readings, fits, slopes)
    beside = [k for k, each in enumerate(readings) if each.auxiliary and fits[k] >= MIN_FIT_BESIDE]
    vectors = disentangled(slopes[:, [*kept, *beside]]).T[: len(kept)]
    start, found = torch.randn(MOVED, nz, generator=random), []
    for k, vector in zip(kept, tqdm(vectors, "moving faces", unit="slider"), strict=True):
        moved = [render(generator, start + t * vector) for t in STEPS]
        means = torch.stack([((read(faces) - mean) / deviation).mean(dim=0) for faces in moved])
        strange = torch.tensor([ordinary.strange(faces) for faces in moved])
        low, high = extent(strange.flip(0), -means[:, k].flip(0)), extent(strange, means[:, k])
        change = means[REACH + 2] - means[REACH - 2]
        if not low or not high or change[k] < MIN_EFFECT:
            tqdm.write(f"left out: {readings[k].name}, since faces stand too little of it")
            continue
        effects = {
            each.name: round(float(amount), 3)
            for each, amount in zip(readings, change, strict=True)
            if not each.auxiliary
        }
        own, fit = readings[k], round(float(fits[k]), 3)
        found.append(Direction(own.name, own.kind, vector, -low, high, own.ends, effects, fit=fit))
    return tuple(found)


def chosen(readings: Sequence[Reading], fits: Tensor, slopes: Tensor) -> list[int]:
    """The readings that a line changes and can change alone, by their places; a line is printed for each other.

    fits: [K], of `heldout_fit`. slopes: [nz, K].
    """
    offered = [k for k, each in enumerate(readings) if not each.auxiliary]
    legible = [k for k in offered if fits[k] >= MIN_FIT]
    kept = separable(slopes, legible)
    for k in offered:
        if k not in kept:
            why = "hardly changes alone" if k in legible else "hardly changes along any line"
            tqdm.write(f"left out: {readings[k].name} {why}")
    return kept


def heldout_fit(z: Tensor, values: Tensor) -> Tensor:
    """The share of the variance of values [N, K] that lines through z [N, nz] predict, each half from the other [K]."""
    halves = list(zip(z.tensor_split(2), values.tensor_split(2), strict=True))
    shares = [
        1 - (v - x @ torch.linalg.lstsq(*other).solution).var(dim=0) / v.var(dim=0)
        for (x, v), other in zip(halves, halves[::-1], strict=True)
    ]
    return torch.stack(shares).mean(dim=0).nan_to_num()  # what never changes has none


def separable(slopes: Tensor, candidates: Sequence[int]) -> list[int]:
    """The candidates that can change alone; one that is nearly an earlier one, or a mixture of several, is left out.

    slopes: [nz, K]. Each that is kept has a direction that changes no other by more than MAX_BESIDE of its own change.
    """
    kept: list[int] = []
    for k in candidates:
        ways = slopes[:, [*kept, k]]
        changes = ways.T @ disentangled(ways)
        if ((changes - changes.diag().diag()).abs().amax(dim=0) <= MAX_BESIDE * changes.diag()).all():
            kept.append(k)
    return kept


def disentangled(slopes: Tensor) -> Tensor:
    """For each reading the unit vector that changes it most and all others least [nz, K].

    slopes: [nz, K], the mean gradients of the readings, in deviations. The vectors are those of ridge regression:
    without RIDGE they would change nothing else at all, but hardly what they are for. All are found at once, so their
    order does not matter, and movements along several of them add up.
    """
    return normalize(torch.linalg.solve(slopes @ slopes.T + RIDGE * torch.eye(len(slopes)), slopes), dim=0)


def extent(strange: Tensor, reading: Tensor) -> float:
    """The range of a direction in whole deviations: up to where too many faces are strange or the reading falls.

    strange, reading: [2 REACH + 1], the share of strange faces and a mean at each of STEPS; only t > 0 counts.
    """
    good = (strange[REACH + 1 :] <= STRANGE) & (reading[REACH:].diff() > 0)
    return float(good.long().cumprod(dim=0).sum())
