"""Directions of latent space: what makes a face older, gives it glasses, or simply changes it most.

python -m dcgan directions checkpoints/faces --dataroot my_photos
"""

import argparse
import math
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize
from tqdm import tqdm

from dcgan.checkpoint import DIRECTIONS, Checkpoint, load_checkpoint
from dcgan.cli import guarded, user_source
from dcgan.data.images import division, load_images
from dcgan.direction import REACH, Direction, save_directions
from dcgan.errors import UserError
from dcgan.files import reason
from dcgan.hub.pull import local_folder
from dcgan.metrics.attributes import Attribute, AttributeNet, attribute_net
from dcgan.model import Discriminator, Generator
from dcgan.pictures import normalised
from dcgan.sampling import render

SAMPLES = 8_192  # faces of a fit
BATCH = 256
SIDE = 32  # side in pixels of the pictures whose response is measured
PRINCIPAL = 8
MIN_SHARE = 0.002  # least share of the response of a principal direction
MIN_FIT = 0.1  # least share of a reading's variance that is linear in z
MIN_EFFECT = 0.5  # least change of a reading from t = -2 to 2, in deviations of it

STEPS = range(-REACH, REACH + 1)
MOVED = 64  # faces moved along each direction
ORDINARY = 1_536  # faces that define what is ordinary
COMPONENTS = 64  # of the discriminator's features: 99.8 % of their variance in the shipped checkpoints
COMMON = 0.99  # share of the generator's faces that is ordinary
STRANGE = 0.2  # largest share of the moved faces that may be strange

ENDS = {"age": ("younger", "older")}

# The sliders of the drawn faces' factors: towards some of a factor's values, away from all others.
DRAWN = {
    "skin": ("dark skin", ("brown", "dark", "deep")),
    "hair": (
        "long hair",
        ("bob", "fringed bob", "shoulder length", "long straight", "long swept", "long wavy", "braids"),
    ),
    "hair_color": ("light hair", ("blond", "gray")),
    "glasses": ("glasses", ("round", "square", "sunglasses")),
    "facial_hair": ("beard", ("short beard", "full beard")),
    "mouth": ("laugh", ("laugh",)),
    "eyes": ("closed eyes", ("happy", "closed")),
    "eyebrows": ("raised eyebrows", ("raised",)),
    "clothing_color": ("light clothes", ("mustard", "white")),
    "background": ("warm background", ("rose", "lemon")),
}


@dataclass(frozen=True)
class Trait:
    """What a direction is to change: a number, or the probability of some `values` of an attribute."""

    name: str
    attribute: Attribute
    values: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of its direction: "trait" or "number"."""
        return "trait" if self.values else "number"

    @property
    def ends(self) -> tuple[str, ...]:
        """What the two ends of its direction are called; empty where the name says it."""
        return self.attribute.values if len(self.attribute.values) == 2 else ENDS.get(self.name, ())

    def read(self, outputs: Tensor) -> Tensor:
        """The attribute network's outputs for the attribute, [N, K] -> numbers in its unit or probabilities, [N]."""
        if not self.values:
            return outputs[:, 0] * self.attribute.deviation + self.attribute.mean
        return outputs.softmax(dim=1)[:, [self.attribute.values.index(value) for value in self.values]].sum(dim=1)


def traits(attributes: tuple[Attribute, ...]) -> list[Trait]:
    """The traits of attributes; every value of an auxiliary one, since directions are to leave it unchanged."""
    found = []
    for attribute in attributes:
        name, values = attribute.name, attribute.values
        if attribute.auxiliary and values:
            found += [Trait(f"{name} {value}", attribute, (value,)) for value in values]
        elif len(values) <= 2:
            found.append(Trait(name, attribute, values[1:]))
        elif name in DRAWN:
            slider, towards = DRAWN[name]
            found.append(Trait(slider, attribute, towards))
    return found


def read(net: AttributeNet | None, wanted: list[Trait], faces: Tensor) -> Tensor:
    """The traits of faces, uint8 [N, nc, S, S] -> [N, len(wanted)]."""
    if net is None or not wanted:
        return torch.empty(len(faces), 0)
    outputs = dict(zip(net.attributes, net.split(net.read(faces)[1]), strict=True))
    return torch.stack([trait.read(outputs[trait.attribute]) for trait in wanted], dim=1)


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
    checkpoint: Checkpoint, net: AttributeNet | None = None, samples: int = SAMPLES, seed: int = 0
) -> tuple[Direction, ...]:
    """Fit a direction for each trait that `net` reads, then principal ones: what else changes the picture most.

    z is normal, so the slopes of a linear regression on it are mean gradients (Stein 1981). Each named direction
    changes its own reading and, on average, none of the others; the principal ones are orthogonal to each other and to
    the named ones, and change no reading. A line is printed for each direction that is left out, and why.
    """
    generator, wanted = checkpoint.generator, traits(net.attributes) if net else []
    random = torch.Generator().manual_seed(seed)
    half = torch.randn(max(samples // 2, checkpoint.model.nz), checkpoint.model.nz, generator=random)
    z = torch.cat([half, -half])  # in opposite pairs, even powers of z bend no slope
    pictures, readings = look(generator, net, wanted, z)
    inverse = torch.linalg.pinv(z)
    jacobian, slopes = inverse @ pictures, inverse @ readings
    ordinary = Ordinary(checkpoint.discriminator, render(generator, z[:ORDINARY], BATCH))
    start = torch.randn(MOVED, checkpoint.model.nz, generator=random)

    def measured(name: str, kind: str, vector: Tensor, own: int | None = None, share: float = 0.0) -> Direction | None:
        # The direction with its range and effects; None if it has no range or too little effect.
        moved = [render(generator, start + t * vector) for t in tqdm(STEPS, name, leave=False, disable=None)]
        strange = torch.tensor([ordinary.strange(faces) for faces in moved])
        means = torch.stack([read(net, wanted, faces).mean(dim=0) for faces in moved])
        change = means[REACH + 2] - means[REACH - 2]
        if own is not None and change[own] <= MIN_EFFECT * readings[:, own].std():
            tqdm.write(f"left out: {name} hardly changes where all others are left as they are")
            return None
        rising = torch.arange(len(STEPS)) if own is None else means[:, own]
        low, high = extent(strange.flip(0), -rising.flip(0)), extent(strange, rising)
        if not low or not high:
            tqdm.write(f"left out: {name}, since faces do not stand a deviation of it")
            return None
        effects = {
            trait.name: round(float(amount), 3)
            for trait, amount in zip(wanted, change, strict=True)
            if not trait.attribute.auxiliary
        }
        ends = () if own is None else wanted[own].ends
        return Direction(name, kind, vector, -low, high, ends, effects, round(share, 4))

    # The traits that a line changes at all.
    variance = (readings - readings.mean(dim=0)).square().mean(dim=0)
    linear = (z @ slopes).square().mean(dim=0) / variance.clamp_min(1e-6)
    legible = [k for k in range(len(wanted)) if linear[k] >= MIN_FIT]
    for k, trait in enumerate(wanted):
        if k not in legible and not trait.attribute.auxiliary:
            tqdm.write(f"left out: {trait.name} hardly changes along any line")
    # A named direction for each; what the principal ones are to leave alone.
    found, apart = [], [slopes[:, :0]]
    for k, vector in zip(legible, disentangled(slopes[:, legible]).T, strict=True):
        if not wanted[k].attribute.auxiliary and (named := measured(wanted[k].name, wanted[k].kind, vector, k)):
            found.append(named)
            apart += [vector[:, None], slopes[:, k : k + 1]]
    # What else changes the picture most.
    axes, shares = principal(jacobian, torch.cat(apart, dim=1))
    for i, (axis, share) in enumerate(zip(axes.T, shares.tolist(), strict=True)):
        if other := measured(f"principal {i + 1}", "principal", axis, share=share):
            found.append(other)
    return tuple(found)


def look(generator: Generator, net: AttributeNet | None, wanted: list[Trait], z: Tensor) -> tuple[Tensor, Tensor]:
    """Latents [N, nz] -> their pictures at 32 px, 0 to 255 [N, nc * 32 * 32], and their traits [N, len(wanted)]."""
    pictures, readings = [], []
    for piece in tqdm(z.split(BATCH), "looking at faces", disable=None):
        faces = render(generator, piece, BATCH)
        pictures.append(adaptive_avg_pool2d(faces.float(), SIDE).flatten(1))
        readings.append(read(net, wanted, faces))
    return torch.cat(pictures), torch.cat(readings)


def disentangled(slopes: Tensor) -> Tensor:
    """For each reading the unit vector that changes it and, on average, none of the others: the dual basis [nz, K].

    slopes: [nz, K], the mean gradients of the readings. All are found at once, so their order does not matter, and
    movements along several of them add up.
    """
    return normalize(torch.linalg.pinv(normalize(slopes, dim=0), rtol=1e-2).T, dim=0)


def principal(jacobian: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal axes [nz, n] that change the picture most, orthogonal to `others` [nz, K], and their shares of the
    whole response [n], largest first. Each brightens the picture.

    They are the leading singular vectors of the mean Jacobian, projected. They change the picture as much as those of
    J^T J averaged over faces, of the first layer's weights (Shen and Zhou 2021) or of its activations (Harkonen 2020),
    are less alike, and take no samples of their own.
    """
    basis, sizes, _ = torch.linalg.svd(others, full_matrices=False)
    basis = basis[:, sizes > 1e-4]
    axes, sizes, _ = torch.linalg.svd(jacobian - basis @ (basis.T @ jacobian), full_matrices=False)
    shares = sizes**2 / (jacobian**2).sum().clamp_min(1e-12)
    count = min(PRINCIPAL, int((shares >= MIN_SHARE).sum()))
    axes, shares = axes[:, :count], shares[:count]
    brighter = (axes.T @ jacobian).mean(dim=1)
    return axes * torch.where(brighter < 0, -1.0, 1.0), shares


def extent(strange: Tensor, reading: Tensor) -> float:
    """The range of a direction in whole deviations: up to where too many faces are strange or the reading falls.

    strange, reading: [2 REACH + 1], the share of strange faces and a mean at each of STEPS; only t > 0 counts.
    """
    good = (strange[REACH + 1 :] <= STRANGE) & (reading[REACH:].diff() > 0)
    return float(good.long().cumprod(dim=0).sum())


def table(directions: tuple[Direction, ...]) -> str:
    """A line for each direction: its range, its effect, and its largest side effect.

    The side effect is a share of the other direction's own effect.
    """
    own = {d.name: d.effects[d.name] for d in directions if d.name in d.effects}
    lines = [f"{'':18}{'range':12}{'from -2 to 2':20}besides, of its own direction's effect"]
    for d in directions:
        effect = f"{d.share:.1%} of response"
        if d.name in own:
            effect = f"{own[d.name]:+.1f}" if d.kind == "number" else f"{own[d.name]:+.0%} of faces"
        besides = {name: d.effects[name] / own[name] for name in own if name != d.name}
        most = max(besides, key=lambda name: abs(besides[name]), default=None)
        side = f"{most} {besides[most]:+.0%}" if most else ""
        lines.append(f"{d.name:18}{f'{d.low:+g} to {d.high:+g}':12}{effect:20}{side}")
    return "\n".join(lines)


@guarded("directions")
def main(argv: list[str] | None = None) -> int:
    """Fit and save directions."""
    parser = argparse.ArgumentParser(prog="python -m dcgan directions", description="Fit directions for a checkpoint.")
    parser.add_argument("checkpoint", type=user_source, help="checkpoint folder or run folder")
    parser.add_argument("--dataroot", type=user_source, help="its images, with labels (else principal directions only)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faces that are looked at (default: 0)")
    flags = parser.parse_args(argv)
    checkpoint = load_checkpoint(local_folder(flags.checkpoint))
    model, net = checkpoint.model, None
    if flags.dataroot:
        images = load_images(flags.dataroot, model.image_size, model.nc, crop=checkpoint.crop)
        net = attribute_net(images.divided(*division(checkpoint.data)))
        if net is None:
            print(f"no labels in '{flags.dataroot}': principal directions only")
    directions = fit_directions(checkpoint, net, seed=flags.seed)
    path = checkpoint.folder / DIRECTIONS
    try:
        save_directions(path, directions, checkpoint.generator)
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{flags.checkpoint}' cannot be written ({reason(error)})") from None
    print(table(directions))
    print(f"saved {path}")
    return 0
