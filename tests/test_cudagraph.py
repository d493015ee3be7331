"""A recorded step trains as a plain one does. Needs a GPU."""

import pytest
import torch
from torch import Tensor

from dcgan.model import ModelConfig
from dcgan.training.config import TrainConfig
from dcgan.training.cudagraph import WARM_UP, GraphedStep
from dcgan.training.loop import adversarial_step, stepper
from dcgan.training.networks import Networks
from dcgan.training.precision import autocast

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
MODEL = ModelConfig(image_size=32, nz=16, ngf=16, ndf=16)


def networks(config: TrainConfig) -> Networks:
    return Networks(MODEL, config, torch.device("cuda"))


def batch(count: int = 16) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 3, 32, 32, device="cuda") * 2 - 1, torch.randn(count, 16, 1, 1, device="cuda")


@pytest.mark.parametrize("choice", [{}, {"augment": "color,translation,cutout", "precision": "bf16"}], ids=str)
def test_recorded_steps_follow_plain_ones(choice):
    config = TrainConfig(batch_size=16, ema=100, **choice)
    cast = autocast(config.precision, torch.device("cuda"))
    recorded, plain, batches = networks(config), networks(config), [batch() for _ in range(WARM_UP + 4)]
    torch.manual_seed(0)
    step = stepper(recorded, config, cast)
    mine = torch.stack([step(*b) for b in batches])
    torch.manual_seed(0)
    theirs = torch.stack([adversarial_step(plain, config, *b, cast) for b in batches])
    torch.testing.assert_close(mine, theirs, rtol=0.1, atol=0.1)


def test_each_replay_draws_other_random_numbers():
    drawn = torch.zeros(4, device="cuda")

    def step(real: Tensor, noise: Tensor) -> Tensor:
        return torch.rand(4, device="cuda") + 0 * real.sum()

    graphed = GraphedStep(step, lambda: [drawn], pytest.fail)
    figures = [graphed(*batch()).tolist() for _ in range(WARM_UP + 4)]
    assert len({tuple(row) for row in figures}) == len(figures)


def test_a_step_that_cannot_be_recorded_goes_on_plainly_and_says_why():
    said: list[str] = []

    def step(real: Tensor, noise: Tensor) -> Tensor:
        return torch.full((5,), noise.sum().item(), device="cuda")  # waits for the device: not allowed in a graph

    graphed = GraphedStep(step, list, said.append)
    for _ in range(WARM_UP + 3):
        real, noise = batch()
        assert graphed(real, noise)[0].item() == pytest.approx(noise.sum().item())
    assert len(said) == 1


def test_a_batch_of_another_size_is_done_plainly():
    config = TrainConfig(batch_size=16)
    step = stepper(networks(config), config, autocast("fp32", torch.device("cuda")))
    for count in [16] * (WARM_UP + 2) + [10, 16]:
        assert torch.isfinite(step(*batch(count))).all()


@pytest.mark.parametrize("first", [[10], [16] * WARM_UP + [10]], ids=["before", "in its place"])
def test_a_smaller_batch_does_not_keep_the_step_from_being_recorded(first):
    said: list[str] = []
    graphed = GraphedStep(lambda real, noise: real.sum() + noise.sum(), list, said.append)
    for count in [*first, *[16] * (WARM_UP + 1)]:
        graphed(*batch(count))
    assert graphed.graph
    assert not said
