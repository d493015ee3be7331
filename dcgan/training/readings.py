"""The figures of a training step, on their way from the device to the screen."""

import math
from functools import cached_property

import torch
from torch import Tensor

from dcgan.training.config import TrainConfig


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


def statistics_line(reading: Reading, config: TrainConfig, target: int, epoch_length: int) -> str:
    """The tutorial's line: [epoch/epochs][i/n] and the five figures."""
    loss_d, loss_g, d_real, d_fake, d_fake_after, _ = reading.figures
    per_epoch = -(-epoch_length // config.batch_size)
    epoch, within = divmod(reading.seen - 1, epoch_length)
    return (
        f"[{epoch}/{-(-target // epoch_length)}][{within // config.batch_size}/{per_epoch}]\t"
        f"Loss_D: {loss_d:.4f}\tLoss_G: {loss_g:.4f}\tD(x): {d_real:.4f}\t"
        f"D(G(z)): {d_fake:.4f} / {d_fake_after:.4f}"
    )
