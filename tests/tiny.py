"""Small networks whose weights and BatchNorm statistics are all their own, and checkpoints of them."""

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
