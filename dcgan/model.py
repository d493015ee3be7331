"""The two networks of Radford, Metz and Chintala (2015), as the PyTorch DCGAN faces tutorial builds them.

At the default configuration they are that tutorial's networks, weight for weight. Other image sizes add or drop
layers in the same pattern: channels double with each halving of the resolution.
"""

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from dcgan.convolution import Conv2d, ConvTranspose2d

IMAGE_SIZES = (16, 32, 64, 128, 256)
MAX_CHANNELS = 1024
D_NORMS = ("batch", "spectral", "none")


@dataclass(frozen=True)
class ModelConfig:
    """Shape of both networks. The defaults are the tutorial's.

    Raises ValueError, in one line, for a shape that cannot be built.
    """

    image_size: int = field(
        default=64, metadata={"help": "side of the square images in pixels: 16, 32, 64, 128 or 256"}
    )
    nc: int = field(default=3, metadata={"help": "colour channels: 3 (RGB) or 1 (grey)"})
    nz: int = field(default=100, metadata={"help": "length of the latent vector z"})
    ngf: int = field(default=64, metadata={"help": "generator channels at half the image size"})
    ndf: int = field(default=64, metadata={"help": "discriminator channels at half the image size"})
    d_norm: str = field(default="batch", metadata={"help": "normalisation in the discriminator", "choices": D_NORMS})
    d_bias: bool = field(default=False, metadata={"help": "a bias in D's first convolution, so that D sees contrast"})

    def __post_init__(self) -> None:
        if self.image_size not in IMAGE_SIZES or not isinstance(self.image_size, int):
            raise ValueError(f"image_size must be one of {', '.join(map(str, IMAGE_SIZES))}, not {self.image_size}")
        if self.nc not in (1, 3) or not isinstance(self.nc, int):
            raise ValueError(f"nc must be 3 (RGB) or 1 (grey), not {self.nc}")
        for name in ("nz", "ngf", "ndf"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= 4096:
                raise ValueError(f"{name} must be a whole number from 1 to 4096, not {value}")
        if not isinstance(self.d_bias, bool):
            raise ValueError(f"d_bias must be true or false, not {self.d_bias}")
        if self.d_norm not in D_NORMS:
            raise ValueError(f"d_norm must be one of {', '.join(D_NORMS)}, not {self.d_norm}")

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
