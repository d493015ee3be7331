"""The training loop: two networks against each other, over images that come without end.

What it writes, and resumes from, is in dcgan/runs.py.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
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
from dcgan.training.losses import discriminator_loss, generator_loss, gradient_penalty, lecam_distance, probability
from dcgan.training.malloc import keep_freed_memory
from dcgan.training.networks import RESCUE_RATE, Good, Networks
from dcgan.training.precision import autocast, layout
from dcgan.training.readings import Readings, statistics_line
from dcgan.training.run import TrainingError, Writer, restore
from dcgan.training.signals import stop_signals

STATS_EVERY = 50  # iterations between two printed lines, as in the tutorial
SNAPSHOT_EVERY = 500  # iterations between two fixed-noise grids, as in the tutorial ...
SNAPSHOTS = 52  # ... and so many in a run, however short or long, so that its replay has 60 to 100 frames
EARLY_SNAPSHOTS = (0, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000, 12_500, 15_000, 17_500, 20_000, 22_500)  # images seen
MIN_TOLD = 200  # images: of fewer, chance may hold out much more or less than a tenth
LAST_RATE = 0.1  # of the learning rates, where they decay
ADAPT_STEP = 0.1  # of the images: by so many more or fewer are altered from tick to tick
ANCHOR_DECAY = 0.99  # of LeCam's running averages, for each iteration (Tseng et al. 2021)


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
    ranks: this process's place among others, where there are any.
    Prints the tutorial's statistics; saves at every tick and at the end. Ctrl-C and SIGTERM save and return early, and
    SIGTERM, after which the machine may be gone, draws no figures.
    With `resume` a run goes on from its last save, on a CPU bit for bit as if it had never stopped.
    Raises TrainingError or DataError, before anything is written, when it cannot start.
    """
    ranks = ranks or join(config.ngpu, config.batch_size)
    if ranks.device.type == "cpu":
        keep_freed_memory()
    cast = autocast(config.precision, ranks.device)
    nets = Networks(model, config, ranks.device)
    seen = restore(run, nets, ranks.device) if resume else 0
    nets.spread(ranks)
    epoch_length = images.epoch_length(config.batch_size, config.drop_last, ranks.world)
    target = config.max_images or config.epochs * epoch_length
    nets.slow_down(rate(config, seen, target))
    good = nets.good(seen)
    batches, step = open_batches(images, config, seen, ranks), stepper(nets, config, cast, ranks)
    settings = {"name": name or run.name, "model": asdict(model), "train": asdict(config)}
    writer = Writer(run, nets, images, settings, about_data or {}) if ranks.first else None
    at_work = writer.at_work(seen, private or {}, resume) if writer else contextlib.nullcontext()

    failure, readings, iteration = "", Readings(), 0
    if ranks.first and not 0.05 < (share := images.heldout.mean()) < 0.2 and len(images) >= MIN_TOLD:
        print(f"warning: {share:.0%} of the images are held out, not a tenth: those of one name all are, or none")
    if resume and ranks.first and seen >= target:
        print(f"{seen:,} images are seen already: give --max-images above that to go on")
    with at_work, progress(target, seen, quiet=not ranks.first) as bar, stop_signals() as stop:
        if writer and writer.must_measure(seen >= target):  # a signal had cut it short
            writer.tick(seen, good.state, seen >= target, stop)
        while seen < target and not failure and not ranks.stop(bool(stop), iteration):
            before = seen
            real = normalised(next(batches)).contiguous(memory_format=layout(config.precision, ranks.device))
            seen += len(real) * ranks.world
            # The whole batch's noise on every rank: how many there are does not change what is drawn.
            noise = ranks.share(torch.randn(seen - before, model.nz, 1, 1, device=ranks.device))
            with_penalty = config.r1 + config.r2 > 0 and before // config.batch_size % config.penalty_every == 0
            stats = step(real, noise, with_penalty)
            nets.average(seen - before, config.ema, seen)
            bar.update(seen - before)

            iteration = iterations(seen, config.batch_size, epoch_length)
            line_due = (iteration - 1) % STATS_EVERY == 0
            tick_due = crossed(before, seen, config.tick) or seen >= target
            show_due = tick_due or snapshot_due(before, seen, iteration, target)
            if line_due or tick_due:
                readings.add(seen, nets.health(stats), line_due)
                ready = readings.take(everything=tick_due)
                if ranks.any(not all(reading.healthy for reading in ready)):
                    failure = rescue(nets, good, seen, bar.write)
                    seen = bar.n = good.seen
                    nets.slow_down(rate(config, seen, target))
                    batches, step = open_batches(images, config, seen, ranks), stepper(nets, config, cast, ranks)
                    readings = Readings()  # those still on their way are of steps taken back
                    if writer:
                        writer.rewind(seen)
                    continue
                for reading in ready if writer else ():
                    if reading.to_print:
                        bar.write(statistics_line(reading, config, target, epoch_length))
            if show_due:
                nets.calibrate(cast)
            if tick_due:
                changed = config.augment and config.adapt and adapt(nets, config, images, ranks, cast)
                if nets.slow_down(rate(config, seen, target)) or changed:
                    step = stepper(nets, config, cast, ranks)
                good = nets.good(seen)
            if writer is None:
                continue
            writer.record(seen, stats)
            if show_due:
                writer.snapshot(seen)
            if tick_due:
                writer.tick(seen, good.state, seen >= target, stop)
        nets.calibrate(cast)
        if writer:
            writer.finish(seen, draw=not stop.hurried)
    ranks.wait()
    if failure:
        raise TrainingError(failure)
    return run / "checkpoint"


def rescue(nets: Networks, good: Good, seen: int, say: Callable[[str], Any]) -> str:
    """Take the networks back to their last good state: once with a lower rate; the second time return why to stop."""
    again = nets.rescued
    nets.load_state_dict(good.state)
    went_wrong = f"after {seen:,} images the losses or the weights are no longer numbers"
    if again:
        return (
            f"{went_wrong}, at the lower learning rate too: stopped, with the state of {good.seen:,} images saved. "
            "Start a new run with a lower --lr, with --precision fp32 or with --r1 1"
        )
    nets.rescued = True
    say(f"{went_wrong}: back to the state of {good.seen:,} images, with the learning rate times {RESCUE_RATE}")
    return ""


def rate(config: TrainConfig, seen: int, target: int) -> float:
    """The share of the learning rates that is left after so many images seen of `target`.

    It changes at ticks alone: a recorded step holds the rate it was recorded with.
    """
    left = target - seen // config.tick * config.tick
    return min(1.0, max(left / config.decay, LAST_RATE)) if config.decay else 1.0


def open_batches(images: Images, config: TrainConfig, seen: int, ranks: Ranks) -> Iterator[Tensor]:
    """This rank's batches after so many images seen."""
    order = (config.batch_size, config.seed, seen, config.flip, config.drop_last)
    return images.batches(*order, ranks.device, ranks.rank, ranks.world)


def adapt(nets: Networks, config: TrainConfig, images: Images, ranks: Ranks, cast: Any) -> bool:
    """Alter more of what D sees once it knows the training photos by heart, fewer when not; whether that changed.

    Adaptive augmentation (Karras et al. 2020): few photos need it, and where it is not needed it slows learning.
    """
    with cast():
        more = ranks.same(overfitting(nets, images) > config.adapt)
    before, wanted = nets.altered, nets.altered + (ADAPT_STEP if more else -ADAPT_STEP)
    nets.altered = round(min(max(wanted, 0.0), 1.0), 6)
    return nets.altered != before


@torch.no_grad()
def overfitting(nets: Networks, images: Images, count: int = 256) -> float:
    """How far D takes held-out photos for fakes: r_v of Karras et al. 2020, 0 like training photos, 1 like fakes.

    1 where no photo is held out, to be on the safe side.
    """
    heldout = images.batch(np.flatnonzero(images.heldout)[:count])
    if not len(heldout):
        return 1.0
    device = next(nets.generator.parameters()).device
    noise = torch.randn(count, nets.generator.config.nz, 1, 1, generator=torch.Generator().manual_seed(0)).to(device)
    sets = [normalised(images.some(count).to(device)), normalised(heldout.to(device)), nets.shown.eval()(noise)]
    nets.shown.train(nets.shown is nets.generator)
    discriminator = nets.discriminator.eval()
    seen, unseen, fake = (discriminator(batch).mean().item() for batch in sets)
    discriminator.train()
    return (seen - unseen) / max(seen - fake, 1e-6)


def stepper(nets: Networks, config: TrainConfig, cast: Any, ranks: Ranks | None = None) -> Callable[..., Tensor]:
    """The step as the loop calls it, (real, noise, with_penalty) -> STATS; on one GPU a CUDA graph where that works."""

    def step(real: Tensor, noise: Tensor, with_penalty: bool = False) -> Tensor:
        return adversarial_step(nets, config, real, noise, cast, with_penalty)

    if not nets.on_cuda or (ranks and ranks.world > 1):
        return step
    graphed = GraphedStep(step, nets.tensors, tqdm.write)
    # A step with the penalty is another one than the one recorded.
    return lambda real, noise, penalty=False: step(real, noise, True) if penalty else graphed(real, noise)


def adversarial_step(
    nets: Networks, config: TrainConfig, real: Tensor, noise: Tensor, cast: Any, with_penalty: bool = False
) -> Tensor:
    """One update of D, then one of G on the same fakes. real: [B, nc, S, S] in [-1, 1]; noise: [B, nz, 1, 1].

    Returns the five STATS as a tensor on the device, so that nothing waits for it.
    """

    def judge(images: Tensor, discriminator: nn.Module = nets.trained_d, cast: Any = cast) -> Tensor:
        with cast():
            return discriminator(augment(images, config.augment, nets.altered)).float()

    # D: reals up, fakes down. Apart, so that BatchNorm in D never mixes them.
    with cast():
        fake = nets.trained_g(noise)
    # A penalty differentiates twice, and does so in fp32.
    exactly = contextlib.nullcontext if with_penalty else cast
    real, shown = real.requires_grad_(with_penalty), fake.detach().to(real.dtype).requires_grad_(with_penalty)
    on_real, on_fake = judge(real, cast=exactly), judge(shown, cast=exactly)
    loss_d = discriminator_loss(config.loss, on_real, on_fake)
    total = loss_d
    for weight, images, logits in ((config.r1, real, on_real), (config.r2, shown, on_fake)):
        if with_penalty and weight:
            total = total + weight / 2 * config.penalty_every * gradient_penalty(logits, images)
    if config.lecam:
        total = total + config.lecam * lecam_distance(on_real, on_fake, nets.anchors)
        nets.anchors.lerp_(torch.stack([on_real.mean(), on_fake.mean()]).detach(), 1 - ANCHOR_DECAY)
    nets.opt_d.zero_grad(set_to_none=True)
    total.backward()
    nets.opt_d.step()

    # G: the same fakes up, against the discriminator just updated and now held still.
    critic = nets.discriminator.requires_grad_(False)
    real_again = judge(real.detach(), critic) if config.loss == "relativistic" else None
    on_fake_after = judge(fake, critic)
    loss_g = generator_loss(config.loss, on_fake_after, real_again)
    nets.opt_g.zero_grad(set_to_none=True)
    loss_g.backward()
    nets.opt_g.step()
    critic.requires_grad_(True)

    beliefs = [probability(config.loss, logits.detach()).mean() for logits in (on_real, on_fake, on_fake_after)]
    return torch.stack([loss_d.detach(), loss_g.detach(), *beliefs])


def progress(target: int, seen: int, quiet: bool) -> tqdm:
    """A bar over the images seen, with images/s and the time left."""
    return tqdm(total=target, initial=seen, unit="img", smoothing=0.1, mininterval=1.0, disable=quiet)


def crossed(before: int, seen: int, step: int) -> bool:
    """Whether a multiple of `step` lies in (before, seen]."""
    return before // step != seen // step


def iterations(seen: int, batch_size: int, epoch_length: int) -> int:
    """How many steps showed so many images; the last batch of an epoch may be smaller."""
    epochs, within = divmod(seen, epoch_length)
    return epochs * -(-epoch_length // batch_size) + -(-within // batch_size)


def snapshot_due(before: int, seen: int, iteration: int, target: int) -> bool:
    """Every 500 iterations, at so many steps of the way, and often at the start, when most changes."""
    early = any(before < mark <= seen for mark in EARLY_SNAPSHOTS)
    return early or iteration % SNAPSHOT_EVERY == 0 or crossed(before, seen, max(1, target // SNAPSHOTS))
