"""The two networks of Radford, Metz and Chintala (2015), as the PyTorch DCGAN faces tutorial builds them.

At the default configuration they are that tutorial's networks, weight for weight. Other image sizes add or drop
layers in the same pattern: channels double with each halving of the resolution.
"""

import hashlib
import math
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from dcgan.convolution import Conv2d, ConvTranspose2d

IMAGE_SIZES = (16, 32, 64, 128, 256)
MAX_CHANNELS = 1024
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def setting(default: Any, text: str, choices: tuple[Any, ...] = (), least: float = 0, most: float = math.inf) -> Any:
    """A dataclass field that the command line turns into a flag. least, most: of a number."""
    return field(default=default, metadata={"help": text, "choices": choices, "least": least, "most": most})


def check_settings(settings: Any) -> None:
    """Raise ValueError, in one line, for a field of another type than its default, or outside its choices or range."""
    for f in fields(settings):
        value, kind, limits = getattr(settings, f.name), type(f.default), f.metadata
        wanted = KINDS[kind]
        right = type(value) is kind or (kind is float and type(value) is int)
        if limits["choices"]:
            wanted = f"one of {', '.join(map(str, limits['choices']))}"
            right = right and value in limits["choices"]
        elif kind in (int, float):
            wanted += f" from {limits['least']}" + (f" to {limits['most']}" if limits["most"] < math.inf else " up")
            right = right and math.isfinite(value) and limits["least"] <= value <= limits["most"]
        if not right:
            raise ValueError(f"{f.name} must be {wanted}, not {value}")


@dataclass(frozen=True)
class ModelConfig:
    """Shape of both networks. The defaults are the tutorial's. Raises ValueError for a shape that cannot be built."""

    image_size: int = setting(64, "side of the square images in pixels: 16, 32, 64, 128 or 256", IMAGE_SIZES)
    nc: int = setting(3, "colour channels: 3 (RGB) or 1 (grey)", (3, 1))
    nz: int = setting(100, "length of the latent vector z", least=1, most=4096)
    ngf: int = setting(64, "generator channels at half the image size", least=1, most=4096)
    ndf: int = setting(64, "discriminator channels at half the image size", least=1, most=4096)
    d_norm: str = setting("batch", "normalisation in the discriminator", ("batch", "spectral", "none"))
    d_bias: bool = setting(False, "a bias in D's first convolution, so that D sees contrast")

    def __post_init__(self) -> None:
        check_settings(self)

    def channels(self, base: int) -> list[int]:
        """Channels at resolutions S/2, S/4, ... 4: doubling from `base`, capped at 1024."""
        halvings = self.image_size.bit_length() - 3  # 64 -> 32, 16, 8, 4
        return [min(base << i, max(base, MAX_CHANNELS)) for i in range(halvings)]


class Generator(nn.Module):
    """The generator: transposed convolutions, BatchNorm and ReLU from 4 x 4 up to the image size, then tanh."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        widths = config.channels(config.ngf)[::-1]
        layers: list[nn.Module] = [*_up(config.nz, widths[0], stride=1, padding=0)]
        for narrow, wide in pairwise(widths):
            layers += _up(narrow, wide)
        layers += [ConvTranspose2d(widths[-1], config.nc, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """z [N, nz, 1, 1] -> images [N, nc, S, S] in [-1, 1]."""
        return self.main(z)


class Discriminator(nn.Module):
    """The discriminator: strided convolutions and LeakyReLU down to one logit, positive for a real image.

    There is no sigmoid: the losses take logits, which stay exact where a probability rounds to 0 or 1.

    The tutorial's discriminator cannot see contrast in training: without a bias before the first BatchNorm,
    D(a x) = D(x) for a batch of images x and any a > 0, and the generator's contrast drifts. `d_bias` adds that bias.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        widths = config.channels(config.ndf)
        bias = config.d_norm != "batch"  # BatchNorm has a bias of its own
        convs = [Conv2d(config.nc, widths[0], 4, 2, 1, bias=bias or config.d_bias)]
        convs += [Conv2d(a, b, 4, 2, 1, bias=bias) for a, b in pairwise(widths)]
        convs += [Conv2d(widths[-1], 1, 4, 1, 0, bias=bias)]
        if config.d_norm == "spectral":  # Miyato et al. 2018
            for conv in convs:
                nn.utils.parametrizations.spectral_norm(conv)
        layers: list[nn.Module] = []
        for i, conv in enumerate(convs[:-1]):
            layers.append(conv)
            if config.d_norm == "batch" and i > 0:
                layers.append(nn.BatchNorm2d(conv.out_channels))
            layers.append(nn.LeakyReLU(0.2))
        self.main = nn.Sequential(*layers, convs[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, nc, S, S] in [-1, 1] -> logits [N]."""
        return self.main(images).flatten()


def _up(inputs: int, outputs: int, stride: int = 2, padding: int = 1) -> list[nn.Module]:
    return [
        ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


@torch.no_grad()
def init_weights(net: nn.Module) -> None:
    """The tutorial's initialisation, in place: convolutions N(0, 0.02), BatchNorm weights N(1, 0.02), biases 0."""
    for name, values in net.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(values)
        else:  # a BatchNorm's weight is a vector
            nn.init.normal_(values, 1.0 if values.dim() == 1 else 0.0, 0.02)


def parameter_count(net: nn.Module) -> int:
    """Number of trainable values in `net`."""
    return sum(p.numel() for p in net.parameters())


def fingerprint(net: nn.Module) -> str:
    """A hash of a network's weights, rounded to fp16 as they are saved: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for value in net.state_dict().values():
        value = value.detach().cpu()
        digest.update((value.half() if value.is_floating_point() else value).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
