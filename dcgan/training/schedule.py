"""What is due when in a training: functions of the images seen, so that a resumed run does the same."""

from dcgan.training.config import TrainConfig

SNAPSHOT_EVERY = 500  # iterations between two fixed-noise grids, as in the tutorial ...
SNAPSHOTS = 52  # ... and so many in a run, however short or long, so that its replay has 60 to 100 frames
EARLY_SNAPSHOTS = (0, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000, 12_500, 15_000, 17_500, 20_000, 22_500)  # images seen
LAST_RATE = 0.1  # of the learning rates, where they decay


def rate(config: TrainConfig, seen: int, target: int) -> float:
    """The share of the learning rates in force after `seen` of `target` images. It changes at ticks alone."""
    left = target - seen // config.tick * config.tick
    return min(1.0, max(left / config.decay, LAST_RATE)) if config.decay else 1.0


def penalty_due(config: TrainConfig, before: int) -> bool:
    """Whether the step after `before` images takes the gradient penalty."""
    return config.r1 + config.r2 > 0 and before // config.batch_size % config.penalty_every == 0


def crossed(before: int, seen: int, step: int) -> bool:
    """Whether a multiple of `step` lies in (before, seen]."""
    return before // step != seen // step


def iterations(seen: int, batch_size: int, epoch: int) -> int:
    """The number of steps that `seen` images took, at `epoch` images an epoch, whose last batch may be smaller."""
    epochs, within = divmod(seen, epoch)
    return epochs * -(-epoch // batch_size) + -(-within // batch_size)


def snapshot_due(before: int, seen: int, iteration: int, target: int) -> bool:
    """Every 500 iterations, 52 times in a run, and often at the start, when most changes."""
    early = any(before < mark <= seen for mark in EARLY_SNAPSHOTS)
    return early or iteration % SNAPSHOT_EVERY == 0 or crossed(before, seen, max(1, target // SNAPSHOTS))
