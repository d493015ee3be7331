"""A DCGAN for faces: trained by train.py, explored with app.py.

from dcgan import load_checkpoint, sample

checkpoint = load_checkpoint("checkpoints/faces")
images = sample(checkpoint.generator, seeds=range(64))  # uint8 [64, H, W, 3]
"""

from dcgan.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from dcgan.generate import sample, sample_batches
from dcgan.model import Discriminator, Generator, ModelConfig

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Discriminator",
    "Generator",
    "ModelConfig",
    "load_checkpoint",
    "sample",
    "sample_batches",
]
