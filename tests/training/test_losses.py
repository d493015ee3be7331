"""The losses against PyTorch's own, and against sums done by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, mse_loss

from dcgan.training.losses import (
    LOSSES,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    probability,
)

logits = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=8).map(torch.tensor)
REAL, FAKE = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 0.25, 1.0])


@given(logits, logits)
def test_bce_is_pytorchs_with_labels_one_and_zero(real, fake):
    d = binary_cross_entropy_with_logits(real, torch.ones_like(real))
    d = d + binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    torch.testing.assert_close(discriminator_loss("bce", real, fake), d)
    g = binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
    torch.testing.assert_close(generator_loss("bce", fake), g)


def test_bce_is_the_tutorials_on_probabilities():
    tutorials = binary_cross_entropy(REAL.sigmoid(), torch.ones(3)) + binary_cross_entropy(
        FAKE.sigmoid(), torch.zeros(3)
    )
    torch.testing.assert_close(discriminator_loss("bce", REAL, FAKE), tutorials)
    torch.testing.assert_close(generator_loss("bce", FAKE), binary_cross_entropy(FAKE.sigmoid(), torch.ones(3)))


@given(logits, logits)
def test_lsgan_is_half_the_squared_distance_to_the_labels(real, fake):
    d = 0.5 * mse_loss(real, torch.ones_like(real)) + 0.5 * mse_loss(fake, torch.zeros_like(fake))
    torch.testing.assert_close(discriminator_loss("lsgan", real, fake), d)
    torch.testing.assert_close(generator_loss("lsgan", fake), 0.5 * mse_loss(fake, torch.ones_like(fake)))


def test_hinge_counts_only_what_lies_within_the_margin():
    assert discriminator_loss("hinge", REAL, FAKE).item() == pytest.approx((0 + 2 + 0.5) / 3 + (0 + 1.25 + 2) / 3)
    assert generator_loss("hinge", FAKE).item() == pytest.approx((3 - 0.25 - 1) / 3)


def test_relativistic_compares_each_real_with_the_fake_beside_it():
    ones = torch.ones(3)
    torch.testing.assert_close(
        discriminator_loss("relativistic", REAL, FAKE), binary_cross_entropy_with_logits(REAL - FAKE, ones)
    )
    torch.testing.assert_close(
        generator_loss("relativistic", FAKE, REAL), binary_cross_entropy_with_logits(FAKE - REAL, ones)
    )


def test_the_relativistic_generator_loss_asks_for_the_reals():
    with pytest.raises(AssertionError, match="reals"):
        generator_loss("relativistic", FAKE)


def gradients(loss: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """D's gradients by reals and fakes, and G's by fakes."""
    a, b, c = (x.clone().requires_grad_() for x in (real, fake, fake))
    discriminator_loss(loss, a, b).backward()
    generator_loss(loss, c, real).backward()
    assert a.grad is not None
    assert b.grad is not None
    assert c.grad is not None
    return a.grad, b.grad, c.grad


@pytest.mark.parametrize("loss", LOSSES)
def test_d_raises_reals_and_lowers_fakes_and_g_raises_fakes(loss):
    real, fake = torch.tensor([0.5, -0.5, 0.25]), torch.tensor([0.5, 0.25, 0.75])
    by_real, by_fake, by_generator = gradients(loss, real, fake)
    assert (by_real < 0).all()
    assert (by_fake > 0).all()
    assert (by_generator < 0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [100.0, -100.0])
def test_losses_and_gradients_are_finite_at_large_logits(loss, size):
    real, fake = torch.full((4,), size), torch.full((4,), -size)
    assert torch.isfinite(discriminator_loss(loss, real, fake))
    assert torch.isfinite(generator_loss(loss, fake, real))
    assert all(torch.isfinite(gradient).all() for gradient in gradients(loss, real, fake))


def test_a_discriminator_that_is_wholly_wrong_still_gets_its_gradient():
    by_real, by_fake, _ = gradients("bce", torch.tensor([-100.0]), torch.tensor([100.0]))
    assert by_real.item() == pytest.approx(-1)
    assert by_fake.item() == pytest.approx(1)


def test_a_generator_that_is_wholly_wrong_still_gets_its_gradient():
    *_, by_generator = gradients("bce", torch.tensor([100.0]), torch.tensor([-100.0]))
    assert by_generator.item() == pytest.approx(-1)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_fp32_scalars_whatever_comes_in(loss):
    real, fake = REAL.bfloat16(), FAKE.bfloat16()
    for value in (discriminator_loss(loss, real, fake), generator_loss(loss, fake, real)):
        assert value.dtype == torch.float32
        assert value.shape == ()


def test_an_unknown_loss_is_one_line_that_lists_the_known_ones():
    for call in (discriminator_loss, generator_loss):
        with pytest.raises(ValueError, match=", ".join(LOSSES)):
            call("wasserstein", REAL, FAKE)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_probability_lies_between_zero_and_one_and_grows_with_the_logit(loss):
    belief = probability(loss, torch.linspace(-100, 100, 41))
    assert belief[0] == pytest.approx(0, abs=1e-6)
    assert belief[-1] == pytest.approx(1)
    assert (belief.diff() >= 0).all()


def test_the_tutorials_probability_is_the_sigmoid():
    torch.testing.assert_close(probability("bce", REAL), torch.sigmoid(REAL))


def test_the_penalty_on_a_linear_score_is_the_squared_length_of_its_weights():
    weight = torch.randn(3, 8, 8)
    images = torch.randn(5, 3, 8, 8, requires_grad=True)
    scores = (images * weight).sum(dim=(1, 2, 3))
    torch.testing.assert_close(gradient_penalty(scores, images), weight.square().sum())


def test_the_penalty_is_the_mean_over_images():
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    scores = 0.5 * images.square().sum(dim=(1, 2, 3))  # its gradient is the image itself
    torch.testing.assert_close(gradient_penalty(scores, images), images.detach().square().sum() / 5)


def test_the_penalty_has_a_gradient_by_the_weights():
    weight = torch.randn(3, 4, 4, requires_grad=True)
    images = torch.randn(2, 3, 4, 4, requires_grad=True)
    gradient_penalty((images * weight).sum(dim=(1, 2, 3)), images).backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())
