"""One training on many devices: a process ("rank") for each, which `torchrun` starts, or `launch` for --ngpu.

Each computes its share of every batch, with BatchNorm statistics of its own; the gradients are averaged.
"""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import wait

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # imported later, its functions' defaults would keep the group past `leave`
from torch import Tensor, nn
from tqdm import tqdm

from dcgan.cli import ENDING, handling
from dcgan.device import CPU, find_device

PATIENCE = timedelta(days=2)  # for a rank that decodes, measures or saves alone; one that died ends the others at once
LAST_WORDS = 10  # seconds that the others get when one rank has died


@dataclass(frozen=True)
class Ranks:
    """This process's rank among `world` processes, and its device. local: its rank among those of this machine."""

    rank: int = 0
    world: int = 1
    local: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and prints."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This rank's part of a whole batch."""
        return batch[self.rank :: self.world]

    def average_gradients(self, net: nn.Module) -> None:
        """Replace the network's gradients by their mean over all ranks, which all must call this."""
        for parameter in net.parameters() if self.world > 1 else ():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.world

    def say(self, *lines: str) -> None:
        """Print lines, on the first rank alone and above its progress bar."""
        for line in lines if self.first else ():
            tqdm.write(line)

    def bar(self, target: int, seen: int) -> tqdm:
        """The progress bar of a training over `target` images, on the first rank alone."""
        return tqdm(total=target, initial=seen, unit="img", smoothing=0.1, mininterval=1.0, disable=not self.first)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank. All ranks must call this; they wait for each other."""
        if self.world == 1:
            return flag
        flags = torch.tensor(int(flag))
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)

    def stop(self, signalled: bool, step: int) -> bool:
        """Whether a signal has reached any rank, so that all end after the same step; on GPUs every tenth is asked."""
        return (self.device.type != "cuda" or step % 10 == 0) and self.any(signalled)


def launched() -> bool:
    """Whether this process is a rank that torchrun or `launch` has started."""
    return "LOCAL_RANK" in os.environ


def join(ngpu: int, batch_size: int, device: str = "auto") -> Ranks:
    """Join the other ranks that the environment names, if any.

    ngpu: 0 for the CPU. device: as `find_device` has it; several ranks have a CUDA device each, or share the CPU.
    Raises ValueError if there is no such device, or if the ranks cannot share a batch evenly or outnumber the GPUs.
    """
    if not launched():
        found = find_device(device) if ngpu else CPU
        if found.index:
            torch.accelerator.set_device_index(found.index)
        return Ranks(device=found)
    gpus = torch.cuda.device_count() if ngpu > 0 and device != "cpu" else 0
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if batch_size % world:
        raise ValueError(f"a batch of {batch_size} cannot be shared by {world} ranks: give a multiple of {world}")
    if gpus and (here := int(os.environ["LOCAL_WORLD_SIZE"])) > gpus:
        raise ValueError(f"{here} ranks on a machine with {gpus} GPUs: start no more than {gpus}")
    own = torch.device(f"cuda:{local}" if gpus else "cpu")
    if gpus:
        torch.cuda.set_device(own)
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)
    return Ranks(rank, world, local, own)


def leave() -> None:
    """End the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def launch(main: Callable[[list[str]], int], ngpu: int, argv: list[str]) -> int:
    """Run `main(argv)` in a rank for each of this machine's first `ngpu` GPUs. Returns their exit code.

    SIGTERM and SIGHUP are passed on, as SIGTERM; Ctrl-C reaches the ranks by itself. If one fails the others are ended,
    and a line names it unless it has printed its error (exit code 2). Raises ValueError if there are fewer GPUs.
    """
    if ngpu > (gpus := torch.cuda.device_count()):
        raise ValueError(f"--ngpu {ngpu}, but this machine has {gpus} GPUs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=_run_rank, args=(main, i, ngpu, port, argv)) for i in range(ngpu)]
    stopped: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        stopped.append(number)
        for rank in ranks if number in ENDING else ():
            rank.terminate()

    with handling(pass_on, signal.SIGINT, *ENDING):
        for rank in ranks:
            rank.start()
        while not any(rank.exitcode for rank in ranks) and (alive := [r.sentinel for r in ranks if r.is_alive()]):
            wait(alive, timeout=1.0)  # a process forked meanwhile may hold a sentinel open
        failed = [(rank.exitcode, i) for i, rank in enumerate(ranks) if rank.exitcode]
        for rank in ranks:
            rank.terminate()
        for rank in ranks:
            rank.join(LAST_WORDS)
            rank.kill()
    code, number = min(failed, default=(0, 0))  # a rank that was killed before those that noticed
    if not set(stopped).isdisjoint(ENDING) and code == -signal.SIGTERM:  # before there was anything to save
        return 0
    if code not in (0, 2, 130):
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        print(f"train.py: rank {number} ended with {how}, and the others with it", file=sys.stderr)
    return 1 if code < 0 else code


def _run_rank(main: Callable[[list[str]], int], rank: int, world: int, port: int, argv: list[str]) -> None:
    """One rank's process, in the environment that torch.distributed documents ("env://")."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ.update({name: str(number) for name, number in numbers.items()}, MASTER_ADDR="127.0.0.1")
    sys.exit(main(argv))
