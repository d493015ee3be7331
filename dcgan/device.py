"""The device that computes: the CPU, or the accelerator that torch finds (CUDA, Apple's MPS, Intel's XPU)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

CPU = torch.device("cpu")


def find_device(name: str = "auto") -> torch.device:
    """The device of that name; with auto the accelerator that torch finds, or the CPU. Raises ValueError without it."""
    found = torch.accelerator.current_accelerator(check_available=True)
    count = torch.accelerator.device_count() if found else 0
    if name == "auto":
        return torch.device(found.type, 0) if found else CPU
    try:
        wanted = torch.device(name)
    except RuntimeError:
        wanted = None
    if wanted and wanted.type == "cpu":
        return CPU
    if not (wanted and found and wanted.type == found.type and (wanted.index or 0) < count):
        there = ", ".join(["auto", "cpu", *(f"{found.type}:{i}" for i in range(count) if found)])
        raise ValueError(f"--device {name}: torch {torch.__version__} finds none here. There is {there}")
    return torch.device(wanted.type, wanted.index or 0)


def with_float64(device: torch.device) -> torch.device:
    """The device, or the CPU in place of an accelerator that may lack float64, which distances are computed in."""
    return device if device.type == "cuda" else CPU


def random_state(device: torch.device) -> Tensor | None:
    """The state of the accelerator's own random numbers; None of the CPU."""
    if device.type == "cpu":
        return None
    module = torch.get_device_module(device)
    return module.get_rng_state() if device.type == "mps" else module.get_rng_state(device)  # there is only one


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Set what `random_state` returned."""
    module = torch.get_device_module(device)
    module.set_rng_state(state.cpu(), *([] if device.type == "mps" else [device]))


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Leave the random numbers of the CPU and of the device as they were before the block."""
    state = random_state(device)
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            if state is not None:
                set_random_state(device, state)
