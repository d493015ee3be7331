"""How good the generator is as a training goes on: measured at some ticks, and kept where it is the best so far."""

from collections.abc import Sequence
from typing import Any

from dcgan.course import Row
from dcgan.data.images import Images
from dcgan.device import own_randomness, with_float64
from dcgan.metrics.features import MetricError
from dcgan.metrics.quality import MIN_IMAGES, Quality
from dcgan.training.networks import Networks, evaluating
from dcgan.training.signals import Stop
from dcgan.training.step import STATS

TIE = 1.01  # relative tolerance: a later generator within 1 % of the best measure replaces it


class Grades:
    """Measures the shown generator of a training. quality: what it is measured with; None before the first time."""

    def __init__(self, nets: Networks, images: Images):
        self.nets, self.images = nets, images
        self.quality: Quality | None = None

    def measure(self, history: list[Row], last: bool, stop: Stop) -> list[str]:
        """Measure the generator, if that is due, into the history's last row. Returns a line to print, if it was.

        last: whether training is over. Leaves the training's random numbers as they are; a signal ends it.
        """
        every = self.nets.config.tick * self.nets.config.quality
        before, seen = [0, 0, *(row["images_seen"] for row in history[-2:])][-2:]
        due = history and every and (last or seen // every != before // every)
        if not (self.nets.ranks.first and due and len(self.images) >= MIN_IMAGES) or measured(history):
            return []
        with own_randomness(self.nets.device):
            figures = stop.unless(self._figures) or {}
        history[-1] |= figures
        return [f"after {seen:,} images: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items())] if figures else []

    def _figures(self) -> dict[str, float]:
        try:
            self.quality = self.quality or Quality(self.images, with_float64(self.nets.device))
        except MetricError:  # most of the images are copies
            return {}
        with evaluating(self.nets.shown) as generator:
            return {name: rounded(value) for name, value in self.quality(generator).items()}

    def floor(self) -> dict[str, Any]:
        """The figures of real images, their number n and which they are; {} before the first measurement."""
        if self.quality is None:
            return {}
        against = self.quality.against
        about = {"n": len(self.quality.real), **({} if against == "held-out" else {"against": against})}
        return about | {name: rounded(value) for name, value in self.quality.floor.items()}


def measured(history: Sequence[Row]) -> dict[str, float]:
    """The quality measured after the last iteration; {} if it was not."""
    last = history[-1] if history else {}
    return {name: value for name, value in last.items() if name not in STATS and name != "images_seen"}


def is_best(history: Sequence[Row]) -> bool:
    """Whether the last measure is as good as the best so far; True if nothing was measured."""
    grades = [next((row[key] for key in Quality.KEYS if key in row), None) for row in history]
    taken = [grade for grade in grades if grade is not None]
    return not taken or (grades[-1] is not None and grades[-1] <= TIE * min(taken))


def rounded(value: float) -> float:
    """To five significant digits, as figures are saved."""
    return float(f"{value:.5g}")
