"""Two ranks on a CPU against one process that computes the same two halves one after the other."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor

from dcgan.model import ModelConfig
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


def train_on_rank(rank: int, world: int, port: int, out: str) -> None:
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    torch.set_num_threads(1)
    ranks = join(ngpu=0, batch_size=8)
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


@pytest.fixture(scope="module")
def trained_by_two(tmp_path_factory: pytest.TempPathFactory) -> list[list[Tensor]]:
    out = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(train_on_rank, args=(2, port, str(out)), nprocs=2, start_method="spawn")
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
def test_a_rank_that_dies_ends_the_others_and_is_named(tmp_path: Path, photos: Path) -> None:
    """train.py --ngpu 2 as it starts its ranks, which then find no GPU and take the CPU."""
    launch = "import sys, torch, train; torch.cuda.device_count = lambda: 2; sys.exit(train.main(sys.argv[1:]))"
    flags = ["--batch-size=8", "--image-size=16", "--nz=8", "--ngf=4", "--ndf=4", "--ngpu=2", "--workers=0"]
    flags += ["--dataroot", str(photos), "--out", str(tmp_path / "run"), "--max-images=100000000"]
    command = [sys.executable, "-c", launch, *flags]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as parent:
        assert parent.stdout is not None
        next(line for line in parent.stdout if "Loss_D" in line)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        ranks = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(int(ranks[1]), signal.SIGKILL)
        said = parent.stdout.read().splitlines()
    assert parent.returncode == 1
    assert "train.py: rank 1 ended with SIGKILL, and the others with it" in said
    assert not [pid for pid in ranks if Path(f"/proc/{pid}").exists()]
