"""The numbers that the networks compute in: fp32, or bfloat16 where the hardware has it."""

import contextlib
from typing import Any

import torch

from dcgan.convolution import has_bf16


def in_bf16(precision: str, device: torch.device) -> bool:
    """Whether the networks run in bfloat16; weights stay fp32."""
    return precision == "bf16" or (precision == "auto" and has_bf16(device))


def autocast(precision: str, device: torch.device) -> Any:
    """A context manager factory that runs the networks in the chosen precision."""
    if in_bf16(precision, device):
        return lambda: torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext


def layout(precision: str, device: torch.device) -> torch.memory_format:
    """Channels last is faster in bfloat16 alone; in fp32 the tutorial's layout sums in the tutorial's order."""
    return torch.channels_last if in_bf16(precision, device) else torch.contiguous_format
