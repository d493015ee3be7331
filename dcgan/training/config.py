"""The settings of a training, and the recipes."""

from dataclasses import dataclass, fields
from typing import Any

from dcgan.latents import MAX_SEED
from dcgan.model import ModelConfig, check_settings, setting
from dcgan.training.augment import ALTERATIONS, names
from dcgan.training.logs import LOGS
from dcgan.training.losses import LOSSES


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are the tutorial's; RECIPES go past them. Raises ValueError for senseless values."""

    recipe: str = setting(
        "dcgan",
        "dcgan: the tutorial's training, in fp32; best: what this project recommends; finetune: gently, from --init, "
        "where it is the default",
        ("dcgan", "best", "finetune"),
    )
    epochs: int = setting(5, "passes over the training images (0: --max-images decides)")
    max_images: int = setting(0, "stop after this many images seen (0: --epochs decides)")
    batch_size: int = setting(128, "images in a training step", least=2)
    lr: float = setting(0.0002, "learning rate of both networks' Adam")
    lr_d: float = setting(0.0, "learning rate of the discriminator alone (0: the same)")
    decay: int = setting(0, "images at the end over which, tick by tick, the learning rates fall to a tenth (0: none)")
    beta1: float = setting(0.5, "Adam's first momentum")
    loss: str = setting("bce", "adversarial loss", LOSSES)
    r1: float = setting(0.0, "weight of the penalty on D's gradient at reals (0: none)")
    r2: float = setting(0.0, "weight of the penalty on D's gradient at fakes (0: none)")
    penalty_every: int = setting(16, "iterations between two gradient penalties, scaled to match", least=1)
    flip: bool = setting(False, "mirror half of the training images")
    augment: str = setting("", "alterations of what D sees: any of color,translation,cutout ('' for none)")
    adapt: float = setting(0.0, "alter only as many as keep D's overfitting (ADA's r_v) below this (0: all)")
    ema: int = setting(0, "half-life, in images, of the averaged generator that is kept (0: the raw one)")
    drop_last: bool = setting(False, "leave out the last, smaller batch of an epoch")
    precision: str = setting("fp32", "fp32, bf16, or auto: bf16 where the hardware has it", ("auto", "fp32", "bf16"))
    seed: int = setting(999, "seed of the weights, the noise and the order of the images", most=MAX_SEED)
    workers: int = setting(2, "processes that decode images")
    ngpu: int = setting(1, "GPUs to use (0: the CPU; several: NVIDIA's)")
    device: str = setting("auto", "auto, cpu, or an accelerator as torch calls it: cuda, cuda:1, mps, xpu")
    tick: int = setting(25_000, "images between two saves", least=1)
    quality: int = setting(0, "ticks between two measurements of quality; the best is kept (0: none, the last is kept)")
    moments: int = setting(0, "generators to keep from along the way, for the demo's time machine (0: none)")
    log: str = setting("", "also draw the curves with one of " + ", ".join(LOGS) + ", if installed", ("", *LOGS))

    def __post_init__(self) -> None:
        check_settings(self)
        if self.beta1 >= 1:
            raise ValueError(f"beta1 must be below 1, not {self.beta1}")
        if not self.epochs and not self.max_images:
            raise ValueError("nothing to do: epochs and max_images are both 0")
        if unknown := [name for name in names(self.augment) if name not in ALTERATIONS]:
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
RECIPES["finetune"] = {
    **RECIPES["best"],
    **{"recipe": "finetune", "lr": 0.0001, "max_images": 50_000, "tick": 2_500, "quality": 1},
}


# What may change when a run is resumed; anything else would make it another run.
RESUMABLE = (
    *("epochs", "max_images", "lr", "lr_d", "decay", "tick", "quality", "moments"),
    *("workers", "ngpu", "device", "log"),
)


def configure(settings: dict[str, Any]) -> tuple[ModelConfig, TrainConfig]:
    """The settings of the networks and of their training, from one dictionary; what it leaves out is the tutorial's."""
    model, train = (
        {f.name: settings[f.name] for f in fields(kind) if f.name in settings} for kind in (ModelConfig, TrainConfig)
    )
    return ModelConfig(**model), TrainConfig(**train)
