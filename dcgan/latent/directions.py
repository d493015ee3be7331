"""Directions of latent space: what makes a face older, turns it, or puts it into another light.

python -m dcgan directions checkpoints/faces --dataroot my_photos
"""

import argparse
import math
from collections.abc import Sequence

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from dcgan.checkpoint import DIRECTIONS, Checkpoint, load_checkpoint, save_seeds
from dcgan.cli import guarded, user_source
from dcgan.data import load_images
from dcgan.data.faces import NoDetector, own_frame
from dcgan.data.split import division
from dcgan.direction import REACH, Direction, save_directions
from dcgan.errors import UserError, reason
from dcgan.hub.pull import local_folder
from dcgan.latents import latents
from dcgan.metrics.attributes import AttributeNet, attribute_net
from dcgan.metrics.features import filter_features
from dcgan.metrics.opening import opening_seeds
from dcgan.metrics.readings import Reader, face_reader, label_reader, picture_reader
from dcgan.model import Discriminator
from dcgan.pictures import normalised, picture
from dcgan.sampling import render

SAMPLES = 2_048  # pictures of a fit
REAL = 1_000  # real images that seeds to begin with are to lie among
LOOKED_AT = 32  # pictures in which faces are looked for
BATCH = 256
MIN_FIT = 0.25  # least share of a reading's variance that is linear in z
MIN_FIT_BESIDE = 0.1  # and of one that directions are to leave alone
MIN_APART = 0.45  # least share of a slope that no other reading's has
MIN_EFFECT = 0.5  # least change of a reading from t = -2 to 2, in deviations of it

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
    own reading and, on average, none of the others. Where two are nearly the same, the later reading is left out.
    A line is printed for each that is left out, and why. Raises CheckpointError without a discriminator.
    """
    generator, discriminator = checkpoint.generator, checkpoint.discriminator
    readings = [each for reader in readers for each in reader.readings]
    random = torch.Generator().manual_seed(seed)
    half = torch.randn(max(samples // 2, 4 * checkpoint.model.nz), checkpoint.model.nz, generator=random)
    z = torch.stack([half, -half], dim=1).flatten(0, 1)  # in opposite pairs, even powers of z bend no slope
    pieces = tqdm(z.split(BATCH), "looking at faces", disable=None)
    values = torch.cat([read(readers, render(generator, piece)) for piece in pieces])
    centre, deviations = values.mean(dim=0), values.std(dim=0).clamp_min(1e-6)
    values = (values - centre) / deviations
    fits, slopes = heldout_fit(z, values), torch.linalg.lstsq(z, values).solution

    # The readings that a line changes, and can change alone.
    legible = [k for k in range(len(readings)) if not readings[k].auxiliary and fits[k] >= MIN_FIT]
    kept = separable(slopes, legible)
    for k, reading in enumerate(readings):
        if k not in kept and not reading.auxiliary:
            why = "hardly changes alone" if k in legible else "hardly changes along any line"
            tqdm.write(f"left out: {reading.name} {why}")

    # Their directions, which leave auxiliary readings alone where they can, with ranges and effects.
    beside = [k for k in range(len(readings)) if readings[k].auxiliary and fits[k] >= MIN_FIT_BESIDE]
    ordinary = Ordinary(discriminator, render(generator, z[:ORDINARY]))
    start, found = torch.randn(MOVED, checkpoint.model.nz, generator=random), []
    for k in kept:
        others = [other for other in kept if other != k]
        vector = disentangled(slopes[:, [k, *others, *beside]])[:, 0]
        if vector @ normalize(slopes[:, k], dim=0) < MIN_APART:
            vector = disentangled(slopes[:, [k, *others]])[:, 0]
        name, kind, ends = readings[k].name, readings[k].kind, readings[k].ends
        moved = [render(generator, start + t * vector) for t in tqdm(STEPS, name, leave=False, disable=None)]
        strange = torch.tensor([ordinary.strange(faces) for faces in moved])
        means = torch.stack([(read(readers, faces).mean(dim=0) - centre) / deviations for faces in moved])
        low, high = extent(strange.flip(0), -means[:, k].flip(0)), extent(strange, means[:, k])
        change = means[REACH + 2] - means[REACH - 2]
        if not low or not high or change[k] < MIN_EFFECT:
            tqdm.write(f"left out: {name}, since faces stand too little of it")
            continue
        effects = {
            each.name: round(float(amount), 3)
            for each, amount in zip(readings, change, strict=True)
            if not each.auxiliary
        }
        found.append(Direction(name, kind, vector, -low, high, ends, effects, fit=round(float(fits[k]), 3)))
    return tuple(found)


def read(readers: Sequence[Reader], faces: Tensor) -> Tensor:
    """All readings of faces, uint8 [N, nc, S, S] -> [N, K]."""
    return torch.cat([reader.read(faces) for reader in readers], dim=1)


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

    Of each of their slopes [nz, K], MIN_APART lies at right angles to all others that are kept.
    """
    kept: list[int] = []
    for k in candidates:
        ways = normalize(slopes[:, [*kept, k]].double(), dim=0)
        alone = torch.linalg.inv(ways.T @ ways + 1e-6 * torch.eye(len(kept) + 1)).diag().rsqrt()
        if (alone >= MIN_APART).all():
            kept.append(k)
    return kept


def disentangled(slopes: Tensor) -> Tensor:
    """For each reading the unit vector that changes it and, on average, none of the others: the dual basis [nz, K].

    slopes: [nz, K], the mean gradients of the readings. All are found at once, so their order does not matter, and
    movements along several of them add up.
    """
    return normalize(torch.linalg.pinv(normalize(slopes, dim=0), rtol=1e-2).T, dim=0)


def extent(strange: Tensor, reading: Tensor) -> float:
    """The range of a direction in whole deviations: up to where too many faces are strange or the reading falls.

    strange, reading: [2 REACH + 1], the share of strange faces and a mean at each of STEPS; only t > 0 counts.
    """
    good = (strange[REACH + 1 :] <= STRANGE) & (reading[REACH:].diff() > 0)
    return float(good.long().cumprod(dim=0).sum())


def table(directions: tuple[Direction, ...]) -> str:
    """A line for each direction: its range, fit, effect and largest side effect, these in deviations of the reading."""
    lines = [f"{'':18}{'range':12}{'held-out R2':13}{'from -2 to 2':14}besides"]
    own = {d.name for d in directions}
    for d in directions:
        besides = {name: effect for name, effect in d.effects.items() if name in own - {d.name}}
        most = max(besides, key=lambda name: abs(besides[name]), default="")
        side = f"{most} {besides[most]:+.2f}" if most else ""
        ends = f"{d.low:+g} to {d.high:+g}"
        lines.append(f"{d.name:18}{ends:12}{d.fit:<13.2f}{d.effects.get(d.name, 0):<+14.2f}{side}".rstrip())
    return "\n".join(lines)


def readers_for(checkpoint: Checkpoint, net: AttributeNet | None) -> list[Reader]:
    """What can be read off a checkpoint's pictures: what `net` reads, faces if there are any, and light.

    Prints what is missing, and why.
    """
    readers, (nz, nc) = [label_reader(net)] if net else [], (checkpoint.model.nz, checkpoint.model.nc)
    if not checkpoint.is_drawn:  # the networks know photographs
        faces = render(checkpoint.generator, latents(range(LOOKED_AT), nz)).permute(0, 2, 3, 1).numpy()
        try:
            if (frame := own_frame([picture(face) for face in faces])) is not None:
                readers.append(face_reader(frame, [each.name for reader in readers for each in reader.readings]))
            else:
                print("no faces found: no sliders for faces")
        except NoDetector as error:
            print(f"no sliders for faces: {error}")
    return [*readers, picture_reader(nc)]


@guarded("directions")
def main(argv: list[str] | None = None) -> int:
    """Fit and save directions, and choose seeds to begin with."""
    parser = argparse.ArgumentParser(prog="python -m dcgan directions", description="Fit directions for a checkpoint.")
    parser.add_argument("checkpoint", type=user_source, help="checkpoint folder or run folder")
    parser.add_argument(
        "--dataroot", type=user_source, help="its images, for what their labels say and for seeds to begin with"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the faces that are looked at (default: 0)")
    flags = parser.parse_args(argv)
    checkpoint = load_checkpoint(local_folder(flags.checkpoint))
    model, net, images = checkpoint.model, None, None
    if flags.dataroot:
        images = load_images(flags.dataroot, model.image_size, model.nc, crop=checkpoint.crop, every=checkpoint.every)
        images = images.divided(*division(checkpoint.data))
        net = attribute_net(images)
    directions = fit_directions(checkpoint, readers_for(checkpoint, net), seed=flags.seed)
    path = checkpoint.folder / DIRECTIONS
    try:
        save_directions(path, directions, checkpoint.generator)
        if images:
            real = images.some(REAL)
            features = net.features if net else filter_features(real)
            save_seeds(checkpoint, opening_seeds(checkpoint.generator, features, real))
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{flags.checkpoint}' cannot be written ({reason(error)})") from None
    print(table(directions))
    print(f"saved {path}")
    return 0
