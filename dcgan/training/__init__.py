"""Training: from settings and images to a run folder with a checkpoint in it."""

from dcgan.training.config import RECIPES, TrainConfig, configure
from dcgan.training.loop import train
from dcgan.training.resume import TrainingError

__all__ = ["RECIPES", "TrainConfig", "TrainingError", "configure", "train"]
