"""All that a training step changes: both networks, the running average of the generator, and the optimizers."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.swa_utils import update_bn

from dcgan.convolution import has_bf16
from dcgan.latents import latents
from dcgan.model import Discriminator, Generator, ModelConfig, init_weights
from dcgan.pictures import normalised
from dcgan.training.config import TrainConfig
from dcgan.training.distributed import Ranks

Net = TypeVar("Net", bound=nn.Module)

CALIBRATION_SEEDS = range(2_000_000, 2_000_512)  # the noise that BatchNorm's statistics are computed from


class Networks:
    """Generator, discriminator, the generator's running average, and both optimizers.

    shown: the generator that snapshots, metrics and the checkpoint show, averaged (config.ema) or as trained.
    altered: the share of the images that the discriminator sees altered, 0 to 1.
    """

    def __init__(self, model: ModelConfig, config: TrainConfig, ranks: Ranks | None = None):
        self.config, self.ranks = config, ranks or Ranks()
        self.device = self.ranks.device
        on_cuda = self.device.type == "cuda"
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and has_bf16(self.device))
        # Channels last is faster in bfloat16 alone; in fp32 the tutorial's layout sums in the tutorial's order.
        self.layout = torch.channels_last if self.bf16 else torch.contiguous_format
        torch.manual_seed(config.seed)
        self.generator, self.discriminator = Generator(model), Discriminator(model)
        for net in (self.generator, self.discriminator):
            init_weights(net)
            net.to(self.device).to(memory_format=self.layout)
        self.shown = self.generator
        if config.ema:
            self.shown = copy.deepcopy(self.generator).eval().requires_grad_(False)
        # The tutorial's recipe keeps PyTorch's plain Adam, which rounds in another order than the fused one.
        adam = partial(Adam, betas=(config.beta1, 0.999), fused=config.recipe != "dcgan", capturable=on_cuda)
        self.opt_g = adam(self.generator.parameters(), config.lr)
        self.opt_d = adam(self.discriminator.parameters(), config.lr_d or config.lr)
        self.altered = 0.0 if config.adapt else 1.0

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("generator", "discriminator", "shown", "opt_g", "opt_d")}

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs, as tensors and numbers."""
        return {**{name: part.state_dict() for name, part in self._parts().items()}, "altered": self.altered}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned, on whatever device that was."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.altered = state["altered"]
        for optimizer in (self.opt_g, self.opt_d):
            optimizer.param_groups[0]["capturable"] = self.device.type == "cuda"

    def cast(self, enabled: bool = True) -> torch.autocast:
        """A context in which the networks compute in bfloat16, where the settings say so; weights stay fp32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled and self.bf16)

    def prepared(self, pixels: Tensor) -> Tensor:
        """uint8 images in [-1, 1] and in the networks' memory layout."""
        return normalised(pixels).contiguous(memory_format=self.layout)

    @property
    def rates(self) -> tuple[float, float]:
        """The learning rates of G and D in force."""
        return self.opt_g.param_groups[0]["lr"], self.opt_d.param_groups[0]["lr"]

    def set_rates(self, share: float) -> None:
        """Set the learning rates to this share of the configured ones."""
        self.opt_g.param_groups[0]["lr"] = self.config.lr * share
        self.opt_d.param_groups[0]["lr"] = (self.config.lr_d or self.config.lr) * share

    def finite(self) -> bool:
        """Whether all weights and BatchNorm statistics are finite."""
        nets = {self.generator, self.discriminator, self.shown}
        checks = [value.isfinite().all() for net in nets for value in net.state_dict().values()]
        return bool(torch.stack(checks).all())  # waits for the device once

    @torch.no_grad()
    def average(self, batch_size: int, seen: int) -> None:
        """Move the shown generator, BatchNorm statistics too, towards the trained one: an exponential moving average.

        Its half-life is config.ema images, or a tenth of the images seen if that is less.
        """
        if self.shown is self.generator:
            return
        weight = 1 - 0.5 ** (batch_size / min(self.config.ema, seen / 10))
        for shown, trained in zip(self.shown.state_dict().values(), self.generator.state_dict().values(), strict=True):
            if shown.is_floating_point():
                shown.lerp_(trained, weight)
            else:
                shown.copy_(trained)

    def calibrate(self) -> None:
        """Compute the BatchNorm statistics of an averaged generator anew: those of its weights are not the average of
        statistics (Izmailov et al. 2018).
        """
        if self.shown is not self.generator:
            noise = latents(CALIBRATION_SEEDS, self.shown.config.nz)[:, :, None, None]
            with self.cast():
                update_bn(noise.split(128), self.shown, self.device)


@contextmanager
def evaluating(net: Net) -> Iterator[Net]:
    """The network in eval mode within the block, and afterwards in the mode that it was in."""
    training = net.training
    try:
        yield net.eval()
    finally:
        net.train(training)
