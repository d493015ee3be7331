"""The training loop: two networks against each other, over images that come without end."""

import os
import shlex
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dcgan.checkpoint import Checkpoint
from dcgan.cli import ENDING, handling
from dcgan.data.images import Images
from dcgan.data.packing import COPIES
from dcgan.data.sources import SHEET, printable
from dcgan.model import ModelConfig
from dcgan.training.adaptive import adapt
from dcgan.training.config import TrainConfig
from dcgan.training.distributed import Ranks, join
from dcgan.training.doctor import Doctor
from dcgan.training.figures import GRID
from dcgan.training.init import begin
from dcgan.training.networks import Networks
from dcgan.training.resume import TrainingError, origin, restore
from dcgan.training.run import Run, rounded
from dcgan.training.schedule import crossed, iterations, penalty_due, rate, snapshot_due
from dcgan.training.signals import Stop
from dcgan.training.step import STATS, capable, check_penalty, stepper

STATS_EVERY = 50  # iterations between two printed lines, as in the tutorial
FEW = 200  # images: of fewer, chance may hold out much more or less than a tenth


def train(
    model: ModelConfig,
    config: TrainConfig,
    images: Images,
    run: Path,
    resume: bool = False,
    name: str = "",
    about_data: dict[str, Any] | None = None,
    private: dict[str, Any] | None = None,
    ranks: Ranks | None = None,
    init: Checkpoint | None = None,
) -> Path:
    """Train on `images` into the folder `run`, and return its checkpoint folder.

    resume: go on from the run's last save, on a CPU bit for bit as if it had never stopped.
    about_data: entries of config.json about the data besides name, count and digest (license, hub, source).
    private: settings of the data that the run folder keeps, but not the checkpoint (dataroot, limit).
    init: a checkpoint with networks of this shape to begin from; resuming needs it no more.
    Prints the tutorial's statistics; saves at every tick and at the end. Ctrl-C, SIGTERM and SIGHUP save and return
    early, the latter two without the figures.
    Raises TrainingError or DataError, before anything is written, if it cannot start, and TrainingError if losses or
    weights are no longer finite or the disk is full: the last save then stands.
    """
    check_penalty(config)
    ranks = capable(ranks or join(config.ngpu, config.batch_size, config.device), model, config)
    nets = Networks(model, config, ranks)  # G, D, EMA of G, their optimizers
    seen = restore(run, nets) if resume else 0
    began = origin(run) if resume else init and begin(nets, init)
    epoch = images.epoch_length(config.batch_size, config.drop_last, ranks.world)
    target = config.max_images or config.epochs * epoch
    nets.set_rates(rate(config, seen, target))
    order = (config.batch_size, config.seed, seen, config.flip, config.drop_last)
    batches = images.batches(*order, ranks.device, ranks.rank, ranks.world)  # uint8 [B, nc, S, S] on the device
    step, doctor, stop, iteration = stepper(nets), Doctor(), Stop(), 0
    pending: list[tuple[int, Tensor]] = []  # images seen and the step's figures, still on the device
    name = name or printable(Path(os.path.realpath(run)).name)
    settings = {"name": name, "model": asdict(model), "train": asdict(config), "data": about_data or {}}
    settings |= {"init": began} if began else {}
    out = Run(run, nets, images, settings)
    say = tqdm.write if ranks.first else lambda line: None

    with (
        out.open(seen, private or {}, resume),
        tqdm(total=target, initial=seen, unit="img", smoothing=0.1, mininterval=1.0, disable=not ranks.first) as bar,
        handling(stop.note, signal.SIGINT, *ENDING),
    ):
        for line in opening_lines(images, seen, target, resume, run / SHEET):
            say(line)
        if out.measure(seen >= target, stop):  # a signal had broken the measurement off
            out.save(seen)
        while seen < target and not ranks.stop(bool(stop), iteration):
            # D: reals up, fakes down. G: the same fakes up. EMA.
            real, before = nets.prepared(next(batches)), seen
            seen += len(real) * ranks.world
            # The whole batch's noise on every rank: how many there are does not change what is drawn.
            noise = ranks.share(torch.randn(seen - before, model.nz, 1, 1, device=ranks.device))
            pending.append((seen, step(real, noise, penalty_due(config, before))))
            nets.average(seen - before, seen)
            bar.update(seen - before)

            iteration = iterations(seen, config.batch_size, epoch)
            line_due = (iteration - 1) % STATS_EVERY == 0
            tick_due = crossed(before, seen, config.tick) or seen >= target
            show_due = tick_due or snapshot_due(before, seen, iteration, target)
            if not (line_due or show_due):
                continue

            # History, snapshot, metrics, doctor, state - in this order.
            out.history += read(pending, nets, out.saved)
            if line_due:
                say(statistics_line(out.history[-1], config, target, epoch))
            if show_due:
                nets.calibrate()
                out.snapshot(seen)
            if not tick_due:
                continue
            remarks = out.measure(seen >= target, stop)
            out.log(out.history[-1])
            since_tick = [row for row in out.history if row["images_seen"] > seen - config.tick]
            remarks += doctor.examine(since_tick, out.faces())
            adapt(nets, images)
            nets.set_rates(rate(config, seen, target))
            out.save(seen)
            for remark in remarks:
                say(remark)

        if seen < target:
            say(f"stopped at {seen:,} of {target:,} images: --out {shlex.quote(str(run))} --resume goes on")
        # What no tick has saved, and the tutorial's figures.
        out.history += read(pending, nets, out.saved)
        nets.calibrate()
        if out.saved != seen:
            out.snapshot(seen)
            out.save(seen)
        if not stop.hurried:
            out.choose_seeds()
            out.draw_figures()
    ranks.any(False)  # so that none ends before the first has written
    return run / "checkpoint"


def opening_lines(images: Images, seen: int, target: int, resume: bool, sheet: Path) -> list[str]:
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
    if resume and seen >= target:
        lines.append(f"{seen:,} images are seen already: give --max-images above that to go on")
    return lines


def read(pending: list[tuple[int, Tensor]], nets: Networks, saved: int | None) -> list[dict[str, float]]:
    """Read the pending iterations from the device at once, as rows of the history, and empty `pending`.

    saved: images seen at the last save. Raises TrainingError if they or the weights are not finite on any rank.
    """
    figures = torch.stack([stats for _, stats in pending]).cpu() if pending else torch.empty(0, len(STATS))
    rows: list[dict[str, float]] = [
        {"images_seen": seen, **dict(zip(STATS, map(rounded, values), strict=True))}
        for (seen, _), values in zip(pending, figures.tolist(), strict=True)
    ]
    pending.clear()
    if nets.ranks.any(not (figures.isfinite().all() and nets.finite())):
        lr, lr_d = nets.config.lr, nets.config.lr_d
        flags = f"--lr {lr / 2:g}" + f" --lr-d {lr_d / 2:g}" * bool(lr_d)
        raise TrainingError(
            f"after {rows[-1]['images_seen']:,} images the losses or the weights are no longer numbers: stopped. "
            f"The state of {saved or 0:,} images is saved: go on from there at a lower rate with --resume {flags}"
        )
    return rows


def statistics_line(row: dict[str, float], config: TrainConfig, target: int, epoch: int) -> str:
    """The tutorial's line: [epoch/epochs][i/n] and the five STATS. epoch: images in an epoch."""
    number, within = divmod(int(row["images_seen"]) - 1, epoch)
    return (
        f"[{number}/{-(-target // epoch)}][{within // config.batch_size}/{-(-epoch // config.batch_size)}]\t"
        f"Loss_D: {row['loss_d']:.4f}\tLoss_G: {row['loss_g']:.4f}\tD(x): {row['d_real']:.4f}\t"
        f"D(G(z)): {row['d_fake']:.4f} / {row['d_fake_after']:.4f}"
    )
