"""The losses against PyTorch's own, and against sums done by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, mse_loss
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from dcgan.training.losses import LOSSES, discriminator_loss, generator_loss, gradient_penalty, probability

logits = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=8).map(torch.tensor)
REAL, FAKE = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 0.25, 1.0])


@given(logits, logits)
def test_bce_and_lsgan_are_pytorchs_with_labels_one_and_zero(real, fake):
    labels = torch.ones_like(real), torch.zeros_like(fake), torch.ones_like(fake)
    bce = cross_entropy(real, labels[0]) + cross_entropy(fake, labels[1])
    torch.testing.assert_close(discriminator_loss("bce", real, fake), bce)
    torch.testing.assert_close(generator_loss("bce", fake), cross_entropy(fake, labels[2]))
    squares = 0.5 * mse_loss(real, labels[0]) + 0.5 * mse_loss(fake, labels[1])
    torch.testing.assert_close(discriminator_loss("lsgan", real, fake), squares)
    torch.testing.assert_close(generator_loss("lsgan", fake), 0.5 * mse_loss(fake, labels[2]))


def test_bce_is_the_tutorials_on_probabilities():
    ones, zeros = torch.ones(3), torch.zeros(3)
    tutorials = binary_cross_entropy(REAL.sigmoid(), ones) + binary_cross_entropy(FAKE.sigmoid(), zeros)
    torch.testing.assert_close(discriminator_loss("bce", REAL, FAKE), tutorials)
    torch.testing.assert_close(generator_loss("bce", FAKE), binary_cross_entropy(FAKE.sigmoid(), ones))
    torch.testing.assert_close(probability("bce", REAL), torch.sigmoid(REAL))


def test_hinge_counts_only_what_lies_within_the_margin():
    assert discriminator_loss("hinge", REAL, FAKE).item() == pytest.approx((0 + 2 + 0.5) / 3 + (0 + 1.25 + 2) / 3)
    assert generator_loss("hinge", FAKE).item() == pytest.approx((3 - 0.25 - 1) / 3)


def test_relativistic_compares_each_real_with_the_fake_beside_it():
    ones = torch.ones(3)
    torch.testing.assert_close(discriminator_loss("relativistic", REAL, FAKE), cross_entropy(REAL - FAKE, ones))
    torch.testing.assert_close(generator_loss("relativistic", FAKE, REAL), cross_entropy(FAKE - REAL, ones))
    with pytest.raises(AssertionError, match="reals"):
        generator_loss("relativistic", FAKE)


def gradients(loss: str, real: Tensor, fake: Tensor) -> list[Tensor]:
    """D's gradients by reals and fakes, and G's by fakes."""
    a, b, c = (x.clone().requires_grad_() for x in (real, fake, fake))
    discriminator_loss(loss, a, b).backward()
    generator_loss(loss, c, real).backward()
    return [x.grad for x in (a, b, c)]


@pytest.mark.parametrize("loss", LOSSES)
def test_d_raises_reals_and_lowers_fakes_and_g_raises_fakes(loss):
    by_real, by_fake, by_generator = gradients(loss, torch.tensor([0.5, -0.5, 0.25]), torch.tensor([0.5, 0.25, 0.75]))
    assert (by_real < 0).all()
    assert (by_fake > 0).all()
    assert (by_generator < 0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [100.0, -100.0])
def test_losses_and_gradients_are_finite_fp32_at_large_logits_of_any_precision(loss, size):
    real, fake = torch.full((4,), size), torch.full((4,), -size)
    assert all(torch.isfinite(gradient).all() for gradient in gradients(loss, real, fake))
    for kind in (torch.float32, torch.bfloat16):
        d, g = (
            discriminator_loss(loss, real.to(kind), fake.to(kind)),
            generator_loss(loss, fake.to(kind), real.to(kind)),
        )
        for value in (d, g):
            assert torch.isfinite(value)
            assert (value.dtype, value.shape) == (torch.float32, ())


def test_networks_that_are_wholly_wrong_still_get_their_gradient():
    by_real, by_fake, _ = gradients("bce", torch.tensor([-100.0]), torch.tensor([100.0]))
    *_, by_generator = gradients("bce", torch.tensor([100.0]), torch.tensor([-100.0]))
    assert [by_real.item(), by_fake.item(), by_generator.item()] == pytest.approx([-1, 1, -1])


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


def test_the_penalty_is_the_mean_squared_gradient_by_the_images_and_has_one_by_the_weights():
    weight, images = torch.randn(3, 8, 8, requires_grad=True), torch.randn(5, 3, 8, 8, requires_grad=True)
    penalty = gradient_penalty((images * weight).sum(dim=(1, 2, 3)), images)
    torch.testing.assert_close(penalty, weight.square().sum())
    penalty.backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())
    halves = 0.5 * images.square().sum(dim=(1, 2, 3))  # the gradient is the image itself
    torch.testing.assert_close(gradient_penalty(halves, images), images.square().sum() / 5)
