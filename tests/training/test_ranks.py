"""Ranks on a CPU: two train as one process does, and end together."""

import os
import shutil
import signal
import time
import weakref
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed
from torch import Tensor, nn

from dcgan.data import packing
from dcgan.data.crop import square
from dcgan.training import command, step
from dcgan.training.config import TrainConfig
from dcgan.training.distributed import Ranks, join, launch
from dcgan.training.networks import Networks
from dcgan.training.step import adversarial_step
from tests.training.tiny import TINY, TINY_FLAGS, seen

CONFIG = TrainConfig(batch_size=8, lr=0.002, ngpu=0)
FLAGS = ["--recipe=dcgan", "--lr=0.002", *TINY_FLAGS]
STEPS = 3


def weights(nets: Networks) -> list[Tensor]:
    return [p.detach().clone() for net in (nets.generator, nets.discriminator) for p in net.parameters()]


def train_until_stopped(argv: list[str]) -> int:
    """On a rank: a training whose launcher gets SIGTERM, as a scheduler sends it, once so many steps are done."""
    found: dict[str, list] = {"batches": [], "decoded": [], "weights": []}
    rank = int(os.environ["RANK"])
    groups: list[weakref.ref] = []

    def counted(nets: Networks, real: Tensor, noise: Tensor, with_penalty: bool) -> Tensor:
        found["batches"].append((real.clone(), noise.clone()))
        stats = adversarial_step(nets, real, noise, with_penalty)
        if len(found["batches"]) == STEPS:
            found["weights"] = weights(nets)
            groups.append(weakref.ref(torch.distributed.group.WORLD))
            if rank == 0:
                os.kill(os.getppid(), signal.SIGTERM)
        return stats

    def slowly(*args: object) -> object:
        found["decoded"].append(len(args))
        time.sleep(0.02)
        return square(*args)

    step.adversarial_step, packing.square = counted, slowly
    torch.set_num_threads(1)
    code = command.main([*argv, *FLAGS])
    found["groups left"] = [bool(group()) for group in groups]  # their threads could abort the process at its end
    torch.save(found, Path(argv[-1]).with_name(str(rank)))
    return code


def wait_until_killed(argv: list[str]) -> int:
    """On a rank: 0 is busy, and 1 is killed."""
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
    return 0


def half_by_half(net: nn.Module) -> None:
    """Make the network take each rank's half of a batch apart, so that BatchNorm sees what it sees on that rank."""
    whole = net.forward

    def forward(batch: Tensor) -> Tensor:
        return torch.stack([whole(batch[rank::2]) for rank in (0, 1)], dim=1).flatten(0, 1)

    net.forward = forward  # type: ignore[method-assign]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the launcher alone: its ranks are to take the CPU."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_two_ranks_train_as_one_process_and_after_a_signal_another_number_goes_on(tmp_path, photos, two_gpus) -> None:
    """One of them decodes the photos, among which a link dangles."""
    run = tmp_path / "run"
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "zzz.png").symlink_to(tmp_path / "gone.png")
    argv = ["--dataroot", str(tmp_path / "photos"), "--max-images=100000000", "--out", str(run)]
    assert launch(train_until_stopped, 2, argv) == 0
    first, second = (torch.load(tmp_path / str(rank), weights_only=True) for rank in (0, 1))
    assert sorted(len(found["decoded"]) for found in (first, second)) == [0, 40]
    assert first["groups left"] == second["groups left"] == [False]
    assert len(first["batches"]) == len(second["batches"]) >= STEPS
    assert seen(run) == sum(len(real) for found in (first, second) for real, _ in found["batches"])

    nets = Networks(TINY, CONFIG)
    start = weights(nets)
    half_by_half(nets.generator)
    half_by_half(nets.discriminator)
    for halves in list(zip(first["batches"], second["batches"], strict=True))[:STEPS]:
        real, noise = (torch.stack(parts, dim=1).flatten(0, 1) for parts in zip(*halves, strict=True))
        adversarial_step(nets, real, noise)
    assert all(torch.equal(a, b) for a, b in zip(first["weights"], second["weights"], strict=True))
    assert max(float((a - b).abs().max()) for a, b in zip(start, weights(nets), strict=True)) > 1e-3
    assert max(float((a - b).abs().max()) for a, b in zip(first["weights"], weights(nets), strict=True)) < 1e-4

    before = seen(run)
    assert command.main(["--out", str(run), "--resume", "--max-images", str(before + 16)]) == 0
    assert seen(run) >= before + 16


def test_when_a_rank_is_killed_all_end(two_gpus, capsys) -> None:
    assert launch(wait_until_killed, 2, []) == 1
    assert capsys.readouterr().err == "train.py: rank 1 ended with SIGKILL, and the others with it\n"


def test_ranks_wait_for_days_for_one_that_decodes_or_saves_alone(monkeypatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    waits: list[timedelta] = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, timeout: waits.append(timeout))
    join(ngpu=0, batch_size=8)
    assert waits > [timedelta(days=1)]


def test_every_image_of_a_batch_goes_to_one_rank() -> None:
    shares = [Ranks(rank, 3).share(torch.arange(12)) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == list(range(12))
    assert {len(share) for share in shares} == {4}


def test_a_batch_that_does_not_divide_is_refused(monkeypatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="a batch of 8 cannot be shared by 3 ranks: give a multiple of 3"):
        join(ngpu=0, batch_size=8)


def test_more_gpus_than_there_are_is_one_line_before_anything_starts(tmp_path, capsys) -> None:
    here = torch.cuda.device_count()
    assert command.main(["--ngpu", str(here + 2), "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == f"train.py: --ngpu {here + 2}, but this machine has {here} GPUs\n"
    assert not (tmp_path / "run").exists()
