"""The tutorial's four pictures: training images, the loss plot, the animation, real beside fake."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.utils import make_grid

from dcgan.checkpoint import Snapshot, writing

matplotlib.use("Agg")  # a training machine has no screen
from matplotlib import pyplot as plt

GRID = 64  # faces in every grid, 8 x 8


def montage(images: Tensor, columns: int = 8) -> Image.Image:
    """uint8 images [N, nc, S, S] as one picture without gaps, row by row."""
    grid = make_grid(images, nrow=columns, padding=0)
    return Image.fromarray(grid.permute(1, 2, 0).numpy())


def save_montage(images: Tensor, path: Path) -> None:
    """The montage as a WebP of about 30 kB."""
    with writing(path) as temporary:
        montage(images).save(temporary, "WEBP", quality=80, method=4)


def labelled(path: Path, pictures: Sequence[tuple[str, Image.Image]]) -> None:
    """Pictures side by side in one PNG, each under its label."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(7.5 * len(pictures), 8), squeeze=False)
    for axis, (label, picture) in zip(axes[0], pictures, strict=True):
        axis.imshow(np.asarray(picture), interpolation="nearest")
        axis.set_title(label, fontsize=16)
        axis.axis("off")
    _save(figure, path)


def loss_plot(path: Path, history: list[dict[str, float]]) -> None:
    """Both losses over iterations, as the tutorial plots them, and D(x) with D(G(z)) below."""
    figure, (losses, beliefs) = plt.subplots(2, 1, figsize=(10, 8), sharex=True)
    losses.set_title("Generator and discriminator loss during training")
    for axis, lines in (
        (losses, {"loss_g": "G", "loss_d": "D"}),
        (beliefs, {"d_real": "D(x)", "d_fake": "D(G(z)) before", "d_fake_after": "D(G(z)) after"}),
    ):
        for key, label in lines.items():
            axis.plot([row[key] for row in history], label=label, linewidth=0.8)
        axis.legend(loc="upper right")
        axis.grid(alpha=0.3)
    losses.set_ylabel("loss")
    beliefs.set_ylabel("probability of real")
    beliefs.set_ylim(0, 1)
    beliefs.set_xlabel("iterations")
    _save(figure, path)


def animation(path: Path, snapshots: Sequence[Snapshot], seconds: float = 12.0) -> None:
    """The fixed-noise grids as one animated WebP, each labelled with the images seen; the last one stays a while."""
    frames = []
    for snapshot in snapshots:
        with Image.open(snapshot.path) as grid:
            frame = Image.new("RGB", (grid.width, grid.height + 20), "white")
            frame.paste(grid, (0, 20))
        ImageDraw.Draw(frame).text((6, 4), f"{snapshot.images_seen:,} images seen", "black")
        frames.append(frame)
    each = int(min(1000, 1000 * seconds / len(frames)))
    durations = [each] * (len(frames) - 1) + [2000]
    with writing(path) as temporary:
        frames[0].save(
            temporary, "WEBP", save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=75
        )


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    with writing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80)
    plt.close(figure)
