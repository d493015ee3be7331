"""What a training prints before its first step, and every 50 iterations."""

from pathlib import Path

from dcgan.course import Row
from dcgan.data.images import Images
from dcgan.data.packing import COPIES
from dcgan.metrics.quality import MIN_IMAGES
from dcgan.training.figures import GRID
from dcgan.training.schedule import Schedule

FEW = 200  # images: of fewer, chance may hold out much more or less than a tenth


def opening_lines(images: Images, schedule: Schedule, seen: int, resume: bool, sheet: Path) -> list[str]:
    """Lines to print before the first step. sheet: of faces, where the images are cropped to them."""
    share, lines = images.heldout.mean(), []
    if images.copies:
        how = "used all the same" if images.keep_duplicates else "used once; --keep-duplicates uses all"
        where = f" ({images.folder / COPIES})" if images.folder else ""
        lines.append(f"{images.copies:,} images show the same as others{where}: {how}")
    lines.append(f"{len(images.training):,} images to train on, {images.heldout.sum():,} held out to measure with")
    if sheet.exists() and not resume:
        lines.append(f"{sheet} shows {min(GRID, len(images.training))} of them")
    if len(images) >= FEW and not 0.05 < share < 0.2:
        together = "of one photo, or showing the same," if images.split else "of one name"
        lines.append(f"warning: {share:.0%} of the images are held out, not a tenth: those {together} all are, or none")
    if schedule.config.quality and len(images) < MIN_IMAGES:
        lines.append(f"quality is measured from {MIN_IMAGES} images on: the last generator is kept, not the best")
    if resume and seen >= schedule.target:
        lines.append(f"{seen:,} images are seen already: give --max-images above that to go on")
    return lines


def statistics_line(row: Row, schedule: Schedule) -> str:
    """The tutorial's line: [epoch/epochs][i/n] and the five STATS."""
    epoch, batch = schedule.epoch, schedule.config.batch_size
    number, within = divmod(int(row["images_seen"]) - 1, epoch)
    return (
        f"[{number}/{-(-schedule.target // epoch)}][{within // batch}/{-(-epoch // batch)}]\t"
        f"Loss_D: {row['loss_d']:.4f}\tLoss_G: {row['loss_g']:.4f}\tD(x): {row['d_real']:.4f}\t"
        f"D(G(z)): {row['d_fake']:.4f} / {row['d_fake_after']:.4f}"
    )
