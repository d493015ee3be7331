"""Two ranks on a CPU against one process that computes the same two halves one after the other."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
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


def on_rank(rank: int, world: int, ports: list[int], out: str) -> None:
    """All that the tests need two ranks for: a training, photos to be read, and a rank that lets the other wait."""
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1")
    torch.set_num_threads(1)
    os.environ["MASTER_PORT"] = str(ports[0])
    ranks = join(ngpu=0, batch_size=8)
    nets = Networks(MODEL, CONFIG, ranks)
    for real, noise in batches():
        adversarial_step(nets, ranks.share(real), ranks.share(noise))
    weights = [p.detach() for net in (nets.generator, nets.discriminator) for p in net.parameters()]

    decoded = []

    def slowly(*args: object) -> object:
        decoded.append(args)
        time.sleep(0.02)
        return square(*args)

    images_module.square = slowly
    images = load_images(f"{out}/photos", 16, workers=0, progress=False)
    ranks.any(False)
    leave()

    distributed.PATIENCE = timedelta(seconds=1)
    os.environ["MASTER_PORT"] = str(ports[1])
    ranks, said = join(ngpu=0, batch_size=8), ""
    time.sleep(0 if rank else 3)
    try:
        ranks.any(False)
    except RuntimeError as error:
        said = str(error)
    found = {"weights": weights, "images": len(images), "decoded": len(decoded), "said": said}
    torch.save(found, f"{out}/{rank}")
    os._exit(0)  # the second group is broken


def half_by_half(net: torch.nn.Module) -> None:
    """Make the network take each rank's half of a batch apart, so that BatchNorm sees what it sees on that rank."""
    whole = net.forward

    def forward(batch: Tensor) -> Tensor:
        return torch.stack([whole(batch[rank::2]) for rank in (0, 1)], dim=1).flatten(0, 1)

    net.forward = forward  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def two_ranks(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of two ranks has found, of photos among which a link dangles."""
    out = tmp_path_factory.mktemp("ranks")
    shutil.copytree(photos, out / "photos")
    (out / "photos" / "zzz.png").symlink_to(out / "gone.png")
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in (one, other)]
    multiprocessing.start_processes(on_rank, args=(2, ports, str(out)), nprocs=2, start_method="spawn")
    return [torch.load(out / str(rank), weights_only=True) for rank in (0, 1)]


def test_two_ranks_train_as_one_process_does_and_hold_the_same_weights(two_ranks: list[dict]) -> None:
    nets = Networks(MODEL, CONFIG)
    start = [p.detach().clone() for net in (nets.generator, nets.discriminator) for p in net.parameters()]
    half_by_half(nets.generator)
    half_by_half(nets.discriminator)
    for real, noise in batches():
        adversarial_step(nets, real, noise)
    weights = [p.detach() for net in (nets.generator, nets.discriminator) for p in net.parameters()]
    first, second = (found["weights"] for found in two_ranks)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert max(float((a - b).abs().max()) for a, b in zip(start, weights, strict=True)) > 1e-3
    assert max(float((a - b).abs().max()) for a, b in zip(first, weights, strict=True)) < 1e-4


def test_one_rank_decodes_and_the_others_find_the_images_packed_though_a_link_dangles(two_ranks: list[dict]) -> None:
    assert [found["images"] for found in two_ranks] == [40, 40]
    assert sorted(found["decoded"] for found in two_ranks) == [0, 40]


def test_ranks_wait_for_one_that_is_busy_as_long_as_patience_says(two_ranks: list[dict]) -> None:
    """Here for a second, elsewhere for days: a large data set takes hours."""
    assert "imed out" in two_ranks[1]["said"]
    assert timedelta(days=1) < distributed.PATIENCE


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


def test_more_gpus_than_there_are_is_one_line_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    here = torch.cuda.device_count()
    assert main(["--ngpu", str(here + 2), "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == f"train.py: --ngpu {here + 2}, but this machine has {here} GPUs\n"
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
