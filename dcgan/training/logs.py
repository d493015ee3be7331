"""Curves to TensorBoard, trackio or Weights & Biases, for those who have one of them (--log)."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Log = Callable[[int, dict[str, float]], None]

LOGS = {"tensorboard": "torch.utils.tensorboard", "trackio": "trackio", "wandb": "wandb"}


def open_log(kind: str, run: Path, settings: dict[str, Any]) -> Log:
    """A function (images seen, figures) -> None that draws curves; one that does nothing for "".

    Raises ValueError, in one line, where the library is not installed.
    """
    if not kind:
        return lambda seen, figures: None
    try:
        library = importlib.import_module(LOGS[kind])
    except ImportError:
        raise ValueError(f"--log {kind} needs a library that is not here: pip install {kind}") from None
    if kind == "tensorboard":
        writer = library.SummaryWriter(str(run / "tensorboard"))

        def to_tensorboard(seen: int, figures: dict[str, float]) -> None:
            for name, value in figures.items():
                writer.add_scalar(name, value, seen)
            writer.flush()

        return to_tensorboard
    library.init(project="dcgan", name=settings["name"], config={**settings["model"], **settings["train"]})
    return lambda seen, figures: library.log({**figures, "images_seen": seen})
