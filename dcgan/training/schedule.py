"""What is due when in a training: by the images seen alone, so that a resumed run does the same."""

from dataclasses import dataclass

from dcgan.training.config import TrainConfig

STATS_EVERY = 50  # iterations between two printed lines, as in the tutorial
SNAPSHOT_EVERY = 500  # iterations between two fixed-noise grids, as in the tutorial ...
SNAPSHOTS = 52  # ... and so many in a run, however short or long, so that its replay has 60 to 100 frames
EARLY_SNAPSHOTS = (0, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000, 12_500, 15_000, 17_500, 20_000, 22_500)  # images seen
LAST_RATE = 0.1  # of the learning rates, where they decay


@dataclass(frozen=True)
class Schedule:
    """The schedule of a training with `epoch` images in an epoch. before, seen: the images seen around a step."""

    config: TrainConfig
    epoch: int

    @property
    def target(self) -> int:
        """Images seen at the end."""
        return self.config.max_images or self.config.epochs * self.epoch

    def rate(self, seen: int) -> float:
        """The share of the learning rates in force after `seen` images. It changes at ticks alone."""
        config = self.config
        left = self.target - seen // config.tick * config.tick
        return min(1.0, max(left / config.decay, LAST_RATE)) if config.decay else 1.0

    def iteration(self, seen: int) -> int:
        """The number of steps that `seen` images took; the last batch of an epoch may be smaller."""
        epochs, within = divmod(seen, self.epoch)
        return epochs * -(-self.epoch // self.config.batch_size) + -(-within // self.config.batch_size)

    def penalty_due(self, before: int) -> bool:
        """Whether a step takes the gradient penalty."""
        config = self.config
        return config.r1 + config.r2 > 0 and before // config.batch_size % config.penalty_every == 0

    def line_due(self, seen: int) -> bool:
        """Whether the statistics of a step are printed."""
        return (self.iteration(seen) - 1) % STATS_EVERY == 0

    def snapshot_due(self, before: int, seen: int) -> bool:
        """Whether a grid is drawn: at ticks, every 500 iterations, 52 times in a run, and often at its start."""
        early = any(before < mark <= seen for mark in EARLY_SNAPSHOTS)
        evenly = crossed(before, seen, max(1, self.target // SNAPSHOTS))
        regularly = self.iteration(seen) % SNAPSHOT_EVERY == 0
        return early or evenly or regularly or self.tick_due(before, seen)

    def tick_due(self, before: int, seen: int) -> bool:
        """Whether the training is measured, examined and saved: at every tick, and at the end."""
        return crossed(before, seen, self.config.tick) or seen >= self.target

    def anything_due(self, before: int, seen: int) -> bool:
        """Whether a step is followed by any of these."""
        return self.line_due(seen) or self.snapshot_due(before, seen)


def crossed(before: int, seen: int, step: int) -> bool:
    """Whether a multiple of `step` lies in (before, seen]."""
    return before // step != seen // step
