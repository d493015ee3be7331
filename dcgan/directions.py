"""Named ways through latent space: what makes a face older, gives it glasses, or simply changes it most.

python -m dcgan.directions checkpoints/faces --dataroot my_photos
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d
from tqdm import tqdm

from dcgan.attributes import Attribute, AttributeNet, attribute_net
from dcgan.checkpoint import DIRECTIONS, Checkpoint, CheckpointError, fingerprint, load_checkpoint, reason, writing
from dcgan.convolution import has_bf16
from dcgan.data import DataError, load_images
from dcgan.generate import render
from dcgan.model import Discriminator, Generator

FORMAT = 1
SAMPLES = 8_192  # faces that a fit looks at
HELD_OUT = 0.2  # of them, to say how good it is
BATCH = 256
SIDE = 32  # the response is that of the picture at this size
PRINCIPAL = 10
MIN_SHARE = 0.002  # of the response; what changes the picture less is no slider
MIN_QUALITY = {"number": 0.1, "trait": 0.7}  # R2 and AUC; below, a slider would not do what its name says
MIN_FACES = 0.01  # share of the faces that must have a trait, and that must lack it

REACH = 4  # deviations of z; along any given line, one latent in 16,000 lies farther out
STEPS = torch.arange(-REACH, REACH + 1)
MOVED = 32  # faces moved along each direction
ORDINARY = 1_536  # faces that tell what is ordinary
COMPONENTS = 64  # of the discriminator's features: 99.8% of their variance in the shipped checkpoints
COMMON = 0.99  # share of the faces that passes for ordinary ...
STRANGE = 0.2  # ... and share of the moved ones that may not

MIN_EXAMPLES = 3
EXAMPLES_REACH = 3.0
SEPARATION = 1.6  # deviations between the means of the two halves of a normal distribution

MEASURES = {"number": "R2", "trait": "AUC", "principal": "share", "examples": "AUC"}

# What sliders the drawn faces' factors make: each towards some of a factor's values, away from all its others.
DRAWN: dict[str, dict[str, tuple[str, ...]]] = {
    "skin": {"dark skin": ("brown", "dark", "deep")},
    "hair": {
        "long hair": ("bob", "fringed bob", "shoulder length", "long straight", "long swept", "long wavy", "braids")
    },
    "hair_color": {"light hair": ("blond", "gray")},
    "glasses": {"glasses": ("round", "square", "sunglasses")},
    "facial_hair": {"beard": ("short beard", "full beard")},
    "mouth": {"laugh": ("laugh",)},
    "eyes": {"closed eyes": ("happy", "closed")},
    "eyebrows": {"raised eyebrows": ("raised",)},
    "clothing_color": {"light clothes": ("mustard", "white")},
    "background": {"warm background": ("rose", "lemon")},
}


class StaleDirections(CheckpointError):
    """Directions that were fitted for other weights."""


@dataclass(frozen=True, eq=False)
class Direction:
    """A way through latent space: z + t * vector, t from low to high.

    vector: float32 [nz] of length 1, so that t counts standard deviations of z. low < 0 < high: how far faces stay
    faces. quality, from 0 to 1, is what the kind says:
    "number" (age, say): R2, the share of its variance over unseen faces that is linear in z;
    "trait" (what a face has or has not): AUC, how often a linear reading of z puts an unseen face that has it before
    one that has not;
    "principal": share of the generator's response;
    "examples": AUC, each pair of examples told apart by the others.
    effects: the mean of many faces at t = 2 less that at t = -2, of each number in its unit, of each trait as the
    share of faces that have it.
    """

    name: str
    vector: Tensor
    low: float
    high: float
    quality: float
    kind: str
    effects: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Directions:
    """What was fitted for a generator.

    response: float32 [nz, nz], J J^T for the mean Jacobian J of the picture by z, so that v^T response v says how much
    a step along v changes, in the same way for all faces. None where nothing was fitted.
    """

    all: tuple[Direction, ...] = ()
    response: Tensor | None = None

    def __iter__(self) -> Iterator[Direction]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)


# Reading faces


@dataclass(frozen=True)
class Trait:
    """What a direction is to change: a number, or which faces have one of these `values` of an attribute."""

    name: str
    attribute: Attribute
    values: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "trait" if self.values else "number"

    def read(self, outputs: Tensor) -> Tensor:
        """The attribute network's outputs for it, [N, K] -> the number in its unit, or a probability, [N]."""
        if not self.values:
            return outputs[:, 0] * self.attribute.deviation + self.attribute.mean
        return outputs.softmax(dim=1)[:, [self.attribute.values.index(value) for value in self.values]].sum(dim=1)


def traits(attributes: tuple[Attribute, ...]) -> list[Trait]:
    """What is to be read of each attribute; of auxiliary ones every value, since it is to be left as it is."""
    found = []
    for attribute in attributes:
        name, values = attribute.name, attribute.values
        if attribute.auxiliary and values:
            found += [Trait(f"{name}: {value}", attribute, (value,)) for value in values]
        elif len(values) > 2:
            found += [Trait(slider, attribute, towards) for slider, towards in DRAWN.get(name, {}).items()]
        else:
            found.append(Trait(name, attribute, values[1:]))
    return found


class Reader:
    """Reads `traits` off faces, uint8 [N, nc, S, S] -> [N, len(traits)]; without a network there are none."""

    def __init__(self, net: AttributeNet | None):
        self.net = net
        self.traits = traits(net.attributes) if net else []

    def __call__(self, faces: Tensor) -> Tensor:
        if not self.net or not self.traits:
            return torch.empty(len(faces), 0)
        outputs = self.net.split(self.net.read(faces)[1])
        of = {a.name: out for a, out in zip(self.net.attributes, outputs, strict=True)}
        return torch.stack([trait.read(of[trait.attribute.name]) for trait in self.traits], dim=1).cpu()


class Ordinary:
    """What the generator's faces are like, to the discriminator: the spread of its last features, averaged over the
    picture. A face is strange when it lies farther from their mean (Mahalanobis) than all but 1% of them do."""

    def __init__(self, discriminator: Discriminator, faces: Tensor):
        """faces: uint8 [N, nc, S, S], some hundred at least; the last third sets the limit."""
        self.discriminator = discriminator
        features = self._features(faces)
        known, fresh = features.split([len(features) * 2 // 3, len(features) - len(features) * 2 // 3])
        self.mean = known.mean(dim=0)
        _, deviations, axes = torch.linalg.svd((known - self.mean) / math.sqrt(len(known)), full_matrices=False)
        kept = deviations[:COMPONENTS].clamp_min(1e-6)
        self.whitening = axes[: len(kept)].T / kept
        self.limit = self._distance(fresh).quantile(COMMON)

    def strange(self, faces: Tensor) -> float:
        """The share of these faces that is strange."""
        return float((self._distance(self._features(faces)) > self.limit).float().mean())

    @torch.inference_mode()
    def _features(self, faces: Tensor) -> Tensor:
        net, device = self.discriminator.main[:-1], next(self.discriminator.parameters()).device
        pieces = []
        for piece in faces.split(BATCH):
            with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device)):
                pieces.append(net(piece.to(device).float() / 127.5 - 1).float().mean(dim=(2, 3)).cpu())
        return torch.cat(pieces)

    def _distance(self, features: Tensor) -> Tensor:
        return ((features - self.mean) @ self.whitening).norm(dim=1)


# Fitting


def fit_directions(
    checkpoint: Checkpoint,
    net: AttributeNet | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> Directions:
    """Directions of what `net` reads, as far as they can be fitted, and principal ones, orthogonal to those and to
    each other.

    z is normal, so the slopes of a linear regression on it are mean gradients (Stein 1981): what a small step changes
    over all faces. say: is told what is left out, and why.
    """
    discriminator, reader = checkpoint.discriminator, Reader(net)
    nz, random = checkpoint.model.nz, torch.Generator().manual_seed(seed)
    half = torch.randn(max(samples // 2, nz), nz, generator=random)
    z = torch.stack([half, -half], dim=1).flatten(0, 1)  # in opposite pairs, even powers of z bend no slope
    jacobian, readings, faces = _look(checkpoint.generator, reader, z, progress)
    response = jacobian @ jacobian.T

    legible = _legible(reader.traits, z, readings, say)
    slopes = torch.stack([slope for _, slope, _ in legible], dim=1) if legible else torch.empty(nz, 0)
    named = [
        (Direction(reader.traits[k].name, vector, 0, 0, quality, reader.traits[k].kind), k)
        for (k, _, quality), vector in zip(legible, disentangled(slopes, response).T, strict=True)
        if not reader.traits[k].attribute.auxiliary
    ]
    axes, shares = principal(jacobian, torch.stack([d.vector for d, _ in named], dim=1) if named else slopes)
    unnamed = [
        (Direction(f"principal {i + 1}", axis, 0, 0, share, "principal"), None)
        for i, (axis, share) in enumerate(zip(axes.T, shares.tolist(), strict=True))
    ]

    ordinary = Ordinary(discriminator, faces)
    start = torch.randn(MOVED, nz, generator=random)
    measured = []
    for direction, column in tqdm(named + unnamed, "moving faces", unit="direction", disable=not progress):
        moved = [render(checkpoint.generator, start + t * direction.vector) for t in STEPS]
        strange = torch.tensor([ordinary.strange(faces) for faces in moved])
        means = torch.stack([reader(faces).mean(dim=0) for faces in moved])
        own = STEPS if column is None else means[:, column]
        low, high = extent(strange.flip(0), -own.flip(0)), extent(strange, own)
        effects = {
            trait.name: round(float(change), 3)
            for trait, change in zip(reader.traits, means[REACH + 2] - means[REACH - 2], strict=True)
            if not trait.attribute.auxiliary
        }
        if low and high:
            measured.append(replace(direction, low=-low, high=high, effects=effects))
        else:
            say(f"left out: {direction.name}, since faces do not stand half a deviation of it")
    return Directions(tuple(measured), response)


def _look(generator: Generator, reader: Reader, z: Tensor, progress: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The mean Jacobian [nz, pixels] of the picture at SIDE px, what is read off the faces, and some of them."""
    moments, readings, faces = torch.zeros(()), [], list[Tensor]()
    with tqdm(total=len(z), desc="looking at faces", unit="img", disable=not progress) as bar:
        for piece in z.split(BATCH):
            images = render(generator, piece, BATCH)
            small = avg_pool2d(images.float(), max(1, images.shape[-1] // SIDE)).flatten(1) / 127.5 - 1
            moments = moments + piece.T @ small
            readings.append(reader(images))
            if len(faces) * BATCH < ORDINARY:
                faces.append(images)
            bar.update(len(piece))
    return torch.linalg.solve(z.T @ z, moments), torch.cat(readings), torch.cat(faces)


def _legible(
    traits: list[Trait], z: Tensor, readings: Tensor, say: Callable[[str], None]
) -> list[tuple[int, Tensor, float]]:
    """The traits that a line through z tells apart: index, slope [nz] of length 1, and quality on unseen faces."""
    fitted = len(z) - int(HELD_OUT * len(z))
    slopes = torch.linalg.lstsq(z[:fitted], readings[:fitted] - readings[:fitted].mean(dim=0)).solution
    found = []
    for k, trait in enumerate(traits):
        unseen, guess = readings[fitted:, k], z[fitted:] @ slopes[:, k]
        if trait.values:
            having = float((unseen > 0.5).float().mean())
            common, measure, quality = MIN_FACES <= having <= 1 - MIN_FACES, "AUC", auc(guess, unseen > 0.5)
        else:
            common, measure, quality = True, "R2", float(torch.corrcoef(torch.stack([guess, unseen]))[0, 1] ** 2)
        if common and quality >= MIN_QUALITY[trait.kind]:
            found.append((k, slopes[:, k] / slopes[:, k].norm(), round(quality, 3)))
        elif not trait.attribute.auxiliary:
            why = f"{measure} {quality:.2f}" if common else f"{having:.1%} of the faces have it"
            say(f"left out: {trait.name}, {why}")
    return found


def disentangled(slopes: Tensor, response: Tensor) -> Tensor:
    """For each reading the direction that changes it and, on average, none of the others; of all such directions the
    one that changes the picture least per effect.

    slopes: [nz, K] of the readings, length 1; response: [nz, nz]. Returns unit vectors [nz, K]. Nothing is taken out
    of one direction for the sake of those before it, so there is no order to choose, and sliders may be added up:
    each reading goes on obeying its own.
    """
    cost = response / response.trace().clamp_min(1e-12) * len(response) + torch.eye(len(response))
    cheap = torch.linalg.solve(cost, slopes)
    vectors = cheap @ torch.linalg.pinv(slopes.T @ cheap, rtol=1e-3, hermitian=True)
    return vectors / vectors.norm(dim=0)


def principal(jacobian: Tensor, named: Tensor) -> tuple[Tensor, Tensor]:
    """What else changes the picture most: orthonormal axes [nz, n], orthogonal to `named` [nz, K], and their shares of
    the whole response [n], largest first. Each brightens the picture.

    These are the leading singular vectors of the mean Jacobian, projected. Measured against those of J^T J averaged
    over faces, of the first layer's weights (Shen and Zhou 2021) and of its activations (Harkonen 2020): as much
    change of the picture, less alike from one direction to the next, and it takes no samples of its own.
    """
    basis = torch.linalg.qr(named).Q
    left = jacobian - basis @ (basis.T @ jacobian)
    axes, sizes, _ = torch.linalg.svd(left, full_matrices=False)
    shares = sizes**2 / (jacobian**2).sum().clamp_min(1e-12)
    count = min(PRINCIPAL, len(jacobian) - named.shape[1], int((shares >= MIN_SHARE).sum()))
    axes, shares = axes[:, :count], shares[:count]
    brighter = (axes.T @ jacobian).mean(dim=1)
    return axes * torch.where(brighter < 0, -1.0, 1.0), shares


def extent(strange: Tensor, reading: Tensor) -> float:
    """How far to move, in deviations, to half of one: until too many faces are strange or the reading stops rising.

    strange, reading: [2 REACH + 1], the share of strange faces and a mean, at each of STEPS; the way out is t > 0.
    """
    strange, rises = strange[REACH:], reading[REACH:].diff() > 0
    far = float(REACH)
    if (strange > STRANGE).any():
        i = int((strange > STRANGE).nonzero()[0])
        far = float(i - 1 + (STRANGE - strange[i - 1]) / (strange[i] - strange[i - 1])) if i else 0.0
    if not rises.all():
        far = min(far, float((~rises).nonzero()[0]))
    return math.floor(2 * far) / 2


def auc(scores: Tensor, positive: Tensor) -> float:
    """How often a score of the positive ones [bool] is above one of the others; 0.5 by chance, or without either."""
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        return 0.5
    ranks = torch.empty(len(scores)).scatter_(0, scores.argsort(), torch.arange(1.0, len(scores) + 1))
    return (float(ranks[positive].double().sum()) - yes * (yes + 1) / 2) / (yes * no)


def from_examples(
    with_trait: Tensor, without: Tensor, response: Tensor | None = None, name: str = "my slider"
) -> Direction:
    """A direction from latents [N, nz] of faces with a trait and [M, nz] of faces without; 3 and 3 will do.

    The difference of the two means is mostly noise at first. With the generator's response (Directions.response) it is
    filtered (Wiener): what hardly changes the picture cannot have been what was looked at, and is believed only as
    examples grow many. Against a trait known from 8,000 faces, 3 + 3 examples then reach a cosine of 0.48 where the
    plain difference, or a shrunk LDA, reaches 0.17; 30 + 30 reach 0.79 against 0.48.
    Raises ValueError, in one line, for too few examples or ones that cannot be told apart.
    """
    for group, what in ((with_trait, "with"), (without, "without")):
        if len(group) < MIN_EXAMPLES:
            raise ValueError(f"a slider needs at least {MIN_EXAMPLES} faces {what} the trait, not {len(group)}")
        if not torch.isfinite(group).all():
            raise ValueError("the examples hold numbers that are not finite")
    if with_trait.shape[1:] != without.shape[1:] or (response is not None and len(response) != with_trait.shape[1]):
        raise ValueError("the examples belong to different generators")
    n, m = len(with_trait), len(without)
    vector = _filter(n, m, response, with_trait.mean(dim=0) - without.mean(dim=0))
    if vector.norm() < 1e-6:
        raise ValueError("the faces with the trait and those without are the same")
    # Each pair is told apart by what all others say.
    others = ((with_trait.sum(0) - with_trait) / (n - 1))[:, None] - ((without.sum(0) - without) / (m - 1))[None]
    apart = _filter(n - 1, m - 1, response, others) * (with_trait[:, None] - without[None])
    quality = float((apart.sum(dim=-1) > 0).float().mean())
    return Direction(name, vector / vector.norm(), -EXAMPLES_REACH, EXAMPLES_REACH, round(quality, 3), "examples")


def _filter(n: int, m: int, response: Tensor | None, difference: Tensor) -> Tensor:
    """The likeliest difference [..., nz] between two groups' means, given that of n and m of their members."""
    if response is None:
        return difference
    signal = SEPARATION**2 * response / response.trace().clamp_min(1e-12)
    noise = (1 / n + 1 / m) * torch.eye(len(response))
    return difference @ torch.linalg.solve(signal + noise, signal)


# Keeping


def save_directions(path: Path, directions: Directions, generator: Generator) -> None:
    """Write them, whole or not at all, with a fingerprint of the generator's weights that they belong to."""
    about = [
        {"name": d.name, "kind": d.kind, "low": d.low, "high": d.high, "quality": d.quality, "effects": d.effects}
        for d in directions
    ]
    nz = generator.config.nz
    tensors = {"vectors": torch.stack([d.vector for d in directions]) if len(directions) else torch.empty(0, nz)}
    if directions.response is not None:
        tensors["response"] = directions.response.contiguous()
    metadata = {"format": str(FORMAT), "generator": fingerprint(generator), "directions": json.dumps(about)}
    with writing(path) as temporary:
        save_file(tensors, temporary, metadata)
        temporary.chmod(0o644)


def load_directions(path: Path, generator: Generator) -> Directions:
    """The directions in a file.

    Raises StaleDirections if they were fitted for other weights, and CheckpointError, in one line, if the file is not
    there, damaged or of a newer format.
    """
    nz = generator.config.nz
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if int(metadata["format"]) != FORMAT:
                raise CheckpointError(
                    f"'{path}' has format {metadata['format']}, this program reads {FORMAT}: update it"
                )
            if metadata["generator"] != fingerprint(generator):
                raise StaleDirections(
                    f"'{path}' was fitted for other weights than these: fit it anew with python -m dcgan.directions"
                )
            about = json.loads(metadata["directions"])
            vectors = _tensor(file, "vectors", (len(about), nz))
            response = _tensor(file, "response", (nz, nz)) if "response" in set(file.keys()) else None
        found = tuple(_direction(vector, **each) for vector, each in zip(vectors, about, strict=True))
        if len({d.name for d in found}) < len(found):
            raise ValueError("two directions have the same name")
    except FileNotFoundError:
        raise CheckpointError(f"'{path}' is missing: python -m dcgan.directions makes it") from None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"'{path}' is damaged ({reason(error)}): fit or fetch it anew") from None
    return Directions(found, response)


def _tensor(file: safe_open, name: str, shape: tuple[int, ...]) -> Tensor:
    found = tuple(file.get_slice(name).get_shape())
    if found != shape:
        raise ValueError(f"{name} has shape {found}, not {shape}")
    tensor = file.get_tensor(name).float()
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name} has values that are not finite")
    return tensor


def _direction(
    vector: Tensor, name: str, kind: str, low: float, high: float, quality: float, effects: dict[str, float]
) -> Direction:
    numbers = [float(number) for number in (low, high, quality, *effects.values())]
    if not all(map(math.isfinite, numbers)) or not -REACH <= low < 0 < high <= REACH or not vector.norm():
        raise ValueError(f"a direction from {low} to {high}")
    if not isinstance(name, str) or not isinstance(kind, str) or not name.strip():
        raise ValueError("a direction without a name")
    return Direction(name, vector / vector.norm(), low, high, quality, kind, dict(effects))


# Command line


def table(directions: Directions) -> str:
    """A line for each direction: its range, its quality, what it does, and what it does most besides.

    The last is a share of what the other's own direction does.
    """
    own = {d.name: d.effects[d.name] for d in directions if d.effects.get(d.name)}
    lines = [f"{'':20}{'range':>14}   {'quality':14}{'from -2 to 2':20}besides, of its own direction's effect"]
    for d in directions:
        effect = ""
        if d.name in own:
            effect = f"{own[d.name]:+.1f}" if d.kind == "number" else f"{own[d.name]:+.0%} of faces"
        besides = {name: d.effects[name] / own[name] for name in own.keys() & d.effects.keys() - {d.name}}
        most = max(sorted(besides), key=lambda name: abs(besides[name]), default=None)
        lines.append(
            f"{d.name:20}{d.low:+6.1f} to {d.high:+.1f}   {MEASURES[d.kind] + f' {d.quality:.3f}':14}{effect:20}"
            + (f"{most} {besides[most]:+.0%}" if most else "")
        )
    return "\n".join(line.rstrip() for line in lines)


def main(argv: list[str] | None = None) -> int:
    """Fit and write. Exit code 2, after one line on stderr, for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m dcgan.directions", description="Fit directions for a checkpoint.")
    parser.add_argument("checkpoint", help="checkpoint folder or run folder")
    parser.add_argument("--dataroot", help="its images, with labels (default: principal directions only)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faces looked at (default: 0)")
    flags = parser.parse_args(argv)
    try:
        checkpoint = load_checkpoint(flags.checkpoint)
        net = None
        if flags.dataroot:
            model = checkpoint.model
            net = attribute_net(load_images(flags.dataroot, model.image_size, model.nc))
            if net is None:
                print(f"no labels in '{flags.dataroot}': principal directions only")
        directions = fit_directions(checkpoint, net, seed=flags.seed, say=tqdm.write, progress=True)
        path = checkpoint.folder / DIRECTIONS
        save_directions(path, directions, checkpoint.generator)
    except (CheckpointError, DataError, ImportError) as error:
        print(f"directions: {error}", file=sys.stderr)
        return 2
    except (OSError, SafetensorError) as error:
        print(f"directions: '{flags.checkpoint}' cannot be written ({reason(error)})", file=sys.stderr)
        return 2
    print(table(directions))
    print(f"saved {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
