"""A run to push, a user to push it as, and the commands."""

import json
import shutil
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from dcgan.checkpoint import load_checkpoint
from dcgan.direction import save_directions
from tests.demo_fixtures import DIRECTIONS, MOMENTS, make_checkpoint
from tests.hub_stub import TOKEN

Command = Callable[..., tuple[int, str]]


def edit(checkpoint: Path, **parts: dict) -> None:
    """Change parts of a config.json."""
    config = json.loads((checkpoint / "config.json").read_text())
    for part, values in parts.items():
        config[part] = {**config.get(part, {}), **values}
    (checkpoint / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_checkpoint(tmp_path_factory.mktemp("made") / "people", moments=MOMENTS)
    save_directions(folder / "directions.safetensors", DIRECTIONS, load_checkpoint(folder).generator)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A run folder, with a checkpoint and what else a run leaves."""
    shutil.copytree(made, tmp_path / "run" / "checkpoint")
    (tmp_path / "run" / "state").mkdir()
    (tmp_path / "run" / "state" / "state.pt").write_bytes(b"not for others")
    return tmp_path / "run"


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged in as the user `maker`."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """push, space or static: the exit code, and the output or, where it fails, the last line on stderr."""

    def call(name: str, *arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # within huggingface_hub
            code = import_module(f"dcgan.hub.{name}").main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        return code, out if code == 0 else err.splitlines()[-1]

    return call
