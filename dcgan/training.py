"""The training loop: two networks against each other, over images that come without end.

What it writes, and resumes from, is in dcgan/runs.py.
"""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from dcgan.augment import ALTERATIONS, augment, names
from dcgan.convolution import has_bf16
from dcgan.cudagraph import GraphedStep
from dcgan.data import Images
from dcgan.latents import latents
from dcgan.logs import LOGS
from dcgan.losses import LOSSES, discriminator_loss, generator_loss, gradient_penalty, lecam_distance, probability
from dcgan.malloc import keep_freed_memory
from dcgan.model import Discriminator, Generator, ModelConfig, init_weights
from dcgan.pixels import normalised
from dcgan.ranks import Ranks, join
from dcgan.runs import TrainingError, Writer, restore
from dcgan.signals import stop_signals

STATS_EVERY = 50  # iterations between two printed lines, as in the tutorial
SNAPSHOT_EVERY = 500  # iterations between two fixed-noise grids, as in the tutorial ...
SNAPSHOTS = 52  # ... and so many in a run, however short or long, so that its replay has 60 to 100 frames
EARLY_SNAPSHOTS = (0, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000, 12_500, 15_000, 17_500, 20_000, 22_500)  # images seen
MIN_TOLD = 200  # images: of fewer, chance may hold out much more or less than a tenth
LAST_RATE = 0.1  # of the learning rates, where they decay
RESCUE_RATE = 0.5  # of the learning rate, after a step that broke the networks
CALIBRATION_SEEDS = range(2_000_000, 2_000_512)  # the noise that BatchNorm's statistics are taken from
ADAPT_STEP = 0.1  # of the images: by so many more or fewer are altered from tick to tick
ANCHOR_DECAY = 0.99  # of LeCam's running averages, for each iteration (Tseng et al. 2021)


def setting(default: Any, text: str, choices: tuple[str, ...] | None = None) -> Any:
    """A dataclass field that train.py turns into a flag."""
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are the tutorial's; RECIPES go past them.

    Raises ValueError, in one line, for a value that makes no sense.
    """

    recipe: str = setting(
        "dcgan", "dcgan: the tutorial's training, in fp32; best: what this project recommends", ("dcgan", "best")
    )
    epochs: int = setting(5, "passes over the training images (0: --max-images decides)")
    max_images: int = setting(0, "stop after this many images seen (0: --epochs decides)")
    batch_size: int = setting(128, "images in a training step")
    lr: float = setting(0.0002, "learning rate of both networks' Adam")
    lr_d: float = setting(0.0, "learning rate of the discriminator alone (0: the same)")
    decay: int = setting(0, "images at the end over which, tick by tick, the learning rates fall to a tenth (0: none)")
    beta1: float = setting(0.5, "Adam's first momentum")
    loss: str = setting("bce", "adversarial loss", LOSSES)
    r1: float = setting(0.0, "weight of the penalty on D's gradient at reals (0: none)")
    r2: float = setting(0.0, "weight of the penalty on D's gradient at fakes (0: none)")
    penalty_every: int = setting(16, "iterations between two gradient penalties, scaled to match")
    lecam: float = setting(0.0, "weight that ties D's outputs to their running averages, for few photos (0: none)")
    flip: bool = setting(False, "mirror half of the training images")
    augment: str = setting("", "alterations of what D sees: any of color,translation,cutout")
    adapt: float = setting(0.0, "alter only as many as keep D's overfitting (ADA's r_v) below this (0: alter all)")
    ema: int = setting(0, "half-life, in images, of the averaged generator that is kept (0: keep the raw one)")
    drop_last: bool = setting(False, "leave out the last, smaller batch of an epoch")
    precision: str = setting("fp32", "fp32, bf16, or auto: bf16 where the hardware has it", ("auto", "fp32", "bf16"))
    seed: int = setting(999, "seed of the weights, the noise and the order of the images")
    workers: int = setting(2, "processes that decode images")
    ngpu: int = setting(1, "GPUs to use (0: the CPU)")
    tick: int = setting(25_000, "images between two saves")
    quality: int = setting(0, "ticks between two measurements of quality; the best is kept (0: none, the last is kept)")
    moments: int = setting(0, "generators to keep from along the way, for the demo's time machine (0: none)")
    log: str = setting("", "also draw the curves with one of " + ", ".join(LOGS) + ", if installed", ("", *LOGS))

    def __post_init__(self) -> None:
        least = {"batch_size": 2, "epochs": 0, "max_images": 0, "workers": 0, "ngpu": 0, "tick": 1}
        least |= {"penalty_every": 1, "quality": 0, "moments": 0, "decay": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, not {getattr(self, name)}")
        for name in ("lr", "lr_d", "beta1", "r1", "r2", "lecam", "adapt", "ema"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be a number from 0 up, not {getattr(self, name)}")
        for name, choices in ((f.name, f.metadata["choices"]) for f in fields(self)):
            if choices and getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be a whole number from 0 to {2**32 - 1}, not {self.seed}")
        if self.beta1 >= 1:
            raise ValueError(f"beta1 must be below 1, not {self.beta1}")
        if not self.epochs and not self.max_images:
            raise ValueError("nothing to do: epochs and max_images are both 0")
        unknown = [name for name in names(self.augment) if name not in ALTERATIONS]
        if unknown:
            raise ValueError(f"augment knows {', '.join(ALTERATIONS)}, not {', '.join(unknown)}")


# What a recipe sets in ModelConfig and TrainConfig.
RECIPES: dict[str, dict[str, Any]] = {
    "dcgan": {"recipe": "dcgan"},
    "best": {
        "recipe": "best",
        "d_bias": True,
        "epochs": 0,
        "max_images": 400_000,
        "batch_size": 32,
        "lr": 0.0005,
        "flip": True,
        "augment": "translation",
        "adapt": 0.3,
        "ema": 10_000,
        "drop_last": True,
        "precision": "auto",
        "quality": 4,
        "moments": 12,
    },
}


def configure(settings: dict[str, Any]) -> tuple[ModelConfig, TrainConfig]:
    """The settings of the networks and of their training, from one dictionary; what it leaves out is the tutorial's.

    Raises ValueError, in one line, for a value that makes no sense.
    """
    kinds = [
        {f.name: settings[f.name] for f in fields(kind) if f.name in settings} for kind in (ModelConfig, TrainConfig)
    ]
    return ModelConfig(**kinds[0]), TrainConfig(**kinds[1])


# What may change when a run is resumed; anything else would make it another run.
RESUMABLE = ("epochs", "max_images", "decay", "workers", "ngpu", "tick", "quality", "moments", "log")


class Networks:
    """Generator, discriminator, the generator's running average, and both optimizers."""

    def __init__(self, model: ModelConfig, config: TrainConfig, device: torch.device):
        torch.manual_seed(config.seed)
        self.generator, self.discriminator = Generator(model), Discriminator(model)
        for net in (self.generator, self.discriminator):
            init_weights(net)
            net.to(device).to(memory_format=layout(config.precision, device))
        # The net that snapshots, metrics and the checkpoint show: the average, or the generator as trained.
        self.shown = self.generator
        if config.ema:
            self.shown = copy.deepcopy(self.generator).eval().requires_grad_(False)
        betas = (config.beta1, 0.999)
        self.on_cuda = device.type == "cuda"
        # The tutorial's recipe keeps PyTorch's plain Adam, which rounds in another order than the fused one.
        adam = partial(Adam, betas=betas, fused=config.recipe != "dcgan", capturable=self.on_cuda)
        self.rates = (config.lr, config.lr_d or config.lr)
        self.opt_g = adam(self.generator.parameters(), self.rates[0])
        self.opt_d = adam(self.discriminator.parameters(), self.rates[1])
        self.anchors = torch.zeros(2, device=device)  # LeCam's averages of D's outputs for reals and for fakes
        self.altered = 0.0 if config.adapt else 1.0  # share of the images that D sees altered
        self.rescued = False
        self.spread(Ranks())

    def spread(self, ranks: Ranks) -> None:
        """Train over these ranks: the two networks as the step calls them, with gradients averaged over all ranks."""
        self.trained_g, self.trained_d = ranks.wrap(self.generator), ranks.wrap(self.discriminator)

    def _parts(self) -> dict[str, Any]:
        names = ("generator", "discriminator", "shown", "opt_g", "opt_d")
        return {name: getattr(self, name) for name in names}

    def state_dict(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {**parts, "anchors": self.anchors, "altered": self.altered, "rescued": self.rescued}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.anchors.copy_(state.get("anchors", self.anchors))
        self.altered = state.get("altered", self.altered)
        self.rescued = state.get("rescued", False)
        for optimizer in (self.opt_g, self.opt_d):  # the state may come from another kind of device
            optimizer.param_groups[0]["capturable"] = self.on_cuda

    def slow_down(self, share: float) -> bool:
        """Set the learning rates to this share of the configured ones, less after a rescue; whether that is new."""
        before = self.opt_g.param_groups[0]["lr"]
        for optimizer, full in zip((self.opt_g, self.opt_d), self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = full * share * (RESCUE_RATE if self.rescued else 1)
        return self.opt_g.param_groups[0]["lr"] != before

    def tensors(self) -> list[Tensor]:
        """All that a training step changes."""
        nets = [tensor for net in (self.generator, self.discriminator) for tensor in net.state_dict().values()]
        adams = [s for adam in (self.opt_g, self.opt_d) for state in adam.state.values() for s in state.values()]
        return [*nets, *adams, self.anchors]

    def good(self, seen: int) -> "Good":
        """A copy of the state that the networks are in."""
        return Good(seen, copy.deepcopy(self.state_dict()))

    def health(self, stats: Tensor) -> Tensor:
        """The STATS of the last step, and a NaN behind them unless all weights since are finite: [6], on the device."""
        parameters = [p.detach() for net in (self.generator, self.discriminator) for p in net.parameters()]
        return torch.cat([stats, torch.stack(torch._foreach_norm(parameters)).sum()[None] * 0])

    @torch.no_grad()
    def average(self, batch_size: int, half_life: int, seen: int) -> None:
        """Move the shown generator towards the trained one, BatchNorm's statistics too (EMA).

        Early in the run the half-life is shorter, a tenth of the images seen, so that the start is soon forgotten.
        """
        if self.shown is self.generator:
            return
        weight = 1 - 0.5 ** (batch_size / max(min(half_life, seen / 10), 1e-8))
        source, target = self.generator.state_dict(), self.shown.state_dict()
        floats = [name for name, value in source.items() if value.is_floating_point()]
        torch._foreach_lerp_([target[name] for name in floats], [source[name] for name in floats], weight)
        for name in source.keys() - floats:
            target[name].copy_(source[name])

    def calibrate(self, cast: Any = contextlib.nullcontext) -> None:
        """Take the shown generator's BatchNorm statistics anew, where it is an average: averaged weights have
        statistics of their own, which the average of statistics only resembles (Izmailov et al. 2018).
        """
        if self.shown is not self.generator:
            noise = latents(CALIBRATION_SEEDS, self.shown.config.nz)[:, :, None, None]
            with cast():
                update_bn(noise.split(128), self.shown, next(self.shown.parameters()).device)


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


@dataclass(frozen=True)
class Good:
    """A state of the networks, whole and finite: to be saved, or to go back to."""

    seen: int
    state: dict[str, Any]


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


def in_bf16(precision: str, device: torch.device) -> bool:
    """Whether the networks run in bfloat16; weights stay fp32."""
    return precision == "bf16" or (precision == "auto" and has_bf16(device))


def autocast(precision: str, device: torch.device) -> Any:
    """A context manager factory that runs the networks in the chosen precision."""
    if in_bf16(precision, device):
        return lambda: torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext


def layout(precision: str, device: torch.device) -> torch.memory_format:
    """Channels last is faster in bfloat16 alone; in fp32 the tutorial's layout sums in the tutorial's order."""
    return torch.channels_last if in_bf16(precision, device) else torch.contiguous_format


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


def statistics_line(reading: "Reading", config: TrainConfig, target: int, epoch_length: int) -> str:
    """The tutorial's line: [epoch/epochs][i/n] and the five figures."""
    loss_d, loss_g, d_real, d_fake, d_fake_after, _ = reading.figures
    per_epoch = -(-epoch_length // config.batch_size)
    epoch, within = divmod(reading.seen - 1, epoch_length)
    return (
        f"[{epoch}/{-(-target // epoch_length)}][{within // config.batch_size}/{per_epoch}]\t"
        f"Loss_D: {loss_d:.4f}\tLoss_G: {loss_g:.4f}\tD(x): {d_real:.4f}\t"
        f"D(G(z)): {d_fake:.4f} / {d_fake_after:.4f}"
    )


class Reading:
    """A step's figures on their way from the device."""

    def __init__(self, seen: int, values: Tensor, to_print: bool):
        self.seen, self.to_print, self.values = seen, to_print, values
        self.arrived = None
        if values.device.type == "cuda":
            self.values = torch.empty(values.shape, pin_memory=True).copy_(values, non_blocking=True)
            self.arrived = torch.cuda.Event()
            self.arrived.record()

    @cached_property
    def figures(self) -> list[float]:
        """As plain numbers; waits for them."""
        if self.arrived:
            self.arrived.synchronize()
        return self.values.tolist()

    @property
    def healthy(self) -> bool:
        """Whether all are numbers. What is not can no longer be trained."""
        return all(map(math.isfinite, self.figures))


class Readings:
    """Figures that are read without stopping a GPU: one reading late, when they have long arrived."""

    def __init__(self) -> None:
        self.waiting: list[Reading] = []

    def add(self, seen: int, values: Tensor, to_print: bool) -> None:
        self.waiting.append(Reading(seen, values, to_print))

    def take(self, everything: bool) -> list[Reading]:
        """Those that can be read without waiting, or everything."""
        late = [] if everything or self.waiting[-1].arrived is None else [self.waiting.pop()]
        ready, self.waiting = self.waiting, late
        return ready
