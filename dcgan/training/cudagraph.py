"""A training step as a CUDA graph: recorded once, then replayed without a launch from Python for each kernel.

A DCGAN's kernels at 64 px are so short that a fast GPU waits for the next one to be launched.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dcgan.files import reason

Step = Callable[[Tensor, Tensor], Tensor]  # reals, noise -> statistics; updates the networks in place

WARM_UP = 3  # steps before recording: until then, libraries choose kernels and optimizers make their state
CLOSE = 0.05  # relative: bfloat16 and atomic sums differ from one execution to the next


class GraphedStep:
    """A step that records itself after a few calls, and from then on replays.

    `state` lists all tensors that a step changes. The first replay is compared with the same step done plainly, from
    the same state and random numbers; where they differ, or the step cannot be recorded, it goes on plainly, and
    `say` is told why. Batches of another shape, such as the last, smaller one of an
    epoch, are done plainly too.
    """

    def __init__(self, step: Step, state: Callable[[], list[Tensor]], say: Callable[[str], Any]):
        self.step, self.state, self.say = step, state, say
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: tuple[Tensor, Tensor] | None = None
        self.output: Tensor | None = None

    def __call__(self, real: Tensor, noise: Tensor) -> Tensor:
        """One step. Returns its statistics."""
        if self.inputs is None or (self.graph is None and len(real) > len(self.inputs[0])):
            self.inputs, self.calls = (real.clone(), noise.clone()), 0
        if real.shape != self.inputs[0].shape:
            return self._plainly(real, noise)
        self.calls += 1
        if self.calls <= WARM_UP:
            return self._plainly(real, noise)
        if self.calls == WARM_UP + 1:
            return self._first_recorded(real, noise)
        return self._replayed(real, noise) if self.graph else self.step(real, noise)

    def _plainly(self, real: Tensor, noise: Tensor) -> Tensor:
        # Apart from the default stream, as what is to be recorded has to be warmed up.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            output = self.step(real, noise)
        torch.cuda.current_stream().wait_stream(stream)
        return output

    def _first_recorded(self, real: Tensor, noise: Tensor) -> Tensor:
        before, random = [tensor.clone() for tensor in self.state()], torch.cuda.get_rng_state()

        def back() -> None:
            torch._foreach_copy_(self.state(), before)
            torch.cuda.set_rng_state(random)

        try:
            self._record(real, noise)
            replayed = self._replayed(real, noise)
            back()
            plain = self._plainly(real, noise)
            torch.testing.assert_close(replayed, plain, rtol=CLOSE, atol=CLOSE)
            back()
            return self._replayed(real, noise)
        except (RuntimeError, AssertionError) as error:
            self.graph = None
            self.say(f"training steps are not recorded as a CUDA graph ({reason(error)}): they take longer, no more")
            back()
            return self._plainly(real, noise)

    def _record(self, real: Tensor, noise: Tensor) -> None:
        assert self.inputs is not None
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            self.output = self.step(*self.inputs)
        self.graph = graph

    def _replayed(self, real: Tensor, noise: Tensor) -> Tensor:
        assert self.graph is not None and self.inputs is not None and self.output is not None
        self.inputs[0].copy_(real)
        self.inputs[1].copy_(noise)
        self.graph.replay()
        return self.output.clone()
