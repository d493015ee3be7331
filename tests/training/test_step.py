"""The training step: the tutorial's mathematics, and every choice beyond it."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import Compose, Normalize, ToTensor

from dcgan.latents import latents
from dcgan.model import ModelConfig
from dcgan.pictures import normalised
from dcgan.training import adaptive, loop, step
from dcgan.training.adaptive import overfitting
from dcgan.training.config import RECIPES, configure
from dcgan.training.losses import LOSSES
from dcgan.training.networks import Networks
from dcgan.training.step import adversarial_step
from tests.tiny import tutorial_nets
from tests.training.tiny import TINY, identical, in_memory, settings, state, train_tiny

SMALL = ModelConfig(nz=20, ngf=8, ndf=8)  # the tutorial's layers, narrower


def tutorial_steps(
    generator: nn.Module, discriminator: nn.Module, batches: list[tuple[Tensor, Tensor]]
) -> list[list[float]]:
    """The loop of the PyTorch tutorial: its five printed figures of each iteration."""
    criterion = nn.BCELoss()
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=0.0002, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=0.0002, betas=(0.5, 0.999))
    steps = []
    for real, noise in batches:
        discriminator.zero_grad()
        label = torch.full((len(real),), 1.0, dtype=real.dtype)
        output = discriminator(real).view(-1)
        error_real = criterion(output, label)
        error_real.backward()
        d_x = output.mean().item()

        fake = generator(noise)
        label.fill_(0.0)
        output = discriminator(fake.detach()).view(-1)
        error_fake = criterion(output, label)
        error_fake.backward()
        d_g_z1 = output.mean().item()
        error_d = error_real + error_fake
        optimizer_d.step()

        generator.zero_grad()
        label.fill_(1.0)
        output = discriminator(fake).view(-1)
        error_g = criterion(output, label)
        error_g.backward()
        d_g_z2 = output.mean().item()
        optimizer_g.step()
        steps.append([error_d.item(), error_g.item(), d_x, d_g_z1, d_g_z2])
    return steps


def test_the_dcgan_recipe_is_the_tutorials_loop(tmp_path, monkeypatch):
    """Twenty steps of `train` replayed by the tutorial's own code, on the same weights, batches and noise.

    In float64: in float32 Adam's first steps, which depend on a gradient's sign alone, make rounding grow tenfold a
    step.
    """
    start, batches, ours = {}, [], []

    def recorded(nets, real, noise, with_penalty):
        if not start:
            nets.generator.double()
            nets.discriminator.double()
            start["generator"] = copy.deepcopy(nets.generator.main.state_dict())
            start["discriminator"] = copy.deepcopy(nets.discriminator.main.state_dict())
        batches.append((real.double(), noise.double()))
        stats = adversarial_step(nets, *(tensor.clone() for tensor in batches[-1]), with_penalty)
        ours.append(stats.tolist())
        return stats

    monkeypatch.setattr(step, "adversarial_step", recorded)
    model, config = configure(RECIPES["dcgan"])
    assert model == ModelConfig()
    config = replace(config, batch_size=8, epochs=0, max_images=160, ngpu=0)
    loop.train(SMALL, config, in_memory(200, size=64), tmp_path / "run")

    generator, discriminator = (net.double() for net in tutorial_nets(3, 20, 8, 8))
    generator.load_state_dict(start["generator"])
    discriminator.load_state_dict(start["discriminator"])
    theirs = tutorial_steps(generator, discriminator, batches)
    assert len(theirs) == 20
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    trained = state(tmp_path / "run")["networks"]
    for name, net in (("generator", generator), ("discriminator", discriminator)):
        for key, value in net.state_dict().items():
            torch.testing.assert_close(trained[name][f"main.{key}"], value, atol=1e-5, rtol=1e-4)


def test_images_are_scaled_as_the_tutorial_scales_them():
    pixels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    tutorials = Compose([ToTensor(), Normalize((0.5,) * 3, (0.5,) * 3)])
    expected = torch.stack([tutorials(Image.fromarray(p.permute(1, 2, 0).numpy())) for p in pixels])
    torch.testing.assert_close(Networks(TINY, settings()).prepared(pixels), expected, atol=1e-6, rtol=0)


STEPS = [
    *({"loss": loss} for loss in LOSSES),
    {"r1": 1.0},
    {"r1": 10.0, "d_norm": "none"},
    {"loss": "relativistic", "r1": 1.0, "r2": 1.0, "d_norm": "none"},
    {"loss": "hinge", "d_norm": "spectral"},
    {"d_norm": "spectral", "r1": 1.0, "augment": "color,translation,cutout"},
    {"lr_d": 0.001, "beta1": 0.0},
    {"precision": "bf16", "r2": 1.0, "loss": "hinge"},
    {"precision": "bf16", "r1": 1.0, "augment": "color,translation,cutout"},
    {"precision": "bf16", "d_norm": "spectral", "loss": "lsgan"},
    {"nc": 1, "augment": "color"},
    dict(RECIPES["best"], batch_size=8),
    RECIPES["dcgan"],
]


def batch(nc: int = 3) -> Tensor:
    return normalised(in_memory(8, nc=nc).batch(np.arange(8)))


@pytest.mark.parametrize("choice", STEPS, ids=str)
def test_every_choice_takes_steps_with_finite_figures_and_trains_both_networks(choice):
    shape = {k: v for k, v in choice.items() if k in ("nc", "d_norm", "d_bias")}
    model, config = replace(TINY, **shape), settings(**{k: choice[k] for k in choice.keys() - shape.keys()})
    nets = Networks(model, config)
    before = copy.deepcopy(nets.state_dict())
    for number in range(3):
        stats = adversarial_step(
            nets, batch(model.nc), torch.randn(8, 8, 1, 1), number == 0 and config.r1 + config.r2 > 0
        )
        assert stats.shape == (5,)
        assert torch.isfinite(stats).all()
        assert ((stats[2:] >= 0) & (stats[2:] <= 1)).all()
    assert nets.finite()
    for name, net in (("generator", nets.generator), ("discriminator", nets.discriminator)):
        for key, parameter in net.named_parameters():
            if parameter.ndim > 1:  # the last bias gets no gradient from a loss of differences
                assert not torch.equal(parameter, before[name][key]), key


@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_a_penalty_flattens_the_discriminator(penalty):
    def slope(weight: float) -> float:
        nets = Networks(replace(TINY, d_norm="none"), settings(lr=0.002, **{penalty: weight}))
        for _ in range(15):
            adversarial_step(nets, batch(), torch.randn(8, 8, 1, 1), weight > 0)
        images = batch().requires_grad_()
        (gradient,) = torch.autograd.grad(nets.discriminator(images).sum(), images)
        return gradient.square().sum().item()

    assert slope(10.0) < 0.5 * slope(0.0)


# Adaptive augmentation


@pytest.mark.parametrize("brightness", [1.0, 0.7, 0.0])
def test_overfitting_is_0_where_unseen_photos_look_like_seen_ones_and_1_where_they_look_like_fakes(brightness):
    images = in_memory(400)
    nets = Networks(TINY, settings())
    everything = {image.tobytes() for image in images.pixels}
    seen = {image.tobytes() for image in images.pixels[images.training]}

    def logits(batch: Tensor) -> Tensor:
        """1 for photos that were trained on, 0 for fakes, `brightness` for other photos."""
        pictures = [bytes(x) for x in ((batch + 1) * 127.5).round().byte().numpy()]
        return torch.tensor([1.0 if p in seen else brightness if p in everything else 0.0 for p in pictures])

    nets.discriminator.forward = logits  # type: ignore[method-assign]
    assert overfitting(nets, images) == pytest.approx(1 - brightness)
    assert nets.discriminator.training


def test_more_is_altered_while_the_discriminator_overfits_and_less_when_not(tmp_path, monkeypatch):
    levels, shares, augment = iter([0.9, 0.9, 0.9, 0.1, 0.1, 0.9]), [], step.augment
    monkeypatch.setattr(adaptive, "overfitting", lambda nets, images: next(levels))
    monkeypatch.setattr(step, "augment", lambda x, policy, share: shares.append(share) or augment(x, policy, share))
    nets = state(train_tiny(tmp_path / "run", augment="translation", adapt=0.3, tick=8, max_images=48))["networks"]
    assert shares[::3] == [0.0, 0.1, 0.2, 0.3, 0.2, 0.1]
    assert nets["altered"] == 0.2


def test_looking_for_overfitting_does_not_change_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(adaptive, "ADAPT_STEP", 0.0)
    monkeypatch.setattr(step, "augment", lambda x, policy, share: x)
    choice = {"augment": "color", "tick": 16, "max_images": 48}
    plain, adapted = (
        state(train_tiny(tmp_path / str(threshold), adapt=threshold, **choice))["networks"] for threshold in (0.0, 0.3)
    )
    assert identical(plain["generator"], adapted["generator"])


# The average


def test_the_average_is_the_one_computed_by_hand_with_batch_norms_statistics():
    nets, seen = Networks(TINY, settings(ema=50)), 0
    averaged = {name: value.clone() for name, value in nets.generator.state_dict().items()}
    for _ in range(70):
        adversarial_step(nets, batch(), torch.randn(8, 8, 1, 1))
        seen += 8
        nets.average(8, seen)
        keep = 0.5 ** (8 / min(50, seen / 10))  # the half-life is a tenth of the images seen, 50 in the end
        for name, value in nets.generator.state_dict().items():
            old = averaged[name]
            averaged[name] = keep * old + (1 - keep) * value if value.is_floating_point() else value.clone()
    shown = nets.shown.state_dict()
    assert shown["main.1.num_batches_tracked"] == 70
    for name, value in averaged.items():
        torch.testing.assert_close(shown[name], value, atol=1e-5, rtol=1e-4)
    assert not torch.equal(shown["main.1.running_var"], nets.generator.state_dict()["main.1.running_var"])


def test_the_average_is_a_network_of_its_own_with_batchnorm_statistics_of_its_own():
    nets = Networks(TINY, settings(ema=100))
    assert nets.shown is not nets.generator
    assert not nets.shown.training
    assert not any(parameter.requires_grad for parameter in nets.shown.parameters())
    with torch.no_grad():
        for name, value in nets.shown.state_dict().items():
            if "running" in name:
                value.fill_(7)
    nets.calibrate()
    noise = latents(range(1000), TINY.nz)[:, :, None, None]
    shown = nets.shown(noise)
    nets.shown.train()
    assert torch.allclose(nets.shown(noise).std(), shown.std(), rtol=0.05), "the same with the statistics of its batch"
