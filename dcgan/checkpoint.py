"""The checkpoint folder: what training writes and the demo opens. Safetensors and JSON, never a pickle.

A folder is complete in itself (see README.md, "The checkpoint folder"), here and on the Hub alike. It is written beside
its place under a temporary name and then moved there, so that a reader never sees half of one.
"""

import filecmp
import json
import math
import os
import platform
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dcgan.direction import Direction, load_directions
from dcgan.files import reason, replacing, writing
from dcgan.model import Discriminator, Generator, ModelConfig, fingerprint

Net = TypeVar("Net", bound=nn.Module)

FORMAT = 1
CONFIG = "config.json"
GENERATOR = "generator.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
DIRECTIONS = "directions.safetensors"
HISTORY = "history.jsonl"
SNAPSHOTS = "snapshots"
MOMENTS = "generators"
STEP = ".step"  # ends the name of a step's size, beside the int8 kernels that are counted in it
MAX_HISTORY = 2_000
MAX_SNAPSHOTS = 100
MAX_TEXT = 16 * 2**20  # bytes of a JSON file; 2,000 rows of a history take a quarter of a MB
KINDS = {"name": str, "images_seen": int, "model": dict, "train": dict, "data": dict, "metrics": dict, "floor": dict}


class CheckpointError(Exception):
    """A checkpoint that is not there or cannot be read; the message is one line that says what to do."""


@dataclass(frozen=True)
class Snapshot:
    """What a training looked like after `images_seen` images: the fixed-noise grid, or the generator itself."""

    images_seen: int
    path: Path


@dataclass
class Checkpoint:
    """An opened checkpoint. `config` is config.json as it stands; `generator` is in eval mode, fp32, on the CPU."""

    folder: Path
    config: dict[str, Any]
    model: ModelConfig
    generator: Generator

    @property
    def name(self) -> str:
        return self.config.get("name") or self.folder.name

    @property
    def images_seen(self) -> int:
        return int(self.config.get("images_seen", 0))

    @property
    def data(self) -> dict[str, Any]:
        """What is known of the data: name, count, license, hub, source."""
        return self.config.get("data") or {}

    @property
    def is_drawn(self) -> bool:
        """Whether it was trained on the built-in drawn faces."""
        return self.data.get("source") == "avatars"

    @property
    def hub(self) -> str | None:
        """Where the data is on the Hub, as OWNER/NAME[@revision][/file]."""
        return (self.data.get("hub") or "").removeprefix("hf://datasets/") or None

    @cached_property
    def discriminator(self) -> Discriminator:
        """The discriminator in eval mode, read when first asked for."""
        return _load_net(Discriminator, self.model, self.folder / DISCRIMINATOR)

    @cached_property
    def directions(self) -> tuple[Direction, ...]:
        """Ways through its latent space, read when first asked for; none where none were fitted.

        Raises CheckpointError, in one line, if they are damaged or were fitted for other weights.
        """
        path = self.folder / DIRECTIONS
        try:
            return load_directions(path, self.generator) if path.is_file() else ()
        except ValueError as error:
            raise CheckpointError(str(error)) from None

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """Its training's figures; none where the file is larger than any that is written here."""
        path = self.folder / HISTORY
        return read_history(path) if path.is_file() and path.stat().st_size <= MAX_TEXT else []

    @cached_property
    def snapshots(self) -> list[Snapshot]:
        return list_snapshots(self.folder / SNAPSHOTS)

    @cached_property
    def moments(self) -> list[Snapshot]:
        """The generators of earlier moments that the checkpoint keeps, oldest first; often none."""
        return list_moments(self.folder / MOMENTS)

    def generator_at(self, moment: Snapshot) -> Generator:
        """The generator of one of `moments`. Raises CheckpointError where it cannot be read."""
        return _load_net(Generator, self.model, moment.path)


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Open a checkpoint folder, or the checkpoint of a run folder.

    Raises CheckpointError, in one line, if it is missing, damaged or written by a newer version.
    """
    found = _self_or_run(Path(folder))
    if not found:
        raise CheckpointError(f"no checkpoint at '{folder}': there is no {CONFIG} in it; train.py --out makes one")
    [folder] = found
    try:
        config = json.loads(read_text(folder / CONFIG))
        version = config["format"]
        if version == FORMAT:
            known = {f.name for f in fields(ModelConfig)}
            model = ModelConfig(**{k: v for k, v in config["model"].items() if k in known})
            for key, kind in KINDS.items():
                if not isinstance(config.get(key) or kind(), kind):
                    raise ValueError(f"{key} is no {kind.__name__}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise CheckpointError(
            f"'{folder / CONFIG}' is damaged ({reason(error)}); train again or fetch it anew"
        ) from None
    if version != FORMAT:
        raise CheckpointError(
            f"'{folder}' has format {str(version)[:20]!r}, this program reads {FORMAT}: update the program"
        )
    return Checkpoint(folder.resolve(), config, model, _load_net(Generator, model, folder / GENERATOR))


def read_text(path: Path) -> str:
    """A JSON file's text. Raises ValueError where it is larger than any that is written here."""
    if (size := path.stat().st_size) > MAX_TEXT:
        raise ValueError(f"it has {size / 2**20:,.0f} MiB, and such files have less than {MAX_TEXT / 2**20:,.0f}")
    return path.read_text(encoding="utf-8")


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
    generator: nn.Module,
    discriminator: nn.Module,
    config: dict[str, Any],
    history: list[dict[str, float]],
    snapshots: Path,
    readme: str,
    moments: Iterable[Snapshot] = (),
) -> None:
    """Write a whole checkpoint folder, replacing an older one in a single move.

    snapshots: a folder with those of the run so far. moments: generators to keep, files of save_moment. `config` holds
    the model, train and data settings, images_seen and metrics; format and versions are added here. Directions stay
    only where the generator does: for other weights they would mean nothing.
    """
    with replacing(folder) as new:
        save_net(generator, new / GENERATOR)
        if (folder / DIRECTIONS).is_file() and _same(folder / GENERATOR, new / GENERATOR):
            shutil.copyfile(folder / DIRECTIONS, new / DIRECTIONS)
        save_net(discriminator, new / DISCRIMINATOR)
        write_history(new / HISTORY, thin_history(history))
        (new / SNAPSHOTS).mkdir()
        for snapshot in thin_snapshots(list_snapshots(snapshots)):
            shutil.copyfile(snapshot.path, new / SNAPSHOTS / snapshot.path.name)
        for moment in moments:
            (new / MOMENTS).mkdir(exist_ok=True)
            _link(moment.path, new / MOMENTS / moment.path.name)
        (new / "README.md").write_text(readme, encoding="utf-8")
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        whole = {"format": FORMAT, **config, "versions": versions}
        (new / CONFIG).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def read_history(path: Path) -> list[dict[str, float]]:
    """The lines of a history.jsonl; [] where there is none. What follows a line that is cut or no row is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict) or "images_seen" not in row or not all(map(_is_figure, row.values())):
            break
        rows.append(row)
    return rows


def _is_figure(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    with writing(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def thin_history(rows: list[dict[str, float]], limit: int = MAX_HISTORY) -> list[dict[str, float]]:
    """At most `limit` rows: where there are more, each stands for a stretch of the run and holds its means."""
    if len(rows) <= limit:
        return rows
    thinned = []
    for i in range(limit):
        stretch = rows[i * len(rows) // limit : (i + 1) * len(rows) // limit]
        row: dict[str, float] = {}
        for key in {k: None for r in stretch for k in r}:
            values = [r[key] for r in stretch if key in r]
            row[key] = values[-1] if key == "images_seen" else round(sum(values) / len(values), 5)
        thinned.append(row)
    return thinned


def list_snapshots(folder: Path) -> list[Snapshot]:
    """The fixed-noise grids in a folder, oldest first."""
    return _numbered(folder, ".webp")


def list_moments(folder: Path) -> list[Snapshot]:
    """The generators of earlier moments in a folder, oldest first."""
    return _numbered(folder, ".safetensors")


def _numbered(folder: Path, suffix: str) -> list[Snapshot]:
    found = [p for p in folder.glob(f"*{suffix}") if p.stem.isdecimal() and p.is_file() and _stays(p)]
    return sorted((Snapshot(int(p.stem), p) for p in found), key=lambda s: s.images_seen)


def _stays(path: Path) -> bool:
    """Whether a file lies where it seems to, or is a link into the Hub's cache: the demo shows it to everyone."""
    blobs = [model / "blobs" for model in path.absolute().parents[3:4]]  # of models--o--n/snapshots/commit/snapshots/
    return not path.is_symlink() or path.resolve().parent in blobs


def thin_moments(moments: list[Snapshot], limit: int) -> list[Snapshot]:
    """At most `limit` of them, with the first and the last: evenly on a logarithmic scale, as training changes less and
    less. May be called again and again as moments are added."""
    kept = list(moments)
    while len(kept) > max(limit, 2):
        when = [math.log(moment.images_seen + 1000) for moment in kept]
        kept.pop(min(range(1, len(kept) - 1), key=lambda i: when[i + 1] - when[i - 1]))
    return kept


def thin_snapshots(snapshots: list[Snapshot], limit: int = MAX_SNAPSHOTS) -> list[Snapshot]:
    """At most `limit` of them: the dense first tenth whole, the rest evenly, always with the last."""
    if len(snapshots) <= limit:
        return snapshots
    head = limit // 10
    rest = snapshots[head:]
    count = limit - head
    return snapshots[:head] + [rest[(i + 1) * len(rest) // count - 1] for i in range(count)]


def _same(a: Path, b: Path) -> bool:
    return a.is_file() and filecmp.cmp(a, b, shallow=False)


def _link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system cannot do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def save_net(net: nn.Module, path: Path, steps: Mapping[str, Tensor] | None = None) -> None:
    """Write the network's weights in fp16, and their fingerprint. `steps` stand in the place of weights."""
    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()} | dict(steps or {})
    save_file(state, path, {"fingerprint": fingerprint(net)})
    path.chmod(0o644)  # safetensors makes it readable by its owner alone; a checkpoint is there to be shared


@torch.no_grad()
def save_moment(generator: Generator, path: Path) -> None:
    """Write the generator in half of that: kernels in int8, as steps of a size of its own for each input channel.

    It is left with what is written. The shipped faces' pixels are then off by 0.34 of 255 levels on average.
    """
    steps: dict[str, Tensor] = {}
    for name, kernels in generator.named_parameters():
        if kernels.dim() > 1:
            size = (kernels.abs().flatten(1).amax(1) / 127).clamp(min=torch.finfo(kernels.dtype).tiny)
            size = size.view(-1, *[1] * (kernels.dim() - 1))
            counts = (kernels / size).round().to(torch.int8)
            kernels.copy_(counts * size)
            steps |= {name: counts.cpu().contiguous(), name + STEP: size.cpu().contiguous()}
    save_net(generator, path, steps)


def _load_net(kind: type[Net], model: ModelConfig, path: Path) -> Net:
    # A huge shape in a config takes no memory before weights of that shape are there.
    with torch.device("meta"):
        net = kind(model)
    expected = net.state_dict()
    try:
        with safe_open(path, "pt") as file:
            known = (file.metadata() or {}).get("fingerprint")
            state: dict[str, Tensor] = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118  # it is no dict
        sizes = {k.removesuffix(STEP): state.pop(k) for k in list(state) if k.endswith(STEP)}
        state |= {k: state[k].float().mul_(size) for k, size in sizes.items()}
        net.load_state_dict({k: v.to(expected[k].dtype) for k, v in state.items()}, assign=True)
    except FileNotFoundError:
        raise CheckpointError(f"'{path}' is missing: the checkpoint is incomplete, fetch or train it anew") from None
    except (SafetensorError, RuntimeError, KeyError, OSError) as error:
        raise CheckpointError(f"'{path}' is damaged ({reason(error)}); fetch or train it anew") from None
    if known not in (None, fingerprint(net)):
        raise CheckpointError(
            f"'{path}' is damaged (its weights are not those that were saved); fetch or train it anew"
        )
    if not all(torch.isfinite(value).all() for value in net.state_dict().values()):
        raise CheckpointError(f"'{path}' holds weights that are not finite; fetch or train it anew")
    return net.eval().requires_grad_(False)
