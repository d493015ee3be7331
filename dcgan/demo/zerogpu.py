"""ZeroGPU: Spaces on that hardware lend a GPU to a function while it runs. Elsewhere nothing changes."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LENT = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true") and find_spec("spaces") is not None


def on_gpu(seconds: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, or a generator, that is to have a GPU for at most so many seconds where one is lent.

    There it runs in a process of its own: arguments and results are pickled, and must be on the CPU.
    """
    if not LENT:
        return lambda function: function
    import spaces

    return spaces.GPU(duration=seconds)
