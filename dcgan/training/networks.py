"""All that a training step changes: both networks, the average that is kept, and their optimizers."""

import contextlib
import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.swa_utils import update_bn

from dcgan.latents import latents
from dcgan.model import Discriminator, Generator, ModelConfig, init_weights
from dcgan.training.config import TrainConfig
from dcgan.training.distributed import Ranks
from dcgan.training.precision import layout

RESCUE_RATE = 0.5  # of the learning rate, after a step that broke the networks
CALIBRATION_SEEDS = range(2_000_000, 2_000_512)  # the noise that BatchNorm's statistics are taken from


@dataclass(frozen=True)
class Good:
    """A state of the networks, whole and finite: to be saved, or to go back to."""

    seen: int
    state: dict[str, Any]


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

    def good(self, seen: int) -> Good:
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
