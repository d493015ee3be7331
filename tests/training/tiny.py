"""Tiny networks, pictures that need no file, and looks at what a run has written."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from dcgan.__main__ import main
from dcgan.checkpoint import Checkpoint, load_checkpoint
from dcgan.data.images import Images
from dcgan.model import ModelConfig
from dcgan.training.config import TrainConfig
from dcgan.training.loop import train
from dcgan.training.run import About

TINY = ModelConfig(image_size=16, nz=8, ngf=8, ndf=8)
TINY_FLAGS = ["--image-size=16", "--nz=8", "--ngf=8", "--ndf=8", "--batch-size=8", "--workers=0", "--ngpu=0"]


def in_memory(count: int = 40, size: int = 16, nc: int = 3) -> Images:
    """Soft random pictures."""
    coarse = torch.rand(count, nc, 4, 4, generator=torch.Generator().manual_seed(0))
    pixels = nn.functional.interpolate(coarse, size, mode="bilinear").mul(255).byte().numpy()
    return Images("made", pixels, [f"{i:06d}.png" for i in range(count)], [], "digest")


def settings(**changes) -> TrainConfig:
    return TrainConfig(**{"batch_size": 8, "max_images": 32, "ngpu": 0, "workers": 0, "drop_last": True, **changes})


def train_tiny(
    run: Path, resume: bool = False, model: ModelConfig = TINY, name: str = "tiny", init=None, **changes
) -> Path:
    """Train on pictures in memory into `run`, and return it. changes: to `settings`."""
    train(model, settings(**changes), in_memory(nc=model.nc), run, resume, init, About(name))
    return run


def trained(run: Path | str, *flags: object) -> Checkpoint:
    """The checkpoint of the run that `python train.py` begins, or goes on with, as these flags say."""
    assert main(["train", "--out", str(run), *map(str, flags)]) == 0
    return load_checkpoint(run)


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def state(run: Path) -> dict:
    return torch.load(run / "state" / "state.pt", weights_only=True)


def seen(run: Path) -> int:
    """Images seen by the checkpoint of a run."""
    return load_checkpoint(run).images_seen


def identical(a: object, b: object) -> bool:
    """Whether two saved states are the same, bit for bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(identical(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def same_end(run: Path, other: Path) -> bool:
    """Whether two trainings ended alike, bit for bit, in all that a resumed one must share with an unbroken one."""
    parts = ("checkpoint", "snapshots", "generators")
    return (
        identical(state(run), state(other))
        and rows(run) == rows(other)
        and all(contents(run / part) == contents(other / part) for part in parts)
        and not leftovers(run)
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leftovers(run: Path) -> list[str]:
    """Temporary files and folders that a write has left."""
    return [path.name for path in run.rglob("*") if path.suffix in (".tmp", ".new", ".old")]
