"""--log: curves in TensorBoard, trackio or Weights & Biases."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Log = Callable[[dict[str, float]], None]

LOGS = {"tensorboard": "torch.utils.tensorboard", "trackio": "trackio", "wandb": "wandb"}


def open_log(kind: str, run: Path, settings: dict[str, Any]) -> Log:
    """Return a function that logs a row of the history, which has its images_seen; for "" it does nothing.

    Raises ValueError if the library is not installed.
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
