"""From seeds to pictures."""

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from dcgan.latents import latents
from dcgan.model import Generator


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] -> 0 .. 255, with a fixed range: no picture's contrast depends on its neighbours."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


@torch.inference_mode()
def render(generator: Generator, z: Tensor, batch_size: int = 64) -> Tensor:
    """Latents [N, nz] -> uint8 images [N, nc, S, S] on the CPU. The generator must be in eval mode."""
    assert not generator.training, "sample in eval mode: in train mode a face changes with the batch around it"
    weight = next(generator.parameters())
    pieces = [
        to_uint8(generator(piece.to(weight.device, weight.dtype)[:, :, None, None])).cpu()
        for piece in z.split(batch_size)
    ]
    size = generator.config.image_size
    return torch.cat(pieces) if len(pieces) else torch.empty(0, generator.config.nc, size, size, dtype=torch.uint8)


def sample_batches(
    generator: Generator, seeds: Iterable[int], truncation: float = 1.0, batch_size: int = 64
) -> Iterator[Tensor]:
    """Like `sample`, but in pieces of at most `batch_size` images, so that memory does not grow with the seeds."""
    remaining = iter(seeds)
    while chunk := list(islice(remaining, batch_size)):
        images = render(generator, truncation * latents(chunk, generator.config.nz), batch_size)
        yield images.permute(0, 2, 3, 1).contiguous()


def sample(generator: Generator, seeds: Iterable[int], truncation: float = 1.0) -> Tensor:
    """Images of the seeds, uint8 [N, H, W, nc].

    The same seed gives the same pixels alone and in any batch. `truncation` below 1 draws every latent
    towards the origin: safer, more alike faces.
    """
    pieces = list(sample_batches(generator, seeds, truncation))
    config = generator.config
    empty = torch.empty(0, config.image_size, config.image_size, config.nc, dtype=torch.uint8)
    return torch.cat([empty, *pieces])
