"""--log: curves in TensorBoard, trackio or Weights & Biases."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dcgan.errors import reason

Log = Callable[[dict[str, float]], None]

LOGS = {"tensorboard": "torch.utils.tensorboard", "trackio": "trackio", "wandb": "wandb"}


def open_log(kind: str, run: Path, settings: dict[str, Any]) -> Log:
    """Return a function that logs a row of the history; for "" it does nothing. What fails to be logged is lost.

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
    else:
        library.init(project="dcgan", name=settings["name"], config={**settings["model"], **settings["train"]})

    def log(row: dict[str, float]) -> None:
        try:
            if kind == "tensorboard":
                for name, value in row.items():
                    writer.add_scalar(name, value, row["images_seen"])
                writer.flush()
            else:
                library.log(row)
        except Exception as error:  # whatever it raises: the training goes on
            tqdm.write(f"--log {kind} has lost a row: {reason(error)}")

    return log
