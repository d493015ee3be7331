"""A training step as a CUDA graph: recorded once, as PyTorch's notes on CUDA describe it, then replayed.

A DCGAN's kernels at 64 px are so short that a fast GPU waits for Python to launch the next one.
"""

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from dcgan.errors import reason

WARM_UP = 3  # steps before recording: until then, libraries choose kernels and optimizers make their state


class GraphedStep:
    """`step` on one GPU: recorded after WARM_UP calls, and anew when what `constants` returns has changed.

    step: (reals, noise, with_penalty) -> statistics; updates the networks in place.
    constants: returns the Python numbers that a recording keeps, such as learning rates.
    Batches of another size and steps with a penalty run eagerly. If a step cannot be recorded all do, and `say` is
    called with the reason.
    """

    def __init__(
        self,
        step: Callable[[Tensor, Tensor, bool], Tensor],
        batch_size: int,
        constants: Callable[[], Hashable],
        say: Callable[[str], Any],
    ):
        self.step, self.batch_size, self.constants, self.say = step, batch_size, constants, say
        self.recorded: Hashable = None
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.failed = False

    def __call__(self, real: Tensor, noise: Tensor, with_penalty: bool = False) -> Tensor:
        """One step. Returns its statistics."""
        if self.failed or with_penalty or len(real) != self.batch_size:
            return self._eagerly(real, noise, with_penalty)
        if self.recorded != self.constants():
            self.recorded, self.calls, self.graph = self.constants(), 0, None
        self.calls += 1
        if self.calls == WARM_UP + 1:
            self._record(real, noise)
        if self.graph is None:
            return self._eagerly(real, noise, False)
        self.real.copy_(real)
        self.noise.copy_(noise)
        self.graph.replay()
        return self.output.clone()

    def _eagerly(self, real: Tensor, noise: Tensor, with_penalty: bool) -> Tensor:
        # Apart from the default stream, as what is to be recorded has to be warmed up.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            output = self.step(real, noise, with_penalty)
        torch.cuda.current_stream().wait_stream(stream)
        return output

    def _record(self, real: Tensor, noise: Tensor) -> None:
        self.real, self.noise = real.clone(), noise.clone()
        graph, random = torch.cuda.CUDAGraph(), torch.cuda.get_rng_state()
        try:
            with torch.cuda.graph(graph):
                self.output = self.step(self.real, self.noise, False)
            self.graph = graph
        except RuntimeError as error:
            self.failed = True
            torch.cuda.set_rng_state(random)
            self.say(f"training steps are not recorded as a CUDA graph ({reason(error)}): they take longer, no more")
