"""What strangers ask for, checked: type, range and length. What is wrong is a ValueError, one line for the visitor."""

from typing import Any

import torch
from torch import Tensor

from dcgan.latents import MAX_SEED

MAX_Z = 6.0  # beyond it the generator was never trained
MAX_WALK = 50


def seed(value: Any, name: str = "seed") -> int:
    return whole(value, name, 0, MAX_SEED)


def whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high and value == int(value):
        return int(value)
    raise ValueError(f"{name} must be a whole number from {low} to {high}, not {short(value)}")


def number(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:  # NaN is in no range
        return float(value)
    raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {short(value)}")


def switch(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"{name} must be true or false, not {short(value)}")


def choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    if value in choices:
        return value
    raise ValueError(f"{name} must be {' or '.join(choices)}, not {short(value)}")


def mapping(value: Any, name: str) -> dict[Any, Any]:
    if value is None or isinstance(value, dict):
        return value or {}
    raise ValueError(f"{name} must be a mapping of names to numbers, not {short(value)}")


def edits(edits: Any, nz: int) -> dict[int, float]:
    """Edits as {dimension: value}. In JSON the dimensions are texts."""
    checked = {}
    for key, value in mapping(edits, "edits").items():
        dimension = int(key) if isinstance(key, str) and key.isdecimal() and len(key) < 6 else key
        dimension = whole(dimension, "dimension", 0, nz - 1)
        checked[dimension] = number(value, f"dimension {dimension}", -MAX_Z, MAX_Z)
    return checked


def latent(values: Any, name: str, nz: int, most: float = MAX_Z) -> Tensor:
    if not isinstance(values, list) or len(values) != nz:
        raise ValueError(f"{name} must be a list of {nz} numbers, not {short(values)}")
    return torch.tensor([number(value, f"a number of the {name}", -most, most) for value in values])


def walk(walk: Any) -> list[int]:
    if walk is not None and not (isinstance(walk, list) and len(walk) <= MAX_WALK):
        raise ValueError(f"walk must be a list of at most {MAX_WALK} numbers, not {short(walk)}")
    return [seed(number, "a step of the walk") for number in walk or []]


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
