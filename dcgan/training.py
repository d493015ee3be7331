"""The training loop: two networks against each other, over images that come without end.

What it writes, and resumes from, is in dcgan/runs.py.
"""

import contextlib
import copy
import math
import signal
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam
from tqdm import tqdm

from dcgan.augment import ALTERATIONS, augment
from dcgan.convolution import has_bf16, keep_freed_memory
from dcgan.data import Images
from dcgan.losses import LOSSES, discriminator_loss, generator_loss, gradient_penalty, probability
from dcgan.model import Discriminator, Generator, ModelConfig, init_weights
from dcgan.ranks import Ranks, join
from dcgan.runs import Writer, restore

STATS_EVERY = 50  # iterations between two printed lines, as in the tutorial
SNAPSHOT_EVERY = 500  # iterations between two fixed-noise grids, as in the tutorial; there is one at each tick, too
EARLY_SNAPSHOTS = (0, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000, 12_500, 15_000, 17_500, 20_000, 22_500)  # images seen
R1_EVERY = 16  # iterations; the penalty is scaled to match (lazy regularisation, Karras et al. 2020)


def setting(default: Any, text: str, choices: tuple[str, ...] | None = None) -> Any:
    """A dataclass field that train.py turns into a flag."""
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are the tutorial's; RECIPES go past them.

    Raises ValueError, in one line, for a value that makes no sense.
    """

    recipe: str = setting("dcgan", "dcgan: the tutorial's training, in fp32; best: what this project recommends")
    epochs: int = setting(5, "passes over the training images (0: --max-images decides)")
    max_images: int = setting(0, "stop after this many images seen (0: --epochs decides)")
    batch_size: int = setting(128, "images in a training step")
    lr: float = setting(0.0002, "learning rate of both networks' Adam")
    lr_d: float = setting(0.0, "learning rate of the discriminator alone (0: the same)")
    beta1: float = setting(0.5, "Adam's first momentum")
    loss: str = setting("bce", "adversarial loss", LOSSES)
    r1: float = setting(0.0, "weight of the gradient penalty on reals (0: none)")
    flip: bool = setting(False, "mirror half of the training images")
    augment: str = setting("", "alterations of what D sees: any of color,translation,cutout")
    ema: int = setting(0, "half-life, in images, of the averaged generator that is kept (0: keep the raw one)")
    drop_last: bool = setting(False, "leave out the last, smaller batch of an epoch")
    precision: str = setting("fp32", "fp32, bf16, or auto: bf16 where the hardware has it", ("auto", "fp32", "bf16"))
    seed: int = setting(999, "seed of the weights, the noise and the order of the images")
    workers: int = setting(2, "processes that decode images")
    ngpu: int = setting(1, "GPUs to use (0: the CPU)")
    tick: int = setting(25_000, "images between two saves")

    def __post_init__(self) -> None:
        for name, low in {"batch_size": 2, "epochs": 0, "max_images": 0, "workers": 0, "ngpu": 0, "tick": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, not {getattr(self, name)}")
        for name in ("lr", "lr_d", "beta1", "r1", "ema"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be a number from 0 up, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be a whole number from 0 to {2**32 - 1}, not {self.seed}")
        if self.beta1 >= 1:
            raise ValueError(f"beta1 must be below 1, not {self.beta1}")
        if not self.epochs and not self.max_images:
            raise ValueError("nothing to do: epochs and max_images are both 0")
        unknown = [name for name in self.augment.split(",") if name and name not in ALTERATIONS]
        if unknown:
            raise ValueError(f"augment knows {', '.join(ALTERATIONS)}, not {', '.join(unknown)}")


RECIPES: dict[str, dict[str, Any]] = {
    "dcgan": {},
    "best": {
        "epochs": 0,
        "max_images": 400_000,
        "batch_size": 64,
        "lr": 0.0005,
        "flip": True,
        "augment": "translation",
        "ema": 10_000,
        "drop_last": True,
        "precision": "auto",
    },
}

# What may change when a run is resumed; anything else would make it another run.
RESUMABLE = ("epochs", "max_images", "workers", "ngpu", "tick")


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
        self.opt_g = Adam(self.generator.parameters(), config.lr, betas, fused=True)
        self.opt_d = Adam(self.discriminator.parameters(), config.lr_d or config.lr, betas, fused=True)
        self.spread(Ranks())

    def spread(self, ranks: Ranks) -> None:
        """Train over these ranks: the two networks as the step calls them, with gradients averaged over all ranks."""
        self.trained_g, self.trained_d = ranks.wrap(self.generator), ranks.wrap(self.discriminator)

    def _parts(self) -> dict[str, Any]:
        names = ("generator", "discriminator", "shown", "opt_g", "opt_d")
        return {name: getattr(self, name) for name in names}

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

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
    Prints the tutorial's statistics; saves at every tick and at the end. Ctrl-C and SIGTERM save and return early.
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
    order = (config.batch_size, config.seed, seen, config.flip, config.drop_last)
    batches = images.batches(*order, ranks.device, ranks.rank, ranks.world)
    epoch_length = images.epoch_length(config.batch_size, config.drop_last, ranks.world)
    target = config.max_images or config.epochs * epoch_length
    settings = {"name": name or run.name, "model": asdict(model), "train": asdict(config)}
    writer = Writer(run, nets, images, settings, about_data or {}) if ranks.first else None
    if writer:
        writer.start(seen, private or {})

    with stop_signals() as stop, progress(target, seen, quiet=not ranks.first) as bar:
        while seen < target and not ranks.any(bool(stop)):
            before = seen
            real = normalised(next(batches)).contiguous(memory_format=layout(config.precision, ranks.device))
            seen += len(real) * ranks.world
            # The whole batch's noise on every rank: how many there are does not change what is drawn.
            noise = ranks.share(torch.randn(seen - before, model.nz, 1, 1, device=ranks.device))
            with_penalty = config.r1 > 0 and before // config.batch_size % R1_EVERY == 0
            stats = adversarial_step(nets, config, real, noise, cast, with_penalty)
            nets.average(seen - before, config.ema, seen)
            bar.update(seen - before)
            if writer is None:
                continue

            writer.record(seen, stats)
            iteration = iterations(seen, config.batch_size, epoch_length)
            if (iteration - 1) % STATS_EVERY == 0:
                bar.write(statistics_line(seen, config, target, epoch_length, stats))
            if snapshot_due(before, seen, iteration, config.tick):
                writer.snapshot(seen)
            if crossed(before, seen, config.tick) and seen < target:
                writer.save(seen)

    if writer:
        writer.finish(seen)
    ranks.wait()
    return run / "checkpoint"


def adversarial_step(
    nets: Networks, config: TrainConfig, real: Tensor, noise: Tensor, cast: Any, with_penalty: bool = False
) -> Tensor:
    """One update of D, then one of G on the same fakes. real: [B, nc, S, S] in [-1, 1]; noise: [B, nz, 1, 1].

    Returns the five STATS as a tensor on the device, so that nothing waits for it.
    """

    def judge(images: Tensor, discriminator: nn.Module = nets.trained_d, cast: Any = cast) -> Tensor:
        with cast():
            return discriminator(augment(images, config.augment)).float()

    # D: reals up, fakes down. Apart, so that BatchNorm in D never mixes them.
    with cast():
        fake = nets.trained_g(noise)
    seen_by_d = real.requires_grad_(with_penalty)
    # The penalty differentiates twice, and does so in fp32.
    on_real = judge(seen_by_d, cast=contextlib.nullcontext if with_penalty else cast)
    on_fake = judge(fake.detach())
    loss_d = discriminator_loss(config.loss, on_real, on_fake)
    penalty = config.r1 / 2 * R1_EVERY * gradient_penalty(on_real, seen_by_d) if with_penalty else 0.0
    nets.opt_d.zero_grad(set_to_none=True)
    (loss_d + penalty).backward()
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


def normalised(pixels: Tensor) -> Tensor:
    """uint8 [N, nc, S, S] -> [-1, 1]."""
    return pixels.float() / 127.5 - 1


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


def snapshot_due(before: int, seen: int, iteration: int, tick: int) -> bool:
    """Every 500 iterations, at each tick, and often at the start, when most changes."""
    early = any(before < mark <= seen for mark in EARLY_SNAPSHOTS)
    return early or iteration % SNAPSHOT_EVERY == 0 or crossed(before, seen, tick)


def statistics_line(seen: int, config: TrainConfig, target: int, epoch_length: int, stats: Tensor) -> str:
    """The tutorial's line: [epoch/epochs][i/n] and the five figures."""
    loss_d, loss_g, d_real, d_fake, d_fake_after = stats.tolist()
    per_epoch = -(-epoch_length // config.batch_size)
    epoch, within = divmod(seen - 1, epoch_length)
    return (
        f"[{epoch}/{-(-target // epoch_length)}][{within // config.batch_size}/{per_epoch}]\t"
        f"Loss_D: {loss_d:.4f}\tLoss_G: {loss_g:.4f}\tD(x): {d_real:.4f}\t"
        f"D(G(z)): {d_fake:.4f} / {d_fake_after:.4f}"
    )


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that fills when Ctrl-C or SIGTERM arrives, so that the loop ends between two steps and saves."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number: int, _frame: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        tqdm.write("stopping after this step and saving")

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
