"""A DCGAN for faces: trained by train.py, explored with app.py.

from dcgan import load_checkpoint, sample

checkpoint = load_checkpoint("checkpoints/faces")
images = sample(checkpoint.generator, seeds=range(64))  # uint8 [64, H, W, 3]
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan.checkpoint import Checkpoint, CheckpointError
    from dcgan.model import Discriminator, Generator, ModelConfig
    from dcgan.sampling import sample, sample_batches
    from dcgan.training.loop import train

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


def load_checkpoint(source: str | Path, **hub: Any) -> "Checkpoint":
    """Open a checkpoint folder, the checkpoint of a run folder, or a model on the Hugging Face Hub.

    source: a path or, where there is no such folder, `owner/name[@revision]`, which is fetched into the Hub's cache
    once. hub: revision, token, cache_dir, local_files_only, as huggingface_hub takes them.
    Raises CheckpointError, in one line, if it is missing, damaged or written by a newer version.
    """
    from dcgan.checkpoint import load_checkpoint
    from dcgan.hub.pull import local_folder

    return load_checkpoint(local_folder(source, **hub))


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import dcgan` and `dcgan --help` do not wait for torch.
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    modules = (import_module(f"{__name__}.{module}") for module in ("model", "checkpoint", "sampling", "training.loop"))
    return next(getattr(module, name) for module in modules if hasattr(module, name))
