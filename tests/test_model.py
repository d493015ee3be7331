"""The networks are the tutorial's at its sizes, and of the right shape at all others."""

import pytest
import torch
from torch import nn

from dcgan.model import IMAGE_SIZES, Discriminator, Generator, ModelConfig, init_weights, parameter_count


def convolutions(net: nn.Module) -> list[tuple]:
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.padding[0])
        for m in net.modules()
        if isinstance(m, kinds)
    ]


def kinds(net: nn.Sequential) -> list[str]:
    return [type(module).__name__ for module in net]


def prefixed(state: dict) -> dict:
    return {f"main.{name}": value for name, value in state.items()}


def test_the_defaults_have_the_tutorials_parameter_counts():
    assert parameter_count(Generator(ModelConfig())) == 3_576_704
    assert parameter_count(Discriminator(ModelConfig())) == 2_765_568


def test_the_generator_has_the_tutorials_layers():
    net = Generator(ModelConfig())
    assert kinds(net.main) == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4 + ["ConvTranspose2d", "Tanh"]
    assert convolutions(net) == [
        (100, 512, 4, 1, 0),
        (512, 256, 4, 2, 1),
        (256, 128, 4, 2, 1),
        (128, 64, 4, 2, 1),
        (64, 3, 4, 2, 1),
    ]


def test_the_discriminator_has_the_tutorials_layers_and_ends_in_logits():
    net = Discriminator(ModelConfig())
    assert kinds(net.main) == ["Conv2d", "LeakyReLU"] + ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3 + ["Conv2d"]
    assert convolutions(net) == [
        (3, 64, 4, 2, 1),
        (64, 128, 4, 2, 1),
        (128, 256, 4, 2, 1),
        (256, 512, 4, 2, 1),
        (512, 1, 4, 1, 0),
    ]
    assert {m.negative_slope for m in net.main if isinstance(m, nn.LeakyReLU)} == {0.2}


def test_no_convolution_has_a_bias_at_the_defaults():
    for net in (Generator(ModelConfig()), Discriminator(ModelConfig())):
        assert all(m.bias is None for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))


@pytest.mark.parametrize("nc", [1, 3])
def test_the_tutorials_own_weights_fit_and_give_its_outputs(tutorial_nets, nc):
    torch.manual_seed(0)
    config = ModelConfig(nc=nc, nz=20, ngf=8, ndf=8)
    theirs_g, theirs_d = tutorial_nets(nc, 20, 8, 8)
    ours_g, ours_d = Generator(config), Discriminator(config)
    ours_g.load_state_dict(prefixed(theirs_g.state_dict()))
    ours_d.load_state_dict(prefixed(theirs_d.state_dict()))
    images = ours_g(torch.randn(4, 20, 1, 1, generator=torch.manual_seed(1)))
    torch.testing.assert_close(images, theirs_g(torch.randn(4, 20, 1, 1, generator=torch.manual_seed(1))))
    torch.testing.assert_close(ours_d(images).sigmoid(), theirs_d(images).view(-1))


@pytest.mark.parametrize("nc", [1, 3])
@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_every_size_makes_square_images_and_one_logit_each(image_size, nc):
    config = ModelConfig(image_size=image_size, nc=nc, nz=10, ngf=4, ndf=4)
    images = Generator(config)(torch.randn(2, 10, 1, 1))
    assert images.shape == (2, nc, image_size, image_size)
    assert images.abs().max() <= 1
    assert Discriminator(config)(images).shape == (2,)


@pytest.mark.parametrize(("nz", "ngf", "ndf"), [(1, 1, 1), (7, 5, 3), (130, 9, 21)])
def test_odd_widths_work(nz, ngf, ndf):
    config = ModelConfig(image_size=32, nz=nz, ngf=ngf, ndf=ndf)
    images = Generator(config)(torch.randn(2, nz, 1, 1))
    assert images.shape == (2, 3, 32, 32)
    assert Discriminator(config)(images).shape == (2,)


def test_channels_double_up_to_1024():
    assert ModelConfig(image_size=256).channels(64) == [64, 128, 256, 512, 1024, 1024]
    assert ModelConfig(image_size=128).channels(64) == [64, 128, 256, 512, 1024]
    assert ModelConfig(image_size=16).channels(300) == [300, 600]


def test_a_256_pixel_pair_is_built_with_the_cap():
    with torch.device("meta"):
        config = ModelConfig(image_size=256)
        widths = [outputs for _, outputs, *_ in convolutions(Generator(config))]
        assert widths == [1024, 1024, 512, 256, 128, 64, 3]
        assert [outputs for _, outputs, *_ in convolutions(Discriminator(config))] == [*widths[-2::-1], 1]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"image_size": 60}, "image_size"),
        ({"image_size": 8}, "image_size"),
        ({"image_size": 512}, "image_size"),
        ({"image_size": "64"}, "image_size"),
        ({"image_size": 64.0}, "image_size"),
        ({"nc": 2}, "nc"),
        ({"nc": 4}, "nc"),
        ({"nc": 3.0}, "nc"),
        ({"nz": 0}, "nz"),
        ({"nz": 1.5}, "nz"),
        ({"ngf": -1}, "ngf"),
        ({"ndf": 10**9}, "ndf"),
        ({"ndf": None}, "ndf"),
        ({"d_norm": "group"}, "d_norm"),
    ],
)
def test_an_impossible_shape_is_refused_in_one_line_that_names_it(wrong, named):
    with pytest.raises(ValueError, match=named) as caught:
        ModelConfig(**wrong)
    assert "\n" not in str(caught.value)


def test_init_weights_draws_the_tutorials_distributions():
    torch.manual_seed(0)
    for net in (Generator(ModelConfig()), Discriminator(ModelConfig())):
        init_weights(net)
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                error = 5 * 0.02 / module.weight.numel() ** 0.5  # five standard errors
                assert abs(module.weight.mean().item()) < error
                assert abs(module.weight.std().item() - 0.02) < error
            elif isinstance(module, nn.BatchNorm2d):
                error = 5 * 0.02 / module.weight.numel() ** 0.5
                assert abs(module.weight.mean().item() - 1) < error
                assert abs(module.weight.std().item() - 0.02) < error
                assert not module.bias.any()


def test_init_weights_clears_the_biases_that_there_are():
    net = Discriminator(ModelConfig(image_size=16, ndf=4, d_norm="none"))
    init_weights(net)
    biases = [m.bias for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert len(biases) == 3
    assert not any(bias.any() for bias in biases)


def test_init_weights_reaches_the_weights_under_a_spectral_norm():
    net = Discriminator(ModelConfig(image_size=64, ndf=32, d_norm="spectral"))
    init_weights(net)
    originals = [p for name, p in net.named_parameters() if name.endswith("original")]
    assert len(originals) == 5
    assert all(abs(p.std().item() - 0.02) < 0.003 for p in originals)


@pytest.mark.parametrize("d_norm", ["spectral", "none"])
def test_without_batch_norm_a_score_does_not_depend_on_the_batch(d_norm):
    torch.manual_seed(0)
    net = Discriminator(ModelConfig(image_size=16, ndf=8, d_norm=d_norm))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    images = torch.rand(6, 3, 16, 16)
    net.eval()
    torch.testing.assert_close(net(images)[:2], net(images[:2]))


def test_spectral_norm_holds_every_convolution_to_a_largest_gain_of_one():
    torch.manual_seed(0)
    net = Discriminator(ModelConfig(image_size=16, ndf=8, d_norm="spectral"))
    for _ in range(30):  # the estimate gets better with each pass
        net(torch.rand(2, 3, 16, 16))
    for module in net.eval().modules():
        if isinstance(module, nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("d_bias", "sees"), [(False, False), (True, True)])
def test_only_with_a_bias_does_d_in_training_see_contrast(d_bias, sees):
    discriminator = Discriminator(ModelConfig(image_size=32, nz=8, ngf=8, ndf=8, d_bias=d_bias))
    for parameter in discriminator.parameters():
        torch.nn.init.normal_(parameter, 0.1, 0.2)
    with torch.no_grad():
        images = torch.rand(16, 3, 32, 32) * 2 - 1
        change = (discriminator(images * 0.5) - discriminator(images)).abs().max() / discriminator(images).abs().max()
    assert (change > 0.003) == sees, float(change)


def test_logits_are_not_squashed():
    torch.manual_seed(0)
    net = Discriminator(ModelConfig(image_size=16, ndf=8)).eval()
    with torch.no_grad():
        net.main[-1].weight.mul_(1000)
        assert net(torch.rand(16, 3, 16, 16)).abs().max() > 1
