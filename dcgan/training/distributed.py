"""One training on many devices: a process ("rank") for each, joined by torch.distributed.

`torchrun` starts the ranks, or train.py does for `--ngpu 2` and more. Each rank computes its share of every batch;
DistributedDataParallel averages the gradients, so all ranks hold the same weights. BatchNorm's statistics are those of
a rank's own share. Rank 0 alone writes.
"""

import os
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """This process's place among `world` processes, and its device."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and prints."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This rank's part of a whole batch."""
        return batch[self.rank :: self.world]

    def wrap(self, net: nn.Module) -> nn.Module:
        """The network with its gradients averaged over all ranks; the network itself where there is one rank."""
        return net if self.world == 1 else DistributedDataParallel(net, broadcast_buffers=False)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank, so that all do the same."""
        if self.world == 1:
            return flag
        flags = torch.tensor(int(flag))
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)

    def stop(self, asked: bool, step: int) -> bool:
        """Whether any rank was asked to stop, so that all leave the loop after the same step.

        GPUs, whose steps are short, ask each other every tenth.
        """
        return (self.device.type != "cuda" or step % 10 == 0) and self.any(asked)

    def same(self, flag: bool) -> bool:
        """The first rank's flag, on every rank."""
        if self.world == 1:
            return flag
        flags = torch.tensor(int(flag))
        dist.broadcast(flags, src=0)
        return bool(flags)

    def wait(self) -> None:
        """Until every rank has come here."""
        if self.world > 1:
            dist.barrier()


def launched() -> bool:
    """Whether torchrun started this process."""
    return "LOCAL_RANK" in os.environ


def join(ngpu: int, batch_size: int) -> Ranks:
    """Take this process's place: the environment's, where torchrun started it, else the only one.

    ngpu: 0 for the CPU. Raises ValueError for a batch that the ranks cannot share evenly, or GPUs that are not there.
    """
    gpus = torch.cuda.device_count() if ngpu > 0 else 0
    if not launched():
        return Ranks(device=torch.device("cuda:0" if gpus else "cpu"))
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if batch_size % world:
        raise ValueError(f"a batch of {batch_size} cannot be shared by {world} ranks: give a multiple of {world}")
    if gpus and local >= gpus:
        raise ValueError(f"rank {rank} has no GPU: {int(os.environ['LOCAL_WORLD_SIZE'])} ranks here, {gpus} GPUs")
    device = torch.device(f"cuda:{local}" if gpus else "cpu")
    if gpus:
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
    return Ranks(rank, world, device)


def leave() -> None:
    """End the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()
