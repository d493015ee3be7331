"""The tutorial's four pictures: training images, the loss plot, the animation, real beside fake."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from torch import Tensor

from dcgan.course import Snapshot
from dcgan.files import writing
from dcgan.pictures import grid, picture
from dcgan.provenance import packet

GRID = 64  # faces in every grid, 8 x 8


def montage(images: Tensor) -> Image.Image:
    """uint8 images [N, nc, S, S] as one picture without gaps, eight in a row."""
    return picture(grid(images.permute(0, 2, 3, 1).numpy())).convert("RGB")


def save_montage(images: Tensor, path: Path) -> None:
    """The montage as a WebP of about 30 kB."""
    with writing(path) as temporary:
        montage(images).save(temporary, "WEBP", quality=80, method=4, xmp=packet())


def labelled(path: Path, pictures: Sequence[tuple[str, Image.Image]]) -> None:
    """Pictures side by side in one PNG, each under its label."""
    figure = Figure(figsize=(7.5 * len(pictures), 8), layout="tight")
    axes = figure.subplots(1, len(pictures), squeeze=False)
    for axis, (label, image) in zip(axes[0], pictures, strict=True):
        axis.imshow(np.asarray(image), interpolation="nearest")
        axis.set_title(label, fontsize=16)
        axis.axis("off")
    _save(figure, path)


def loss_plot(path: Path, history: list[dict[str, float]]) -> None:
    """Both losses over iterations, as the tutorial plots them, and D(x) with D(G(z)) below."""
    figure = Figure(figsize=(10, 8), layout="tight")
    losses, beliefs = figure.subplots(2, 1, sharex=True)
    losses.set(title="Generator and discriminator loss during training", ylabel="loss")
    beliefs.set(ylabel="probability of real", ylim=(0, 1), xlabel="iterations")
    of_d = {"d_real": "D(x)", "d_fake": "D(G(z)) before", "d_fake_after": "D(G(z)) after"}
    for axis, lines in ((losses, {"loss_g": "G", "loss_d": "D"}), (beliefs, of_d)):
        for key, label in lines.items():
            axis.plot([row[key] for row in history], label=label, linewidth=0.8)
        axis.legend(loc="upper right")
        axis.grid(alpha=0.3)
    _save(figure, path)


def animation(path: Path, snapshots: Sequence[Snapshot], seconds: float = 12.0) -> None:
    """The fixed-noise grids as one animated WebP, each labelled with the images seen; the last one stays a while."""
    frames = []
    for snapshot in snapshots:
        with Image.open(snapshot.path) as faces:
            frame = Image.new("RGB", (faces.width, faces.height + 20), "white")
            frame.paste(faces, (0, 20))
        ImageDraw.Draw(frame).text((6, 4), f"{snapshot.images_seen:,} images seen", "black")
        frames.append(frame)
    each = int(min(1000, 1000 * seconds / len(frames)))
    durations = [each] * (len(frames) - 1) + [2000]
    film = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0}
    with writing(path) as temporary:
        frames[0].save(temporary, "WEBP", quality=75, xmp=packet(), **film)


def _save(figure: Figure, path: Path) -> None:
    with writing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80)
