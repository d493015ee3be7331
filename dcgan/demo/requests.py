"""Validate untrusted request parameters: type, range and length.

Each function returns the value in its proper type, or raises ValueError with one line for the visitor.
"""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from dcgan.latents import MAX_SEED

MAX_Z = 6.0  # beyond it the generator was never trained


def whole(value: Any, name: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    if type(value) in (int, float) and low <= value <= high and value == int(value):
        return int(value)
    raise ValueError(f"{name} must be a whole number from {low} to {high}, not {short(value)}")


def number(value: Any, name: str, low: float, high: float) -> float:
    """A number from `low` to `high`; NaN is in no range."""
    if type(value) in (int, float) and low <= value <= high:
        return float(value)
    raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {short(value)}")


def switch(value: Any, name: str) -> bool:
    """True or False."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"{name} must be true or false, not {short(value)}")


def choice(value: Any, name: str, choices: Collection[str]) -> str:
    """One of `choices`."""
    if isinstance(value, str) and value in choices:
        return value
    raise ValueError(f"{name} must be {' or '.join(choices) or 'left out'}, not {short(value)}")


def mapping(value: Any, name: str) -> dict[Any, Any]:
    """A mapping; None stands for an empty one."""
    if value is None or isinstance(value, dict):
        return value or {}
    raise ValueError(f"{name} must be a mapping of names to numbers, not {short(value)}")


def seed(value: Any, name: str = "seed") -> int:
    """A seed, 0 to 2**32 - 1."""
    return whole(value, name, 0, MAX_SEED)


def latent(values: Any, name: str, nz: int, most: float = MAX_Z) -> Tensor:
    """A z [nz] from a list of numbers from -`most` to `most`."""
    if not isinstance(values, list) or len(values) != nz:
        raise ValueError(f"{name} must be a list of {nz} numbers, not {short(values)}")
    return torch.tensor([number(value, f"a number of the {name}", -most, most) for value in values])


def short(value: Any) -> str:
    """The value's repr, cut to 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
