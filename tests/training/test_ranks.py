"""Two ranks on a CPU against one process that computes the same two halves one after the other."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor

from dcgan.data import images as images_module
from dcgan.data.crop import square
from dcgan.data.images import load_images
from dcgan.model import ModelConfig
from dcgan.training import distributed
from dcgan.training.config import TrainConfig
from dcgan.training.distributed import Ranks, join, leave
from dcgan.training.loop import adversarial_step
from dcgan.training.networks import Networks
from train import main

MODEL = ModelConfig(image_size=16, nz=8, ngf=4, ndf=4)
CONFIG = TrainConfig(batch_size=8, lr=0.002, ngpu=0)
STEPS = 3
ROOT = Path(__file__).parents[2]


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    shapes = (8, 3, 16, 16), (8, 8, 1, 1)
    return [tuple(torch.randn(*shape, generator=generator) for shape in shapes) for _ in range(STEPS)]  # type: ignore[misc]


def join_others(rank: int, world: int, port: int) -> Ranks:
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    torch.set_num_threads(1)
    return join(ngpu=0, batch_size=8)


def train_on_rank(rank: int, world: int, port: int, out: str) -> None:
    ranks = join_others(rank, world, port)
    nets = Networks(MODEL, CONFIG, ranks)
    for real, noise in batches():
        adversarial_step(nets, ranks.share(real), ranks.share(noise))
    torch.save([p.detach() for net in (nets.generator, nets.discriminator) for p in net.parameters()], f"{out}/{rank}")
    leave()


def half_by_half(net: torch.nn.Module) -> None:
    """Make the network take each rank's half of a batch apart, so that BatchNorm sees what it sees on that rank."""
    whole = net.forward

    def forward(batch: Tensor) -> Tensor:
        return torch.stack([whole(batch[rank::2]) for rank in (0, 1)], dim=1).flatten(0, 1)

    net.forward = forward  # type: ignore[method-assign]


def in_two_ranks(work: Callable, out: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(work, args=(2, port, str(out)), nprocs=2, start_method="spawn")


@pytest.fixture(scope="module")
def trained_by_two(tmp_path_factory: pytest.TempPathFactory) -> list[list[Tensor]]:
    out = tmp_path_factory.mktemp("ranks")
    in_two_ranks(train_on_rank, out)
    return [torch.load(out / str(rank), weights_only=True) for rank in (0, 1)]


def test_all_ranks_hold_the_same_weights(trained_by_two: list[list[Tensor]]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(*trained_by_two, strict=True))


def test_two_ranks_train_as_one_process_does(trained_by_two: list[list[Tensor]]) -> None:
    nets = Networks(MODEL, CONFIG)
    start = [p.detach().clone() for net in (nets.generator, nets.discriminator) for p in net.parameters()]
    half_by_half(nets.generator)
    half_by_half(nets.discriminator)
    for real, noise in batches():
        adversarial_step(nets, real, noise)
    weights = [p.detach() for net in (nets.generator, nets.discriminator) for p in net.parameters()]
    moved = max(float((a - b).abs().max()) for a, b in zip(start, weights, strict=True))
    apart = max(float((a - b).abs().max()) for a, b in zip(trained_by_two[0], weights, strict=True))
    assert moved > 1e-3
    assert apart < 1e-4


def test_every_image_of_a_batch_goes_to_one_rank() -> None:
    batch = torch.arange(12)
    shares = [Ranks(rank, 3).share(batch) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == batch.tolist()
    assert {len(share) for share in shares} == {4}


def test_a_batch_that_does_not_divide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="a batch of 8 cannot be shared by 3 ranks: give a multiple of 3"):
        join(ngpu=0, batch_size=8)


def test_more_gpus_than_there_are_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    many = str(torch.cuda.device_count() + 2)
    command = [sys.executable, "train.py", "--ngpu", many, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"train.py: --ngpu {many}, but this machine has {int(many) - 2} GPUs"]
    assert not (tmp_path / "run").exists()


def read_on_rank(rank: int, world: int, port: int, out: str) -> None:
    """Read a folder with a dangling link, slowly."""
    ranks = join_others(rank, world, port)
    decoded = []

    def slowly(*args: object) -> object:
        decoded.append(args)
        time.sleep(0.1)
        return square(*args)

    images_module.square = slowly
    images = load_images(f"{out}/photos", 16, workers=0, progress=False)
    ranks.any(False)
    Path(out, str(rank)).write_text(json.dumps([len(images), len(decoded)]))
    leave()


def test_one_rank_decodes_and_the_others_find_the_images_packed_though_a_link_dangles(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "zzz.png").symlink_to(tmp_path / "gone.png")
    in_two_ranks(read_on_rank, tmp_path)
    read = [json.loads((tmp_path / str(rank)).read_text()) for rank in (0, 1)]
    assert [count for count, _ in read] == [40, 40]
    assert sorted(decoded for _, decoded in read) == [0, 40]


def wait_on_rank(rank: int, world: int, port: int, out: str) -> None:
    """The first rank is busy for longer than PATIENCE, the other waits for it."""
    distributed.PATIENCE = timedelta(seconds=1)
    ranks = join_others(rank, world, port)
    time.sleep(0 if rank else 3)
    try:
        ranks.any(False)
    except RuntimeError as error:
        Path(out, str(rank)).write_text(str(error))
    os._exit(0)  # the group is broken


def test_ranks_wait_for_one_that_is_busy_as_long_as_patience_says(tmp_path: Path) -> None:
    in_two_ranks(wait_on_rank, tmp_path)
    assert "imed out" in (tmp_path / "1").read_text()
    assert timedelta(days=1) < distributed.PATIENCE


def torchrun(run: Path, photos: Path, *flags: str) -> subprocess.Popen[str]:
    small = [
        "--batch-size=8",
        "--image-size=16",
        "--nz=8",
        "--ngf=4",
        "--ndf=4",
        "--tick=1000000",
        "--ngpu=0",
        "--workers=0",
    ]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "train.py"]
    command += ["--dataroot", str(photos), "--out", str(run), *small, *flags]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def images_seen(run: Path) -> int:
    return json.loads((run / "checkpoint" / "config.json").read_text())["images_seen"]


def test_a_signal_saves_and_another_number_of_ranks_goes_on(tmp_path: Path, photos: Path) -> None:
    run = tmp_path / "run"
    with torchrun(run, photos, "--max-images=100000000") as ranks:
        assert ranks.stdout is not None
        first = next(line for line in ranks.stdout if "Loss_D" in line)
        ranks.terminate()
        rest = ranks.stdout.read()
    assert "stopping after this step and saving" in first + rest
    seen = images_seen(run)
    assert 0 < seen < 100_000_000
    assert seen % 8 == 0

    assert main(["--out", str(run), "--resume", "--max-images", str(seen + 16), "--ngpu", "0"]) == 0
    assert images_seen(run) == seen + 16


@pytest.mark.skipif(sys.platform != "linux", reason="its processes are found in /proc")
@pytest.mark.parametrize("end", ["a rank is killed", "SIGTERM"])
def test_ranks_that_train_py_starts_end_together(tmp_path: Path, photos: Path, end: str) -> None:
    """train.py --ngpu 2, whose ranks then find no GPU and take the CPU."""
    launch = "import sys, torch, train; torch.cuda.device_count = lambda: 2; sys.exit(train.main(sys.argv[1:]))"
    flags = ["--batch-size=8", "--image-size=16", "--nz=8", "--ngf=4", "--ndf=4", "--ngpu=2", "--workers=0"]
    flags += ["--dataroot", str(photos), "--out", str(tmp_path / "run"), "--max-images=100000000"]
    command = [sys.executable, "-c", launch, *flags]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as parent:
        assert parent.stdout is not None
        next(line for line in parent.stdout if "Loss_D" in line)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        ranks = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(*(parent.pid, signal.SIGTERM) if end == "SIGTERM" else (int(ranks[1]), signal.SIGKILL))
        said = parent.stdout.read().splitlines()
    assert not [pid for pid in ranks if Path(f"/proc/{pid}").exists()]
    if end == "SIGTERM":
        assert parent.returncode == 0
        assert images_seen(tmp_path / "run") > 0
    else:
        assert parent.returncode == 1
        assert "train.py: rank 1 ended with SIGKILL, and the others with it" in said
