"""ZeroGPU: Spaces of that hardware lend a GPU to a function for as long as it runs. Elsewhere nothing changes."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LENT = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true") and find_spec("spaces") is not None


def on_gpu(seconds: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function, or a generator, that a GPU is asked for, for so many seconds at most, where one is lent.

    There it runs in a process of its own: what it is given and what it answers is pickled, and must be on the CPU.
    """
    if not LENT:
        return lambda function: function
    import spaces

    return spaces.GPU(duration=seconds)
