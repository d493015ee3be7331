"""A DCGAN for faces: trained by train.py, explored with app.py.

from dcgan import load_checkpoint, sample

checkpoint = load_checkpoint("checkpoints/faces")
images = sample(checkpoint.generator, seeds=range(64))  # uint8 [64, H, W, 3]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan.checkpoint import Checkpoint, CheckpointError, load_checkpoint
    from dcgan.model import Discriminator, Generator, ModelConfig
    from dcgan.sampling import sample, sample_batches
    from dcgan.training.loop import train
else:

    def __getattr__(name: str) -> Any:
        # Imported when first asked for, as python -m dcgan.sampling must not find its module imported already.
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        modules = (
            import_module(f"{__name__}.{module}") for module in ("model", "checkpoint", "sampling", "training.loop")
        )
        return next(getattr(module, name) for module in modules if hasattr(module, name))


__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Discriminator",
    "Generator",
    "ModelConfig",
    "load_checkpoint",
    "sample",
    "sample_batches",
    "train",
]
