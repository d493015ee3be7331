"""The training loop: two networks against each other, over images that come without end."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from dcgan.data.images import Images
from dcgan.model import ModelConfig
from dcgan.pictures import normalised
from dcgan.training.augment import augment
from dcgan.training.config import TrainConfig
from dcgan.training.cudagraph import GraphedStep
from dcgan.training.distributed import Ranks, join
from dcgan.training.doctor import Doctor
from dcgan.training.losses import discriminator_loss, generator_loss, gradient_penalty, probability
from dcgan.training.networks import Networks
from dcgan.training.resume import TrainingError, restore
from dcgan.training.run import STATS, Run, evaluating, rounded
from dcgan.training.signals import stop_signals

STATS_EVERY = 50  # iterations between two printed lines, as in the tutorial
SNAPSHOT_EVERY = 500  # iterations between two fixed-noise grids, as in the tutorial ...
SNAPSHOTS = 52  # ... and so many in a run, however short or long, so that its replay has 60 to 100 frames
EARLY_SNAPSHOTS = (0, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000, 12_500, 15_000, 17_500, 20_000, 22_500)  # images seen
FEW = 200  # images: of fewer, chance may hold out much more or less than a tenth
LAST_RATE = 0.1  # of the learning rates, where they decay
ADAPT_STEP = 0.1  # of the images: by so many more or fewer are altered from tick to tick


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
) -> Path:
    """Train on `images` into the folder `run`, and return its checkpoint folder.

    about_data: what config.json says of the data besides name, count and digest (license, hub, source).
    private: what the run folder, but not the checkpoint, remembers of the data (dataroot, limit).
    ranks: this process's rank among others, where there are any.
    Prints the tutorial's statistics; saves at every tick and at the end. Ctrl-C and SIGTERM save and return early;
    after SIGTERM, when the machine may soon be gone, no figures are drawn. With `resume` a run goes on from its last
    save, on a CPU bit for bit as if it had never stopped.
    Raises TrainingError or DataError, before anything is written, when it cannot start, and TrainingError where the
    losses or the weights are no longer numbers or the disk is full: the last save then stands.
    """
    ranks = ranks or join(config.ngpu, config.batch_size)
    nets = Networks(model, config, ranks)  # G, D, EMA of G, their optimizers
    seen = restore(run, nets) if resume else 0
    epoch = images.epoch_length(config.batch_size, config.drop_last, ranks.world)
    target = config.max_images or config.epochs * epoch
    nets.set_rates(rate(config, seen, target))
    order = (config.batch_size, config.seed, seen, config.flip, config.drop_last)
    batches = images.batches(*order, ranks.device, ranks.rank, ranks.world)  # uint8 [B, nc, S, S] on the device
    step, doctor, iteration = stepper(nets), Doctor(), 0
    pending: list[tuple[int, Tensor]] = []  # images seen and the step's figures, still on the device
    settings = {"name": name or run.name, "model": asdict(model), "train": asdict(config), "data": about_data or {}}
    out = Run(run, nets, images, settings)
    say = tqdm.write if ranks.first else lambda line: None

    with (
        out.open(seen, private or {}, resume),
        tqdm(total=target, initial=seen, unit="img", smoothing=0.1, mininterval=1.0, disable=not ranks.first) as bar,
        stop_signals() as stop,
    ):
        for line in warnings(images, seen, target, resume):
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

        # What no tick has saved, and the tutorial's figures.
        out.history += read(pending, nets, out.saved)
        nets.calibrate()
        if out.saved != seen:
            out.snapshot(seen)
            out.save(seen)
        if not stop.hurried:
            out.draw_figures()
    ranks.any(False)  # so that none ends before the first has written
    return run / "checkpoint"


def warnings(images: Images, seen: int, target: int, resume: bool) -> list[str]:
    """Lines that a maker should read before the first step."""
    share, lines = images.heldout.mean(), []
    if len(images) >= FEW and not 0.05 < share < 0.2:
        lines.append(
            f"warning: {share:.0%} of the images are held out, not a tenth: those of one name all are, or none"
        )
    if resume and seen >= target:
        lines.append(f"{seen:,} images are seen already: give --max-images above that to go on")
    return lines


def read(pending: list[tuple[int, Tensor]], nets: Networks, saved: int | None) -> list[dict[str, float]]:
    """The pending iterations as rows of the history, read from the device at once; `pending` is emptied.

    saved: images seen at the last save. Raises TrainingError where they or the weights are not finite on any rank.
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
    """The tutorial's line: [epoch/epochs][i/n] and the five figures. epoch: images in an epoch."""
    number, within = divmod(int(row["images_seen"]) - 1, epoch)
    return (
        f"[{number}/{-(-target // epoch)}][{within // config.batch_size}/{-(-epoch // config.batch_size)}]\t"
        f"Loss_D: {row['loss_d']:.4f}\tLoss_G: {row['loss_g']:.4f}\tD(x): {row['d_real']:.4f}\t"
        f"D(G(z)): {row['d_fake']:.4f} / {row['d_fake_after']:.4f}"
    )


def stepper(nets: Networks) -> Callable[[Tensor, Tensor, bool], Tensor]:
    """`adversarial_step` of these networks, (real, noise, with_penalty) -> STATS; on one GPU as a CUDA graph."""
    step = partial(adversarial_step, nets)
    if nets.device.type != "cuda" or nets.ranks.world > 1:
        return step
    return GraphedStep(step, nets.config.batch_size, lambda: (nets.altered, nets.rates), tqdm.write)


def adversarial_step(nets: Networks, real: Tensor, noise: Tensor, with_penalty: bool = False) -> Tensor:
    """One update of D, then one of G on the same fakes. real: [B, nc, S, S] in [-1, 1]; noise: [B, nz, 1, 1].

    Returns the five STATS as a tensor on the device, so that nothing waits for it.
    """
    config = nets.config

    def judge(images: Tensor, discriminator: nn.Module = nets.trained_d, exactly: bool = False) -> Tensor:
        with nets.cast(not exactly):
            return discriminator(augment(images, config.augment, nets.altered)).float()

    # D: reals up, fakes down. Apart, so that BatchNorm in D never mixes them. A penalty differentiates twice, in fp32.
    nets.discriminator.requires_grad_(True)
    with nets.cast():
        fake = nets.trained_g(noise)
    real, shown = real.requires_grad_(with_penalty), fake.detach().to(real.dtype).requires_grad_(with_penalty)
    on_real, on_fake = judge(real, exactly=with_penalty), judge(shown, exactly=with_penalty)
    loss_d = total = discriminator_loss(config.loss, on_real, on_fake)
    for weight, images, logits in ((config.r1, real, on_real), (config.r2, shown, on_fake)):
        if with_penalty and weight:
            total = total + weight / 2 * config.penalty_every * gradient_penalty(logits, images)
    nets.opt_d.zero_grad(set_to_none=True)
    total.backward()
    nets.opt_d.step()

    # G: the same fakes up, against the discriminator just updated and now held still.
    nets.discriminator.requires_grad_(False)
    real_again = judge(real.detach(), nets.discriminator) if config.loss == "relativistic" else None
    on_fake_after = judge(fake, nets.discriminator)
    loss_g = generator_loss(config.loss, on_fake_after, real_again)
    nets.opt_g.zero_grad(set_to_none=True)
    loss_g.backward()
    nets.opt_g.step()

    beliefs = [probability(config.loss, logits.detach()).mean() for logits in (on_real, on_fake, on_fake_after)]
    return torch.stack([loss_d.detach(), loss_g.detach(), *beliefs])


def adapt(nets: Networks, images: Images) -> None:
    """Alter more of what D sees once it knows the training images by heart, fewer when not.

    Adaptive augmentation (Karras et al. 2020): few photos need it, and where it is not needed it slows learning.
    """
    if nets.config.augment and nets.config.adapt:
        more = nets.ranks.any(nets.ranks.first and overfitting(nets, images) > nets.config.adapt)
        nets.altered = round(min(max(nets.altered + (ADAPT_STEP if more else -ADAPT_STEP), 0.0), 1.0), 6)


@torch.no_grad()
def overfitting(nets: Networks, images: Images, count: int = 256) -> float:
    """How far D takes held-out images for fakes: r_v of Karras et al. 2020, 0 like training images, 1 like fakes.

    1 where no image is held out, to be on the safe side.
    """
    heldout = images.batch(np.flatnonzero(images.heldout)[:count])
    if not len(heldout):
        return 1.0
    noise = torch.randn(count, nets.generator.config.nz, 1, 1, generator=torch.Generator().manual_seed(0))
    with nets.cast(), evaluating(nets.shown) as generator, evaluating(nets.discriminator) as discriminator:
        fakes = generator(noise.to(nets.device))
        sets = normalised(images.some(count).to(nets.device)), normalised(heldout.to(nets.device)), fakes
        seen, unseen, fake = (discriminator(batch).mean().item() for batch in sets)
    return (seen - unseen) / max(seen - fake, 1e-6)


def rate(config: TrainConfig, seen: int, target: int) -> float:
    """The share of the learning rates that is left after so many images seen of `target`. It changes at ticks alone."""
    left = target - seen // config.tick * config.tick
    return min(1.0, max(left / config.decay, LAST_RATE)) if config.decay else 1.0


def penalty_due(config: TrainConfig, before: int) -> bool:
    """Whether the step after so many images seen takes the gradient penalty."""
    return config.r1 + config.r2 > 0 and before // config.batch_size % config.penalty_every == 0


def crossed(before: int, seen: int, step: int) -> bool:
    """Whether a multiple of `step` lies in (before, seen]."""
    return before // step != seen // step


def iterations(seen: int, batch_size: int, epoch: int) -> int:
    """How many steps showed so many images, of `epoch` in an epoch, whose last batch may be smaller."""
    epochs, within = divmod(seen, epoch)
    return epochs * -(-epoch // batch_size) + -(-within // batch_size)


def snapshot_due(before: int, seen: int, iteration: int, target: int) -> bool:
    """Every 500 iterations, at so many steps of the way, and often at the start, when most changes."""
    early = any(before < mark <= seen for mark in EARLY_SNAPSHOTS)
    return early or iteration % SNAPSHOT_EVERY == 0 or crossed(before, seen, max(1, target // SNAPSHOTS))
