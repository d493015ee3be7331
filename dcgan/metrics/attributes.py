"""Attributes of faces, and a small network that reads them off a picture.

Labels come from UTKFace's file names (age, gender) or from the drawn faces' factors. The network is trained on them
once and kept beside the packed images. Its features are those of the Frechet face distance, and what it reads off
generated faces is what directions in latent space are fitted to.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, grid_sample, smooth_l1_loss
from tqdm import tqdm

from dcgan.convolution import Conv2d, has_bf16
from dcgan.data import avatars
from dcgan.data.images import Images
from dcgan.device import own_randomness
from dcgan.files import writing
from dcgan.pictures import normalised

VERSION = 2  # part of the kept network's name: raise it when the same data gives another one
FEATURES = 128
SIDE = 64  # pixels: larger faces are shrunk
MIN_LABELLED = 500  # training images with labels, for a network to be worth training
MIN_PARSED = 0.9  # share of the file names that must be UTKFace's
SHOWN = 80_000  # images in all that training shows, ...
MAX_EPOCHS = 30  # ... each this often at most
BATCH = 128
TRANSLATION = 1 / 8  # of the side, each way

# AGE_GENDER_RACE_DATE; where a field is missing only the age, which comes first, is known.
_UTKFACE = re.compile(r"(\d{1,3})_([01])_([0-4])_\d{8,}")
_AGE = re.compile(r"(\d{1,3})_")


@dataclass(frozen=True)
class Attribute:
    """Something that a face has: one of `values` or, if there are none, a number.

    mean, deviation: of a number, over the training images. auxiliary: it enriches the features, and is not to be
    offered as a direction.
    """

    name: str
    values: tuple[str, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0
    auxiliary: bool = False

    @property
    def outputs(self) -> int:
        """The number of the network's outputs for it."""
        return len(self.values) or 1


@dataclass(frozen=True)
class Labels:
    """values: float32 [N, len(attributes)], a number or an index into the attribute's values; NaN where unknown."""

    attributes: tuple[Attribute, ...]
    values: np.ndarray


def labels(images: Images) -> Labels | None:
    """The labels in the names of the images; None if there are none."""
    if images.name == avatars.SOURCE and all(re.fullmatch(r"\d{6}", name) for name in images.names):
        drawn = tuple(Attribute(name, values) for name, values in avatars.FACTORS.items())
        faces = [avatars.factors(int(name)) for name in images.names]
        rows = [[each.values.index(face[each.name]) for each in drawn] for face in faces]
        return Labels(drawn, np.array(rows, dtype=np.float32))
    values = np.full((len(images), 3), np.nan, dtype=np.float32)
    parsed = 0
    for row, name in zip(values, images.names, strict=True):
        file = PurePosixPath(name.replace("\\", "/")).name  # some zips have such names
        if match := _UTKFACE.match(file):
            row[:] = [int(field) for field in match.groups()]
            parsed += 1
        elif match := _AGE.match(file):
            row[0] = int(match[1])
    if parsed < MIN_PARSED * len(images):
        return None
    ages = values[images.training, 0]
    age = Attribute("age", mean=float(np.nanmean(ages)), deviation=max(float(np.nanstd(ages)), 1.0))
    gender = Attribute("gender", ("male", "female"))
    race = Attribute("race", ("White", "Black", "Asian", "Indian", "other"), auxiliary=True)
    return Labels((age, gender, race), values)


class AttributeNet(nn.Module):
    """Reads attributes off faces: images [N, nc, S, S] in [-1, 1] -> features [N, 128], outputs [N, K].

    The discriminator's strided convolutions, then two linear layers. K: in the order of `attributes`, an output for
    each value of one, or one for a number. scores: of each attribute the accuracy on held-out images, or a number's
    mean absolute error.
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
        """Images [N, nc, S, S] in [-1, 1] -> features [N, F] and the attributes' outputs [N, K]."""
        features = self.body(images)
        return features, self.head(features)

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 images [N, nc, S, S] of any size -> the network's input, on its device."""
        images = normalised(images.to(self.head.weight.device))
        return avg_pool2d(images, images.shape[-1] // self.size) if images.shape[-1] > self.size else images

    @torch.inference_mode()
    def read(self, images: Tensor, batch_size: int = 256) -> tuple[Tensor, Tensor]:
        """uint8 images -> features [N, 128] and outputs [N, K], in fp32. The network must be in eval mode."""
        assert not self.training
        pieces = [self(self.prepare(piece)) for piece in images.split(batch_size)]
        features, outputs = zip(*pieces, strict=True)
        return torch.cat(features), torch.cat(outputs)

    def features(self, images: Tensor) -> Tensor:
        """uint8 images -> features [N, 128]."""
        return self.read(images)[0]

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """uint8 images -> of each attribute a number [N] in its own unit, or the index [N] of the likeliest value."""
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

    None if there are no labels, or fewer than MIN_LABELLED training images with all of them.
    """
    known = labels(images)
    if known is None or np.isfinite(known.values[images.training]).all(axis=1).sum() < MIN_LABELLED:
        return None
    split = f"-{images.split}" if images.split else ""
    path = images.folder / f"attributes-{VERSION}-{seed}{split}.safetensors" if images.folder else None
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
    """Train on the training images, mirrored and shifted at random; a minute or two on two cores."""
    indices = images.training[np.isfinite(known.values[images.training]).any(axis=1)]
    steps = min(SHOWN, MAX_EPOCHS * len(indices)) // BATCH
    with own_randomness(device):
        torch.manual_seed(seed)
        net = AttributeNet(images.pixels.shape[-1], images.pixels.shape[1], known.attributes)
        net = net.to(device).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.05, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps + 1)
        epochs = [torch.randperm(len(indices)) for _ in range(MAX_EPOCHS)]
        order = indices[torch.cat(epochs)[: steps * BATCH].numpy()].reshape(steps, BATCH)
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
    """Mirror half of the images, and shift half of them."""
    mirror, shift = torch.rand(2, len(pixels), 1, 1, 1, device=pixels.device) < 0.5
    pixels = torch.where(mirror, pixels.flip(3), pixels)
    return torch.where(shift, translation(pixels), pixels)


def translation(images: Tensor) -> Tensor:
    """Shift each image [N, nc, S, S] by up to an eighth of the side, filling with grey (Zhao et al. 2020)."""
    n, _, size, _ = images.shape
    reach = int(size * TRANSLATION + 0.5)
    shifts = torch.randint(-reach, reach + 1, (2, n, 1), device=images.device)
    centres = (2 * torch.arange(size, device=images.device) + 1) / size - 1  # of the pixels, as grid_sample counts
    rows, columns = centres + shifts * (2 / size)
    grid = torch.stack(torch.broadcast_tensors(columns[:, None, :], rows[:, :, None]), dim=3)
    kind = torch.promote_types(images.dtype, torch.float32)  # bfloat16 cannot tell 256 columns apart
    return grid_sample(images.to(kind), grid.to(kind), mode="nearest", padding_mode="zeros", align_corners=False)


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
    """Of each attribute the accuracy on the held-out images, or a number's mean absolute error."""
    heldout = np.flatnonzero(images.heldout)
    read = net.predict(images.batch(heldout))
    scores = {}
    for attribute, truth in zip(net.attributes, known.values[heldout].T, strict=True):
        error = np.abs(read[attribute.name].cpu().numpy() - truth)[np.isfinite(truth)]
        scores[attribute.name] = round(float((error == 0).mean() if attribute.values else error.mean()), 4)
    return scores


def _keep(net: AttributeNet, path: Path) -> None:
    state = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    with suppress(OSError, SafetensorError), writing(path) as temporary:  # else it is trained again next time
        save_file(state, temporary, {"about": json.dumps({"scores": net.scores})})


def _open(path: Path, images: Images, known: Labels) -> AttributeNet | None:
    """The kept network; None if there is none, or only a damaged one, or one for other attributes."""
    net = AttributeNet(images.pixels.shape[-1], images.pixels.shape[1], known.attributes)
    try:
        with safe_open(path, "pt") as file:
            net.scores = json.loads(file.metadata()["about"])["scores"]
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError):
        return None
    return net.eval().requires_grad_(False)
