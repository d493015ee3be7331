"""From latents and seeds to images."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dcgan.latents import latents
from dcgan.model import Discriminator, Generator
from dcgan.pictures import to_uint8

MAX_TRUNCATION = 2.0
Network = TypeVar("Network", bound=Generator | Discriminator)


@torch.inference_mode()
def render(generator: Generator, z: Tensor, batch_size: int = 64) -> Tensor:
    """Latents [N, nz] -> uint8 images [N, nc, S, S] on the CPU."""
    assert not generator.training, "sample in eval mode: in train mode an image changes with its batch"
    weight = next(generator.parameters())
    pieces = []
    for piece in z.split(batch_size):
        count = len(piece)
        if count > 1 and count % 2:  # CPU kernels sum an odd batch's last image in another order, with other rounding
            piece = torch.cat([piece, piece[-1:]])
        images = generator(piece.to(weight.device, weight.dtype)[:, :, None, None])
        pieces.append(to_uint8(images[:count]).cpu())
    return torch.cat(pieces)


def folded(net: Network) -> Network:
    """A copy of a network in eval mode with each BatchNorm multiplied into the convolution before it."""
    assert not net.training, "fold in eval mode"
    copy = deepcopy(net)
    copy.requires_grad_(False)
    layers: list[Any] = []
    for layer in copy.main:
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer, transpose=isinstance(layers[-1], nn.ConvTranspose2d))
        else:
            layers.append(layer)
    copy.main = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    return copy


def sample_batches(
    generator: Generator, seeds: Iterable[int], truncation: float = 1.0, batch_size: int = 64, shift: Tensor | float = 0
) -> Iterator[Tensor]:
    """Yield the images of `sample` in pieces of at most `batch_size`; seeds are read as they are needed."""
    if not 0 <= truncation <= MAX_TRUNCATION:
        raise ValueError(f"truncation goes from 0 to {MAX_TRUNCATION:g}, not to {truncation}")

    def pieces() -> Iterator[Tensor]:
        remaining = iter(seeds)
        while piece := list(islice(remaining, batch_size)):
            z = truncation * latents(piece, generator.config.nz) + shift
            yield render(generator, z, batch_size).permute(0, 2, 3, 1).contiguous()

    return pieces()  # the truncation has been checked before the first of them


def sample(generator: Generator, seeds: Iterable[int], truncation: float = 1.0, shift: Tensor | float = 0) -> Tensor:
    """Images of the seeds, uint8 [N, H, W, nc].

    The same seed gives the same pixels alone and in any batch. truncation: factor of every latent, 0 to 2; below 1,
    images are safer and more alike. shift: added to every latent, such as 2 * direction.vector.
    Raises ValueError for a truncation outside 0 .. 2 or a seed outside 0 .. 2**32 - 1.
    """
    config = generator.config
    empty = torch.empty(0, config.image_size, config.image_size, config.nc, dtype=torch.uint8)
    return torch.cat([empty, *sample_batches(generator, seeds, truncation, shift=shift)])
