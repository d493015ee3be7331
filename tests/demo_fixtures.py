"""For the tests of the demo: tiny checkpoints, and the demo itself on a free port."""

import copy
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from dcgan.checkpoint import load_checkpoint, save_checkpoint, save_net
from dcgan.course import Course, list_moments, list_snapshots
from dcgan.direction import Direction, save_directions
from dcgan.latents import latents
from dcgan.model import Discriminator, Generator, ModelConfig, init_weights
from dcgan.sampling import render
from dcgan.training.figures import save_montage
from tests.ports import free_port

if TYPE_CHECKING:
    from dcgan.demo.studio import Studio

ROOT = Path(__file__).parents[1]
FRAMES = (0, 1000, 5000, 20_000)  # images seen at each snapshot
MOMENTS = FRAMES[:3]  # of which `people` keeps the generators
NZ = 20
PATIENT = {"timeout": 300}  # seconds; the clients' own few are not enough on a busy machine
DIRECTIONS = (  # of `toons`
    Direction("age", "number", torch.eye(NZ)[3], -3.0, 3.0, ("younger", "older")),
    Direction("principal 1", "principal", torch.ones(NZ) / NZ**0.5, -2.0, 2.0),
)


def make_checkpoint(
    folder: Path, source: str | None = None, seed: int = 1, nc: int = 3, moments: tuple[int, ...] = ()
) -> Path:
    """A checkpoint of random weights whose faces differ clearly, with a course of training that never was."""
    torch.manual_seed(seed)
    model = ModelConfig(image_size=64, nc=nc, nz=NZ, ngf=8, ndf=8)
    generator, discriminator = Generator(model), Discriminator(model)
    init_weights(generator)
    init_weights(discriminator)
    with torch.no_grad():
        generator.main[-2].weight.mul_(8)  # type: ignore[union-attr, operator]
        for _ in range(40):  # BatchNorm learns what to expect
            generator(torch.randn(16, NZ, 1, 1))
    generator.eval()
    snapshots = folder.with_name(f".{folder.name}-snapshots")
    snapshots.mkdir(parents=True)
    for i, seen in enumerate(FRAMES):
        save_montage(render(generator, latents(range(64), NZ) * (i + 1) / 4), snapshots / f"{seen:010d}.webp")
    history = [
        {"images_seen": 500 * (i + 1), "loss_d": 1.5 - i / 40, "loss_g": 1 + i / 20, "d_real": 0.6, "d_fake": 0.4}
        for i in range(40)
    ]
    history[7]["loss_d"] = math.nan
    data = {"name": f"{folder.name} set", "count": 1234, "source": source, "license": "for tests only"}
    config = {"name": folder.name, "model": asdict(model), "train": {}, "data": data, "images_seen": 20_000}
    for seen in moments:
        then = copy.deepcopy(generator)
        with torch.no_grad():
            then.main[-2].weight.mul_(0.2 + seen / 10_000)  # type: ignore[union-attr, operator]
        save_net(then, snapshots / f"{seen:010d}.safetensors")
    course = Course(history, list_snapshots(snapshots), list_moments(snapshots))
    save_checkpoint(folder, generator, discriminator, config, "# a card\n\n## Use\n", course)
    return folder


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `people`, whose reals are elsewhere, `toons`, whose reals are drawn, and a broken one."""
    folder = tmp_path_factory.mktemp("checkpoints")
    make_checkpoint(folder / "people", seed=1, moments=MOMENTS)
    toons = load_checkpoint(make_checkpoint(folder / "toons", "avatars", seed=2))
    save_directions(toons.folder / "directions.safetensors", DIRECTIONS, toons.generator)
    (folder / "wreck").mkdir()
    (folder / "wreck" / "config.json").write_text("{")
    return folder


@pytest.fixture(scope="package")
def studio(checkpoints: Path) -> "Studio":
    """What the demo can do, without its page."""
    from dcgan.demo.studio import Studio

    return Studio(checkpoints)


@pytest.fixture(scope="package")
def demo(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running demo."""
    from dcgan.demo.app import build_demo, launch_options
    from dcgan.demo.studio import Studio

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("served")))
        patch.setattr("dcgan.demo.real_images.DRAWN", 70)  # drawing takes time, and one grid is enough
        patch.setattr("dcgan.latent.inversion.SAMPLES", 64)
        patch.setattr("dcgan.demo.inversion.LIMITS", (math.inf, 12))
        studio = Studio(checkpoints)
        blocks = build_demo(studio)
        files = tmp_path_factory.mktemp("page")
        options = launch_options(studio, files)
        yield blocks.launch(**options, prevent_thread_lock=True, quiet=True, server_port=free_port())[1]
        blocks.close()


@dataclass
class Program:
    """A running `python app.py`: its process, its address, and the file that it prints into."""

    process: subprocess.Popen
    url: str
    log: Path

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; the exit status, and all that was printed."""
        self.process.send_signal(number)
        return self.process.wait(), self.log.read_text()


@contextmanager
def program(
    log: Path,
    *arguments: object,
    folder: Path = ROOT,
    port: int | None = None,
    ready: str = "public link",
    **environment: str,
) -> Iterator[Program]:
    """`python app.py` of a folder, from when it has printed `ready` to the end of the block.

    The default is Gradio's last line, which follows its own look at the address.
    """
    port = port or free_port()
    command = [sys.executable, "app.py", *map(str, arguments)]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "PYTHONUNBUFFERED": "1", **environment}
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            while ready not in log.read_text():
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield Program(process, f"http://127.0.0.1:{port}/", log)
        finally:
            process.kill()
