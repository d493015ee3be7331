"""What is known of each face, and a small network that reads it off a picture.

Labels come from UTKFace's file names (age, gender) or from the drawn faces' factors. The network is trained on them
once and kept beside the packed images. Its features say what a face is like, so the metrics compare faces by them,
and what it reads off generated faces tells the ways through latent space apart.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, smooth_l1_loss
from tqdm import tqdm

from dcgan.convolution import Conv2d, has_bf16
from dcgan.data import avatars
from dcgan.data.images import Images
from dcgan.files import writing
from dcgan.pictures import normalised
from dcgan.training.augment import translation

VERSION = 1  # part of the kept network's name: raise it when the same data would give another one
FEATURES = 128
SIDE = 64  # larger faces are shrunk: their attributes show at this size, and training stays a matter of minutes
MIN_LABELLED = 500  # training images with labels; with fewer there is nothing to learn from
MIN_PARSED = 0.9  # share of the file names that must be UTKFace's
SHOWN = 80_000  # images in all
MAX_EPOCHS = 30
BATCH = 128

# AGE_GENDER_RACE_DATE; where a field is missing the others cannot be told apart, except the age, which comes first.
_UTKFACE = re.compile(r"(\d{1,3})_([01])_([0-4])_\d{8,}")
_AGE = re.compile(r"(\d{1,3})_")


@dataclass(frozen=True)
class Attribute:
    """Something that a face has: one of `values`, or, where there are none, a number.

    mean, deviation: of a number, over the training images. auxiliary: it makes the features richer and is no more
    than that: nothing is to be offered or steered by it.
    """

    name: str
    values: tuple[str, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0
    auxiliary: bool = False

    @property
    def outputs(self) -> int:
        return len(self.values) or 1


@dataclass(frozen=True)
class Labels:
    """values: float32 [N, len(attributes)], a number or an index into the attribute's values; NaN where unknown."""

    attributes: tuple[Attribute, ...]
    values: np.ndarray


def labels(images: Images) -> Labels | None:
    """What the names of the images tell, or None where they tell nothing."""
    if images.name == avatars.SOURCE and all(re.fullmatch(r"\d{6}", name) for name in images.names):
        return _drawn_labels(images.names)
    return _utkface_labels(images)


def _drawn_labels(names: list[str]) -> Labels:
    drawn = [avatars.factors(int(name)) for name in names]
    columns = [[values.index(face[name]) for face in drawn] for name, values in avatars.FACTORS.items()]
    attributes = tuple(Attribute(name, values) for name, values in avatars.FACTORS.items())
    return Labels(attributes, np.array(columns, dtype=np.float32).T)


def _utkface_labels(images: Images) -> Labels | None:
    values = np.full((len(images), 3), np.nan, dtype=np.float32)
    parsed = 0
    for row, name in zip(values, images.names, strict=True):
        file = PurePosixPath(name).name
        if match := _UTKFACE.match(file):
            row[:] = [int(field) for field in match.groups()]
            parsed += 1
        elif match := _AGE.match(file):
            row[0] = int(match[1])
    if parsed < MIN_PARSED * len(images):
        return None
    ages = values[images.training, 0]
    age = Attribute("age", mean=float(np.nanmean(ages)), deviation=float(np.nanstd(ages)) or 1.0)
    gender = Attribute("gender", ("male", "female"))
    race = Attribute("race", ("White", "Black", "Asian", "Indian", "other"), auxiliary=True)
    return Labels((age, gender, race), values)


class AttributeNet(nn.Module):
    """Reads attributes off faces.  images [N, nc, S, S] in [-1, 1] -> features [N, 128], outputs [N, K].

    The discriminator's strided convolutions, then two linear layers. K: one output for each value of an attribute,
    one for a number, in the order of `attributes`.
    """

    def __init__(self, size: int, nc: int, attributes: tuple[Attribute, ...], width: int = 32):
        super().__init__()
        self.attributes, self.size, self.nc = attributes, min(size, SIDE), nc
        self.scores: dict[str, float] = {}
        layers: list[nn.Module] = []
        narrow, wide, side = nc, width, self.size
        while side > 4:
            layers += [Conv2d(narrow, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
            narrow, wide, side = wide, 2 * wide, side // 2
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(16 * narrow, FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, sum(a.outputs for a in attributes))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(images)
        return features, self.head(features)

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 images [N, nc, S, S] of any size as the network takes them, on its device."""
        images = normalised(images.to(self.head.weight.device))
        return avg_pool2d(images, images.shape[-1] // self.size) if images.shape[-1] > self.size else images

    @torch.inference_mode()
    def read(self, images: Tensor, batch_size: int = 256) -> tuple[Tensor, Tensor]:
        """uint8 images -> features [N, 128] and outputs [N, K], in fp32."""
        assert not self.training
        pieces = [self(self.prepare(piece)) for piece in images.split(batch_size)]
        features, outputs = zip(*pieces, strict=True)
        return torch.cat(features), torch.cat(outputs)

    def features(self, images: Tensor) -> Tensor:
        """uint8 images -> features [N, 128]."""
        return self.read(images)[0]

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """uint8 images -> of each attribute, a number [N] in its own unit, or the index [N] of the likeliest value."""
        outputs = self.split(self.read(images)[1])
        return {
            a.name: out.argmax(dim=1) if a.values else out[:, 0] * a.deviation + a.mean
            for a, out in zip(self.attributes, outputs, strict=True)
        }

    def split(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Outputs [N, K] -> one [N, outputs of the attribute] for each attribute."""
        return outputs.split([a.outputs for a in self.attributes], dim=1)


def attribute_net(
    images: Images, device: torch.device | str = "cpu", seed: int = 0, progress: bool = True
) -> AttributeNet | None:
    """The network for these images: from beside their packed pixels, or trained now and kept there.

    None where there are no labels, or too few. `scores` of the result says how well it reads the held-out images.
    """
    known = labels(images)
    if known is None or np.isfinite(known.values[images.training]).all(axis=1).sum() < MIN_LABELLED:
        return None
    path = images.folder / f"attributes-{VERSION}-{seed}.safetensors" if images.folder else None
    net = _open(path, images, known) if path else None
    if net is None:
        net = train_attribute_net(images, known, torch.device(device), seed, progress)
        net.scores = score(net, images, known)
        if path:
            _keep(net, path)
    return net.to(device)


def train_attribute_net(
    images: Images, known: Labels, device: torch.device, seed: int, progress: bool = True
) -> AttributeNet:
    """Train on the training images alone, mirrored and shifted at random; a minute or two on two cores."""
    indices = images.training[np.isfinite(known.values[images.training]).any(axis=1)]
    batch = min(BATCH, len(indices))
    steps = min(SHOWN, MAX_EPOCHS * len(indices)) // batch
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        net = AttributeNet(images.pixels.shape[-1], images.pixels.shape[1], known.attributes)
        net = net.to(device).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.05, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps + 1)
        epochs = [torch.randperm(len(indices)) for _ in range(MAX_EPOCHS)]
        order = indices[torch.cat(epochs)[: steps * batch].numpy()].reshape(steps, batch)
        for chosen in tqdm(order, desc="learning attributes", unit="step", disable=not progress):
            pixels = altered(net.prepare(images.batch(chosen))).contiguous(memory_format=torch.channels_last)
            targets = torch.from_numpy(known.values[chosen]).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device)):
                _, outputs = net(pixels)
            loss = attribute_loss(net, outputs.float(), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval().requires_grad_(False)


def altered(pixels: Tensor) -> Tensor:
    """Half of the images mirrored, half of them shifted."""
    mirror, shift = torch.rand(2, len(pixels), 1, 1, 1, device=pixels.device) < 0.5
    pixels = torch.where(mirror, pixels.flip(3), pixels)
    return torch.where(shift, translation(pixels), pixels)


def attribute_loss(net: AttributeNet, outputs: Tensor, targets: Tensor) -> Tensor:
    """The sum over all attributes of the mean loss of the images that are labelled. targets: [N, attributes]."""
    total = outputs.sum() * 0
    for attribute, out, target in zip(net.attributes, net.split(outputs), targets.T, strict=True):
        known = target.isfinite()
        if not known.any():
            continue
        if attribute.values:
            total = total + cross_entropy(out[known], target[known].long())
        else:
            total = total + smooth_l1_loss(out[known, 0], (target[known] - attribute.mean) / attribute.deviation)
    return total


def score(net: AttributeNet, images: Images, known: Labels) -> dict[str, float]:
    """How well the held-out images are read: the share of right values, or the mean error of a number."""
    heldout = np.flatnonzero(images.heldout)
    scores = {}
    if len(heldout):
        for (name, read), truth in zip(
            net.predict(images.batch(heldout)).items(), known.values[heldout].T, strict=True
        ):
            attribute = next(a for a in net.attributes if a.name == name)
            there = np.isfinite(truth)
            error = np.abs(read.cpu().numpy() - truth)[there]
            if len(error):
                scores[name] = round(float((error == 0).mean() if attribute.values else error.mean()), 4)
    return scores


def _keep(net: AttributeNet, path: Path) -> None:
    about = {"attributes": [asdict(a) for a in net.attributes], "scores": net.scores}
    state = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    try:
        with writing(path) as temporary:
            save_file(state, temporary, {"about": json.dumps(about)})
    except (OSError, SafetensorError):  # no room or no right to write: it is trained again next time
        pass


def _open(path: Path, images: Images, known: Labels) -> AttributeNet | None:
    """The kept network; None where there is none, or not a whole one, or one for other attributes."""
    net = AttributeNet(images.pixels.shape[-1], images.pixels.shape[1], known.attributes)
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError):
        return None
    net.scores = about["scores"]
    return net.eval().requires_grad_(False)
