"""The losses against PyTorch's own, and against sums done by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import mse_loss

from dcgan.training.losses import LOSSES, discriminator_loss, generator_loss, gradient_penalty, probability

REAL, FAKE = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 0.25, 1.0])
ONES, ZEROS = torch.ones(3), torch.zeros(3)


@pytest.mark.parametrize(
    ("loss", "of_d", "of_g"),
    [
        ("bce", cross_entropy(REAL, ONES) + cross_entropy(FAKE, ZEROS), cross_entropy(FAKE, ONES)),
        ("lsgan", 0.5 * mse_loss(REAL, ONES) + 0.5 * mse_loss(FAKE, ZEROS), 0.5 * mse_loss(FAKE, ONES)),
        ("hinge", torch.tensor((0 + 2 + 0.5) / 3 + (0 + 1.25 + 2) / 3), torch.tensor((3 - 0.25 - 1) / 3)),
        ("relativistic", cross_entropy(REAL - FAKE, ONES), cross_entropy(FAKE - REAL, ONES)),
    ],
)
def test_a_loss_is_the_one_of_its_name(loss, of_d, of_g):
    torch.testing.assert_close(discriminator_loss(loss, REAL, FAKE), of_d)
    torch.testing.assert_close(generator_loss(loss, FAKE, REAL), of_g)


def gradients(loss: str, real: Tensor, fake: Tensor) -> list[Tensor]:
    """D's gradients by reals and fakes, and G's by fakes."""
    a, b, c = (x.clone().requires_grad_() for x in (real, fake, fake))
    discriminator_loss(loss, a, b).backward()
    generator_loss(loss, c, real).backward()
    return [x.grad for x in (a, b, c)]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [100.0, -100.0])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_losses_and_gradients_are_finite_fp32_at_large_logits_of_any_precision(loss, size, kind):
    real, fake = torch.full((4,), size, dtype=kind), torch.full((4,), -size, dtype=kind)
    assert all(torch.isfinite(gradient).all() for gradient in gradients(loss, real, fake))
    for value in (discriminator_loss(loss, real, fake), generator_loss(loss, fake, real)):
        assert torch.isfinite(value)
        assert (value.dtype, value.shape) == (torch.float32, ())


def test_networks_that_are_wholly_wrong_still_get_their_gradient():
    by_real, by_fake, _ = gradients("bce", torch.tensor([-100.0]), torch.tensor([100.0]))
    *_, by_generator = gradients("bce", torch.tensor([100.0]), torch.tensor([-100.0]))
    assert [by_real.item(), by_fake.item(), by_generator.item()] == pytest.approx([-1, 1, -1])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_probability_lies_between_zero_and_one_and_grows_with_the_logit(loss):
    belief = probability(loss, torch.linspace(-100, 100, 41))
    assert belief[0] == pytest.approx(0, abs=1e-6)
    assert belief[-1] == pytest.approx(1)
    assert (belief.diff() >= 0).all()


def test_the_penalty_is_the_mean_squared_gradient_by_the_images_and_has_one_by_the_weights():
    weight, images = torch.randn(3, 8, 8, requires_grad=True), torch.randn(5, 3, 8, 8, requires_grad=True)
    penalty = gradient_penalty((images * weight).sum(dim=(1, 2, 3)), images)
    torch.testing.assert_close(penalty, weight.square().sum())
    penalty.backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())
    halves = 0.5 * images.square().sum(dim=(1, 2, 3))  # the gradient is the image itself
    torch.testing.assert_close(gradient_penalty(halves, images), images.square().sum() / 5)
