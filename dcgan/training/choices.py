"""What a training is to do: its flags, over the settings of the run that goes on or, of a new one, over a recipe's."""

import argparse
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from dcgan.checkpoint import Checkpoint
from dcgan.data import avatars, load_images
from dcgan.data.images import Images
from dcgan.data.sources import DrawnSource, Source, is_drawn, is_film
from dcgan.model import ModelConfig
from dcgan.training.config import RECIPES, RESUMABLE, TrainConfig, configure
from dcgan.training.init import check_shape
from dcgan.training.resume import TrainingError


def flag(name: str, value: object = None) -> str:
    """A setting as it is written on the command line."""
    return f"--{'no-' * (value is False)}{name.replace('_', '-')}"


def choose_settings(
    flags: argparse.Namespace, saved: dict[str, Any], init: Checkpoint | None = None
) -> tuple[ModelConfig, TrainConfig]:
    """The settings from the flags over those of a saved run, or of a recipe. Raises TrainingError if they cannot be."""
    chosen = {name: value for name, value in vars(flags).items() if value is not None}
    if "epochs" in chosen and "max_images" not in chosen:
        chosen["max_images"] = 0
    if saved:
        return configure({**resumed(saved, chosen), **chosen})
    if init:
        settings = {**RECIPES[chosen.get("recipe", "finetune")], **asdict(init.model), **chosen}
        check_shape(init, settings)
        return configure(settings)
    if chosen.get("recipe") == "finetune":
        raise TrainingError("--recipe finetune begins from a checkpoint: give --init, or choose another recipe")
    return configure({**RECIPES[chosen.get("recipe", "best")], **chosen})


def resumed(saved: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that goes on. Raises TrainingError if it was begun with others than are chosen now."""
    data = saved["data"]
    settings = {**saved["model"], **saved["train"], "limit": data.get("limit") or "none"}
    settings["keep_duplicates"] = data.get("keep_duplicates", True)  # as earlier versions did
    settings |= {"crop": data.get("crop", "centre"), "every": data.get("every") or 1.0}
    known = {"limit", "keep_duplicates", "crop", "every"}
    known |= {field.name for field in (*fields(ModelConfig), *fields(TrainConfig))}
    if gone := [f"{name} ({settings[name]})" for name in settings.keys() - known if settings[name]]:
        raise TrainingError(f"cannot resume: this version has no {', '.join(gone)}, which the run was started with")
    fixed = chosen.keys() & known - set(RESUMABLE)
    if changed := sorted(name for name in fixed if chosen[name] != settings.get(name, chosen[name])):
        said = ", ".join(f"{flag(name)} was {settings[name]}, not {chosen[name]}" for name in changed)
        raise TrainingError(f"cannot resume with other settings: {said}. Leave them out, or start a new --out")
    return settings


def unused(flags: argparse.Namespace, model: ModelConfig, config: TrainConfig) -> list[str]:
    """A line for each flag that is given and changes nothing beside the others."""
    idle = {
        "changed_data": not flags.resume and "only a run that goes on (--resume) has other data to compare with",
        "epochs": config.epochs and config.max_images and f"--max-images {config.max_images} decides",
        "penalty_every": not config.r1 + config.r2 and "there is no penalty without --r1 or --r2",
        "adapt": not config.augment and "nothing is altered without --augment",
        "device": not config.ngpu and config.device not in ("auto", "cpu") and "--ngpu 0 is the CPU",
        "d_bias": model.d_norm != "batch" and f"with --d-norm {model.d_norm} all layers have a bias",
    }
    given = {name: getattr(flags, name) for name in idle}
    return [f"{flag(name, given[name])} is not used: {why}" for name, why in idle.items() if why and given[name]]


@dataclass(frozen=True)
class DataChoice:
    """The images to train on, by the flags of these names. said: what is said of them (name, license, limits, hub)."""

    dataroot: str
    drawn: bool
    limit: int | None
    every: float | None
    crop: str
    keep_duplicates: bool
    said: dict[str, str | None]

    @property
    def is_local(self) -> bool:
        """Whether they are files of the user's."""
        return not (self.drawn or self.dataroot.startswith("hf://"))

    def load(self, model: ModelConfig, workers: int, progress: bool) -> Images:
        """The images at the size and in the colours of the networks. Raises DataError."""
        source: str | Source = DrawnSource() if self.drawn else self.dataroot
        how = {"limit": self.limit, "progress": progress, "crop": self.crop, "every": self.every or 1.0}
        images = load_images(source, model.image_size, model.nc, workers, **how)  # type: ignore[arg-type]
        return replace(images, keep_duplicates=self.keep_duplicates)

    def private(self) -> dict[str, Any]:
        """What resuming needs, from any folder, and no checkpoint may say: paths are the maker's own."""
        path = Path(self.dataroot)
        here = str(path.resolve()) if self.is_local and path.exists() else self.dataroot
        return {"dataroot": here, "limit": self.limit}

    def about(self, name: str) -> dict[str, Any]:
        """What config.json says of them besides what was found in them. name: of the images."""
        hub = self.dataroot.removeprefix("hf://datasets/") if self.dataroot.startswith("hf://") else None
        known = {"name": name, "license": None, "limits": None, "hub": hub, "source": None}
        if self.drawn:
            known |= {"name": avatars.NAME, "license": avatars.LICENSE, "source": avatars.SOURCE}
        known |= {key: value for key, value in self.said.items() if value}
        return {**known, "crop": self.crop, "every": self.every}


def choose_data(flags: argparse.Namespace, saved: dict[str, Any], run: Path) -> DataChoice:
    """The images by the flags over those of a saved run. Raises TrainingError if they are gone, or cannot be these."""
    before = saved.get("data", {})
    chosen = {name: getattr(flags, name) or before.get(name) for name in ("dataroot", "limit", "every", "crop")}
    chosen |= {"dataroot": chosen["dataroot"] or avatars.SOURCE, "crop": chosen["crop"] or "centre"}
    dataroot, path = chosen["dataroot"], Path(chosen["dataroot"])
    drawn = is_drawn(dataroot) if flags.dataroot else dataroot == avatars.SOURCE
    said = {key: getattr(flags, f"data_{key}") or before.get(key) for key in ("name", "license", "limits", "hub")}
    data = DataChoice(**chosen, drawn=drawn, keep_duplicates=bool(flags.keep_duplicates), said=said)
    if saved and not flags.dataroot and data.is_local and not path.exists():
        raise TrainingError(f"cannot resume: the images are no longer at '{dataroot}'. Say where with --dataroot")
    if "dataroot" in before and drawn != (before["dataroot"] == avatars.SOURCE):
        raise TrainingError(f"cannot resume on '{dataroot}': the run began with '{before['dataroot']}'")
    if data.is_local and os.path.realpath(path) == os.path.realpath(run):  # Path.resolve fails at links in a circle
        raise TrainingError(f"--dataroot and --out are both '{run}': choose another --out, perhaps a folder in it")
    if flags.every and not is_film(dataroot):
        raise TrainingError(f"--every is for a film, and there is none at '{dataroot}': leave it out")
    return data
