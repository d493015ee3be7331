"""Small networks, checkpoints of them, and the networks of the tutorial."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from dcgan.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dcgan.course import Course, Snapshot, list_snapshots
from dcgan.model import Discriminator, Generator, ModelConfig

TINY = ModelConfig(image_size=16, nz=6, ngf=4, ndf=4)


def networks(config: ModelConfig = TINY, seed: int = 0) -> tuple[Generator, Discriminator]:
    """An untrained pair in eval mode whose pictures have full contrast."""
    torch.manual_seed(seed)
    generator, discriminator = Generator(config), Discriminator(config)
    for module in [*generator.modules(), *discriminator.modules()]:
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average of all batches
    with torch.no_grad():
        generator.main[-2].weight.mul_(3)  # type: ignore[union-attr, operator]
        for _ in range(4):
            discriminator(generator(torch.randn(8, config.nz, 1, 1)))
    return generator.eval(), discriminator.eval()


def save(
    folder: Path,
    nets: tuple[Generator, Discriminator] | None = None,
    history: Iterable[dict[str, float]] = (),
    snapshots: Path = Path("none"),
    moments: Iterable[Snapshot] = (),
    **config: object,
) -> Checkpoint:
    """Save and open a checkpoint."""
    generator, discriminator = nets or networks()
    whole = {"name": "tiny", "model": asdict(generator.config), "images_seen": 640, **config}
    course = Course(list(history), list_snapshots(snapshots), list(moments))
    save_checkpoint(folder, generator, discriminator, whole, "# tiny", course)
    return load_checkpoint(folder)


def tutorial_nets(nc: int, nz: int, ngf: int, ndf: int) -> tuple[nn.Sequential, nn.Sequential]:
    """The two networks of the PyTorch DCGAN tutorial, layer by layer as there, for 64 px; D ends in a sigmoid."""

    def up(before: int, after: int, stride: int = 2, padding: int = 1) -> tuple[nn.Module, ...]:
        convolution = nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False)
        return convolution, nn.BatchNorm2d(after), nn.ReLU(True)

    def down(before: int, after: int) -> tuple[nn.Module, ...]:
        convolution = nn.Conv2d(before, after, 4, 2, 1, bias=False)
        return convolution, nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)

    generator = nn.Sequential(
        *up(nz, ngf * 8, 1, 0),
        *up(ngf * 8, ngf * 4),
        *up(ngf * 4, ngf * 2),
        *up(ngf * 2, ngf),
        nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        *down(ndf, ndf * 2),
        *down(ndf * 2, ndf * 4),
        *down(ndf * 4, ndf * 8),
        nn.Conv2d(ndf * 8, 1, 4, 1, 0, bias=False),
        nn.Sigmoid(),
    )
    return generator, discriminator
