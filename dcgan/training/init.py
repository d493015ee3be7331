"""A training that begins from the networks of a checkpoint, in place of random ones."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from dcgan.checkpoint import DISCRIMINATOR, Checkpoint, CheckpointError, load_checkpoint
from dcgan.hub.pull import local_folder
from dcgan.training.networks import Networks
from dcgan.training.resume import TrainingError


def open_init(source: str | Path, saved: dict[str, Any]) -> Checkpoint:
    """Open what --init names: a checkpoint folder, a run, or owner/name[@revision] on the Hub.

    saved: the settings of the run that goes on, {} for a new one. Raises TrainingError for what cannot be begun from.
    """
    if saved and not saved.get("init"):
        raise TrainingError("cannot resume with --init: the run began from nothing. Leave it out, or start a new --out")
    advice = "; resuming needs it no more: leave it out" if saved else ""
    try:
        checkpoint = load_checkpoint(local_folder(source))
        if not (checkpoint.folder / DISCRIMINATOR).is_file():
            remedy = "begin from a checkpoint with both networks (dcgan import takes netD.pth too)"
            raise TrainingError(f"--init: '{source}' has no discriminator, which training goes on with: {remedy}")
        _ = checkpoint.discriminator  # is read
    except CheckpointError as error:
        raise TrainingError(f"--init: {error}{advice}") from None
    if saved and described(checkpoint) != saved["init"]:
        began = f"'{saved['init']['name']}' after {saved['init']['images_seen']:,} images"
        raise TrainingError(f"cannot resume with another --init: it was {began}, not '{source}'{advice}")
    return checkpoint


def described(init: Checkpoint) -> dict[str, Any]:
    """What config.json says of a checkpoint that a training began from, and of the one that this had begun from."""
    data = {key: init.data.get(key) for key in ("name", "count", "license", "hub", "source")}
    return {"name": init.name, "images_seen": init.images_seen, "data": data, "init": init.config.get("init")}


def check_shape(init: Checkpoint, settings: dict[str, Any]) -> None:
    """Raise TrainingError unless the settings are for networks of the checkpoint's shape."""
    if wrong := {name: value for name, value in asdict(init.model).items() if settings[name] != value}:
        said = ", ".join(f"--{name.replace('_', '-')} {value}, not {settings[name]}" for name, value in wrong.items())
        raise TrainingError(f"the networks of --init have {said}: leave it out, or begin from another checkpoint")


def begin(nets: Networks, init: Checkpoint | None) -> dict[str, Any] | None:
    """Load the networks of a checkpoint, if there is one, the averaged generator too. Returns what is said of it."""
    if not init:
        return None
    for net in (nets.generator, nets.shown):
        net.load_state_dict(init.generator.state_dict())
    nets.discriminator.load_state_dict(init.discriminator.state_dict())
    return described(init)
