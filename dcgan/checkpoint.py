"""The checkpoint folder (see README.md): what training writes and the demo opens. Safetensors and JSON, no pickle.

A save is atomic: a reader sees the old folder or the new one. It may be anybody's: sizes, types and links are checked.
"""

import json
import platform
import shlex
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from dcgan.course import HISTORY, MOMENTS, SNAPSHOTS, Course, Row, Snapshot, list_moments, list_snapshots, read_history
from dcgan.direction import Direction, load_directions, save_directions
from dcgan.errors import UserError, reason
from dcgan.files import opened_tensors, replacing, writing
from dcgan.model import Discriminator, Generator, ModelConfig, fingerprint

Net = TypeVar("Net", bound=nn.Module)

FORMAT = 1
CONFIG = "config.json"
GENERATOR = "generator.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
DIRECTIONS = "directions.safetensors"
CARD = "README.md"
# Patterns of all files of a checkpoint.
FILES = (
    *(CONFIG, GENERATOR, DISCRIMINATOR, DIRECTIONS, HISTORY, CARD),
    *(f"{SNAPSHOTS}/*.webp", f"{MOMENTS}/*.safetensors"),
)
WEIGHTS = (".pth", ".pt", ".ckpt")  # suffixes of other programs' files
STEP = ".step"  # suffix of the tensor that holds the step sizes of int8 kernels
MAX_TEXT = 16 * 2**20  # bytes of a JSON or Markdown file; 2,000 rows of a history take a quarter of a MB
# Types of the fields of config.json; a missing or null field is the type's empty value.
KINDS = {"name": str, "images_seen": int, "model": dict, "train": dict, "data": dict, "metrics": dict, "floor": dict}
KINDS |= {"init": dict}  # what its training began from: name, images_seen, data and, if that too began from one, init
KINDS |= {"seeds": list}  # of faces to begin with
DATA_KINDS = {"name": str, "count": int, "digest": str, "license": str, "limits": str, "hub": str, "source": str}
DATA_KINDS |= {"every": float}


class CheckpointError(UserError):
    """A checkpoint that is missing or cannot be read; the message is one line that says what to do."""


@dataclass
class Checkpoint:
    """An opened checkpoint. `config` is config.json as it stands; `generator` is in eval mode, fp32, on the CPU."""

    folder: Path
    config: dict[str, Any]
    model: ModelConfig
    generator: Generator

    @property
    def name(self) -> str:
        """The name in config.json, or the folder's."""
        return self.config.get("name") or self.folder.name

    @property
    def images_seen(self) -> int:
        """Number of real images that the discriminator has seen."""
        return int(self.config.get("images_seen", 0))

    @property
    def data(self) -> dict[str, Any]:
        """Facts about the training data: name, count, license, hub, source."""
        return self.config.get("data") or {}

    @property
    def licenses(self) -> list[str]:
        """The terms of all data that it was trained on: of its own and of what it began from; "" where not stated."""
        data = self.data, *(init["data"] for init in origins(self.config))
        return list(dict.fromkeys(str(facts.get("license") or "") for facts in data))

    @property
    def terms(self) -> str | None:
        """The `licenses` that are stated, in one line; None if none is."""
        return "; ".join(filter(None, self.licenses)) or None

    @property
    def is_drawn(self) -> bool:
        """Whether it was trained on the built-in drawn faces."""
        return self.data.get("source") == "avatars"

    @property
    def crop(self) -> str:
        """What of the pictures it was trained on: "face", each face in them, or "centre"."""
        return "face" if self.data.get("crop") == "face" else "centre"

    @property
    def every(self) -> float:
        """Seconds between the frames that it was trained on, from 0.01 up; 1 where that was no film."""
        return max(0.01, self.data.get("every") or 1.0)

    @property
    def hub(self) -> str | None:
        """Address of the training data on the Hub, OWNER/NAME[@revision][/file]; None if it is not there."""
        return (self.data.get("hub") or "").removeprefix("hf://datasets/") or None

    @cached_property
    def discriminator(self) -> Discriminator:
        """The discriminator in eval mode, read on first access. Raises CheckpointError if it cannot be read."""
        return load_net(Discriminator, self.model, self.folder / DISCRIMINATOR)

    @cached_property
    def directions(self) -> tuple[Direction, ...]:
        """Named directions of latent space, often none. Raises CheckpointError for damaged ones."""
        path = self.folder / DIRECTIONS
        try:
            return load_directions(path, self.generator) if path.is_file() else ()
        except ValueError as error:
            raise CheckpointError(str(error)) from None

    @cached_property
    def history(self) -> list[Row]:
        """The rows of history.jsonl; empty if there is no such file or it is larger than this program's."""
        path = self.folder / HISTORY
        return read_history(path) if path.is_file() and path.stat().st_size <= MAX_TEXT else []

    @cached_property
    def snapshots(self) -> list[Snapshot]:
        """The fixed-noise grids of the training, oldest first."""
        return list_snapshots(self.folder / SNAPSHOTS)

    @cached_property
    def moments(self) -> list[Snapshot]:
        """The earlier generators that the checkpoint keeps, oldest first; often none."""
        return list_moments(self.folder / MOMENTS)

    @property
    def card(self) -> str:
        """The text of the model card, README.md; empty if there is none or it cannot be read."""
        try:
            return read_text(self.folder / CARD)
        except (OSError, ValueError):
            return ""

    def generator_at(self, moment: Snapshot) -> Generator:
        """The generator of one of `moments`. Raises CheckpointError if it cannot be read."""
        return load_net(Generator, self.model, moment.path)


def origins(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The name, images_seen and data of what a training began from, the nearest first. Raises ValueError for others."""
    found: list[dict[str, Any]] = []
    while init := (found[-1] if found else config).get("init"):
        kinds = {"name": str, "images_seen": int, "data": dict}
        if not (isinstance(init, dict) and all(isinstance(init.get(key), kind) for key, kind in kinds.items())):
            raise ValueError("init is no description of a checkpoint")
        found.append(init)
    return found


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Open a checkpoint folder, or the checkpoint of a run folder.

    Raises CheckpointError if it is missing, damaged, of a newer format, or holds a link that leaves the folder.
    """
    found = _self_or_run(Path(folder))
    if not found:
        raise no_checkpoint(Path(folder))
    folder = found[0].resolve()
    checkpoint_files(folder)
    try:
        config = json.loads(read_text(folder / CONFIG))
        if (version := config["format"]) != FORMAT:
            raise CheckpointError(
                f"'{folder}' has format {str(version)[:20]!r}, this program reads {FORMAT}: update the program"
            )
        known = {f.name for f in fields(ModelConfig)}
        model = ModelConfig(**{k: v for k, v in config["model"].items() if k in known})
        for part, kinds in ((config, KINDS), (config.get("data") or {}, DATA_KINDS)):
            for key, kind in kinds.items():
                if not isinstance(part.get(key) or kind(), int | float if kind is float else kind):  # as JSON has it
                    raise ValueError(f"{key} is no {kind.__name__}")
        origins(config)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise CheckpointError(
            f"'{folder / CONFIG}' is damaged ({reason(error)}); train again or fetch it anew"
        ) from None
    return Checkpoint(folder, config, model, load_net(Generator, model, folder / GENERATOR))


def no_checkpoint(path: Path) -> CheckpointError:
    """The error of a path where no checkpoint is: it says what is there instead, and what makes one of that."""
    if path.is_file() and (path.parent / CONFIG).is_file():
        return CheckpointError(f"'{path}' is a part of a checkpoint: give its folder, '{path.parent}'")
    inside = sorted(path.glob("*.pth"), key=lambda file: "g" not in file.stem.lower())  # netG.pth before netD.pth
    for weights in (path, *inside):
        if weights.suffix in WEIGHTS and weights.is_file():
            command = f"python -m dcgan import {shlex.quote(str(weights))} OUT"
            return CheckpointError(f"no checkpoint at '{path}', but weights of another program: {command} makes one")
    return CheckpointError(f"no checkpoint at '{path}': there is no {CONFIG} in it; train.py --out makes one")


def checkpoint_files(folder: Path) -> list[Path]:
    """The files of the checkpoint in a folder, without anything else that lies there.

    Raises CheckpointError for a link that leaves the folder, but for one of the Hub's cache into its own blobs.
    """
    root = folder.resolve()
    homes = [root]
    if root.parent.name == "snapshots" and root.parents[1].name.startswith("models--"):
        homes.append(root.parents[1] / "blobs")
    files = [path for pattern in FILES for path in sorted(root.glob(pattern)) if path.is_file()]
    for path in files:
        if not any(path.resolve().is_relative_to(home) for home in homes):
            why = "is a link out of the checkpoint, and no such link is followed"
            raise CheckpointError(f"'{path}' {why}: fetch it anew")
    return files


def read_text(path: Path) -> str:
    """The text of a JSON or Markdown file. Raises ValueError if it has more than 16 MiB."""
    if (size := path.stat().st_size) > MAX_TEXT:
        raise ValueError(f"it has {size / 2**20:,.0f} MiB, and such files have less than {MAX_TEXT / 2**20:,.0f}")
    return path.read_text(encoding="utf-8-sig")  # editors may write a byte-order mark


def find_checkpoints(folder: str | Path) -> list[Path]:
    """The checkpoint folders at `folder`: itself, the one of a run, or those one level below, by name."""
    path = Path(folder)
    if found := _self_or_run(path):
        return found
    below = sorted(path.iterdir()) if path.is_dir() else []
    return [found for child in below if child.is_dir() for found in _self_or_run(child)]


def _self_or_run(folder: Path) -> list[Path]:
    try:
        return [f for f in (folder, folder / "checkpoint") if (f / CONFIG).is_file()][:1]
    except PermissionError:
        raise CheckpointError(f"'{folder}' cannot be read: you may not look into it") from None


def save_checkpoint(
    folder: Path,
    generator: Generator,
    discriminator: Discriminator | None,
    config: dict[str, Any],
    card: str,
    course: Course = Course(),  # noqa: B008  # it is frozen
) -> None:
    """Write a whole checkpoint folder, replacing an older one in a single move.

    config: without format and versions. card: the text of README.md. Directions and seeds of the older checkpoint stay
    if its generator had the same weights.
    """
    with replacing(folder) as new:
        with suppress(CheckpointError):  # there is none, or none that can be read
            old = load_checkpoint(folder)
            if "seeds" in old.config and fingerprint(old.generator) == fingerprint(generator):
                config = {"seeds": old.config["seeds"], **config}
        save_net(generator, new / GENERATOR)
        with suppress(ValueError):  # there are none, or they were fitted for other weights
            save_directions(new / DIRECTIONS, load_directions(folder / DIRECTIONS, generator), generator)
        if discriminator:
            save_net(discriminator, new / DISCRIMINATOR)
        course.write(new)
        (new / CARD).write_text(card, encoding="utf-8", errors="replace")
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        _write_config(new / CONFIG, {"format": FORMAT, **config, "versions": versions})


def save_seeds(checkpoint: Checkpoint, seeds: list[int]) -> None:
    """Write the seeds to begin with into a checkpoint's config.json."""
    checkpoint.config["seeds"] = seeds
    with writing(checkpoint.folder / CONFIG) as temporary:
        _write_config(temporary, checkpoint.config)


def _write_config(path: Path, config: dict[str, Any]) -> None:
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def save_net(net: nn.Module, path: Path) -> None:
    """Write the weights of a network in fp16, with their fingerprint."""
    state = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file(state, path, {"fingerprint": fingerprint(net)})
    with suppress(OSError):  # a disk without permissions
        path.chmod(0o644)  # safetensors writes 0o600


def load_net(kind: type[Net], model: ModelConfig, path: Path) -> Net:
    """Read a file of `save_net`: the network in eval mode, fp32, frozen, on the CPU.

    Earlier versions wrote generators of the time machine in int8, with a step size for each input channel.
    Raises CheckpointError if the file is missing, damaged, of another shape, or has weights that are not finite.
    """
    try:
        with opened_tensors(path) as file:
            known = (file.metadata() or {}).get("fingerprint")
            state: dict[str, Tensor] = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118  # it is no dict
        sizes = {k.removesuffix(STEP): state.pop(k) for k in list(state) if k.endswith(STEP)}
        net = built(kind, model, state | {k: state[k].float().mul_(size) for k, size in sizes.items()})
        if known not in (None, fingerprint(net)):
            raise ValueError("its weights are not those that were saved")
    except FileNotFoundError:
        raise CheckpointError(f"'{path}' is missing: the checkpoint is incomplete, fetch or train it anew") from None
    except (SafetensorError, RuntimeError, ValueError, KeyError, OSError) as error:
        raise CheckpointError(f"'{path}' is damaged ({reason(error)}); fetch or train it anew") from None
    return net


def built(kind: type[Net], model: ModelConfig, state: dict[str, Tensor]) -> Net:
    """The network of that shape with these weights, in eval mode, fp32, frozen, on the CPU.

    Raises ValueError, in one line, if the weights are of another shape, or not finite.
    """
    with torch.device("meta"):  # a huge shape takes no memory unless there are weights of that shape
        net = kind(model)
    expected = net.state_dict()
    shapes, theirs = ({name: [*value.shape] for name, value in found.items()} for found in (expected, state))
    for name in sorted(shapes | theirs):
        if shapes.get(name) != theirs.get(name):
            raise ValueError(f"{name} is {theirs.get(name, 'missing')}, not {shapes.get(name, 'known')}")
    if not all(value.isfinite().all() for value in state.values()):
        raise ValueError("it holds weights that are not finite")
    net.load_state_dict({name: value.to(expected[name].dtype) for name, value in state.items()}, assign=True)
    return net.eval().requires_grad_(False)
