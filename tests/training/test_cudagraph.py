"""A recorded step trains as a plain one does, on a GPU; when a step is recorded and replayed, anywhere."""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from dcgan.model import ModelConfig
from dcgan.training.config import TrainConfig
from dcgan.training.cudagraph import WARM_UP, GraphedStep
from dcgan.training.distributed import Ranks
from dcgan.training.networks import Networks
from dcgan.training.step import adversarial_step, stepper

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
MODEL = ModelConfig(image_size=32, nz=16, ngf=16, ndf=16)


def networks(config: TrainConfig) -> Networks:
    return Networks(MODEL, config, Ranks(device=torch.device("cuda:0")))


def batch(count: int = 16) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 3, 32, 32, device="cuda") * 2 - 1, torch.randn(count, 16, 1, 1, device="cuda")


@needs_gpu
@pytest.mark.parametrize("choice", [{}, {"augment": "color,translation,cutout", "precision": "bf16"}], ids=str)
def test_recorded_steps_follow_plain_ones(choice):
    """Also over a change of the learning rate, for which the step is recorded anew."""
    config = TrainConfig(batch_size=16, ema=100, **choice)
    recorded, plain, batches = networks(config), networks(config), [batch() for _ in range(2 * WARM_UP + 6)]
    step, figures = stepper(recorded), []
    for nets, take in ((recorded, step), (plain, lambda real, noise: adversarial_step(plain, real, noise))):
        torch.manual_seed(0)
        taken = []
        for i, (real, noise) in enumerate(batches):
            if i == WARM_UP + 3:
                nets.set_rates(0.5)
            taken.append(take(real.clone(), noise))
        figures.append(torch.stack(taken))
    assert step.graph is not None
    torch.testing.assert_close(*figures, rtol=0.1, atol=0.1)
    for a, b in zip(recorded.generator.parameters(), plain.generator.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0.1, atol=0.01)


@needs_gpu
def test_each_replay_draws_other_random_numbers():
    graphed = GraphedStep(lambda real, noise, _: torch.rand(4, device="cuda") + 0 * real.sum(), 16, tuple, pytest.fail)
    figures = [graphed(*batch()).tolist() for _ in range(WARM_UP + 4)]
    assert graphed.graph
    assert len({tuple(row) for row in figures}) == len(figures)


@needs_gpu
def test_smaller_batches_and_penalties_run_plainly_in_between():
    step = stepper(networks(TrainConfig(batch_size=16, r1=1.0)))
    for count, penalty in [(10, False), *[(16, False)] * (WARM_UP + 2), (10, False), (16, True), (16, False)]:
        assert torch.isfinite(step(*batch(count), penalty)).all()
    assert step.graph


@pytest.fixture
def recorder(monkeypatch) -> SimpleNamespace:
    """In place of a GPU: notes each plain step, recording and replay."""
    log: list[str] = []
    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: log.append("replay")))
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state: None)

    @contextlib.contextmanager
    def graph(_):
        log.append("record:")
        yield

    monkeypatch.setattr(torch.cuda, "graph", graph)
    return SimpleNamespace(log=log, rate=1.0, said=[])


def test_a_step_is_recorded_once_warm_and_again_when_a_constant_of_it_changes(recorder):
    def step(real: Tensor, noise: Tensor, with_penalty: bool) -> Tensor:
        recorder.log.append("step")
        return real.sum()

    graphed = GraphedStep(step, 4, lambda: recorder.rate, recorder.said.append)
    for changes in range(2):
        recorder.rate = 1.0 - changes / 2
        for count, penalty in [(4, False)] * WARM_UP + [(2, False), (4, True)] + [(4, False)] * 2:
            graphed(torch.zeros(count), torch.zeros(count), penalty)
        assert recorder.log == ["step"] * (WARM_UP + 2) + ["record:", "step", "replay", "replay"]
        recorder.log.clear()


def test_a_step_that_cannot_be_recorded_is_taken_plainly_from_then_on(recorder):
    def step(real: Tensor, noise: Tensor, with_penalty: bool) -> Tensor:
        if recorder.log[-1:] == ["record:"]:
            recorder.log.pop()
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        recorder.log.append("step")
        return real.sum()

    graphed = GraphedStep(step, 4, tuple, recorder.said.append)
    for _ in range(WARM_UP + 2):
        graphed(torch.zeros(4), torch.zeros(4))
    assert recorder.log == ["step"] * (WARM_UP + 2)
    (line,) = recorder.said
    assert "not recorded as a CUDA graph (operation not permitted when stream is capturing)" in line
