"""The networks are the tutorial's at its sizes, and of the right shape at all others."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from dcgan.model import IMAGE_SIZES, Discriminator, Generator, ModelConfig, init_weights, parameter_count
from tests.tiny import tutorial_nets


def prefixed(state: dict) -> dict:
    return {f"main.{name}": value for name, value in state.items()}


def test_the_defaults_have_the_tutorials_parameter_counts_and_no_bias():
    nets = Generator(ModelConfig()), Discriminator(ModelConfig())
    assert [parameter_count(net) for net in nets] == [3_576_704, 2_765_568]
    assert all(m.bias is None for net in nets for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))


@pytest.mark.parametrize("nc", [1, 3])
def test_the_tutorials_own_weights_fit_and_give_its_outputs(nc):
    torch.manual_seed(0)
    config = ModelConfig(nc=nc, nz=20, ngf=8, ndf=8)
    theirs_g, theirs_d = tutorial_nets(nc, 20, 8, 8)
    ours_g, ours_d = Generator(config), Discriminator(config)
    ours_g.load_state_dict(prefixed(theirs_g.state_dict()))
    ours_d.load_state_dict(prefixed(theirs_d.state_dict()))
    images = ours_g(torch.randn(4, 20, 1, 1, generator=torch.manual_seed(1)))
    torch.testing.assert_close(images, theirs_g(torch.randn(4, 20, 1, 1, generator=torch.manual_seed(1))))
    torch.testing.assert_close(ours_d(images).sigmoid(), theirs_d(images).view(-1))


@pytest.mark.parametrize(("nc", "nz", "ngf", "ndf"), [(1, 1, 1, 1), (3, 10, 5, 3)])
@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_every_size_and_width_makes_square_images_and_one_logit_each(image_size, nc, nz, ngf, ndf):
    config = ModelConfig(image_size=image_size, nc=nc, nz=nz, ngf=ngf, ndf=ndf)
    images = Generator(config)(torch.randn(2, nz, 1, 1))
    assert images.shape == (2, nc, image_size, image_size)
    assert images.abs().max() <= 1
    assert Discriminator(config)(images).shape == (2,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("image_size", value) for value in (60, "64", 64.0)),
        *(("nc", value) for value in (2, 3.0)),
        *(("nz", value) for value in (0, 1.5)),
        *(("ngf", -1), ("ndf", 10**9), ("ndf", None), ("d_norm", "group"), ("d_bias", 1)),
    ],
)
def test_an_impossible_shape_is_refused_in_one_line_that_names_it(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .*$"):
        ModelConfig(**{name: value})


@pytest.mark.parametrize("d_norm", ["batch", "none", "spectral"])
def test_init_weights_draws_the_tutorials_distributions_and_clears_biases(d_norm):
    torch.manual_seed(0)
    for net in (Generator(ModelConfig()), Discriminator(ModelConfig(d_norm=d_norm))):
        init_weights(net)
        for name, values in net.named_parameters():
            if name.endswith("bias"):
                assert not values.any(), name
            else:
                mean, error = float(values.dim() == 1), 5 * 0.02 / values.numel() ** 0.5  # five standard errors
                assert abs(values.mean().item() - mean) < error, name
                assert abs(values.std().item() - 0.02) < error, name


@pytest.mark.parametrize(("d_norm", "batch", "spectral"), [("batch", 1, 0), ("spectral", 0, 3), ("none", 0, 0)])
def test_the_discriminator_has_the_norm_that_is_named(d_norm, batch, spectral):
    net = Discriminator(ModelConfig(image_size=16, ndf=8, d_norm=d_norm))
    assert sum(isinstance(module, nn.BatchNorm2d) for module in net.modules()) == batch
    assert sum(is_parametrized(module, "weight") for module in net.modules()) == spectral
