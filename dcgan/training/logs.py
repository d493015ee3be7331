"""Curves to TensorBoard, trackio or Weights & Biases, for those who have one of them (--log)."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Log = Callable[[dict[str, float]], None]

LOGS = {"tensorboard": "torch.utils.tensorboard", "trackio": "trackio", "wandb": "wandb"}


def open_log(kind: str, run: Path, settings: dict[str, Any]) -> Log:
    """A function that draws a row of the history, with its images_seen, into curves; for "" it does nothing.

    Raises ValueError, in one line, where the library is not installed.
    """
    if not kind:
        return lambda row: None
    try:
        library = importlib.import_module(LOGS[kind])
    except ImportError:
        raise ValueError(f"--log {kind} needs a library that is not here: pip install {kind}") from None
    if kind == "tensorboard":
        writer = library.SummaryWriter(str(run / "tensorboard"))

        def to_tensorboard(row: dict[str, float]) -> None:
            for name, value in row.items():
                writer.add_scalar(name, value, row["images_seen"])
            writer.flush()

        return to_tensorboard
    library.init(project="dcgan", name=settings["name"], config={**settings["model"], **settings["train"]})
    return library.log
