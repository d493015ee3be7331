"""The settings of a training, and the recipes."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from dcgan.model import ModelConfig
from dcgan.training.augment import ALTERATIONS, names
from dcgan.training.logs import LOGS
from dcgan.training.losses import LOSSES


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


# What may change when a run is resumed; anything else would make it another run.
RESUMABLE = ("epochs", "max_images", "decay", "workers", "ngpu", "tick", "quality", "moments", "log")


def configure(settings: dict[str, Any]) -> tuple[ModelConfig, TrainConfig]:
    """The settings of the networks and of their training, from one dictionary; what it leaves out is the tutorial's.

    Raises ValueError, in one line, for a value that makes no sense.
    """
    kinds = [
        {f.name: settings[f.name] for f in fields(kind) if f.name in settings} for kind in (ModelConfig, TrainConfig)
    ]
    return ModelConfig(**kinds[0]), TrainConfig(**kinds[1])
