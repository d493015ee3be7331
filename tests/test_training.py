"""The training loop: the tutorial's mathematics, what a run writes, and going on after any kind of end."""

import contextlib
import copy
import errno
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms import Compose, Normalize, ToTensor

import train
from dcgan import checkpoint
from dcgan.checkpoint import load_checkpoint
from dcgan.data.images import Images
from dcgan.data.sources import DataError
from dcgan.latents import latents
from dcgan.metrics.distances import Quality
from dcgan.model import ModelConfig
from dcgan.pictures import normalised
from dcgan.training import figures, readings
from dcgan.training import loop as training
from dcgan.training import run as runs
from dcgan.training.config import RECIPES, TrainConfig, configure
from dcgan.training.doctor import Doctor
from dcgan.training.loop import adversarial_step
from dcgan.training.losses import LOSSES
from dcgan.training.networks import Networks
from dcgan.training.run import TrainingError
from dcgan.training.signals import ending_well

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
TINY = ModelConfig(image_size=16, nz=8, ngf=8, ndf=8)
TINY_FLAGS = ["--image-size=16", "--nz=8", "--ngf=8", "--ndf=8", "--batch-size=8", "--workers=0", "--ngpu=0"]
LINE = re.compile(
    r"\[(\d+)/(\d+)\]\[(\d+)/(\d+)\]\tLoss_D: (\d+\.\d{4})\tLoss_G: (\d+\.\d{4})\t"
    r"D\(x\): (\d\.\d{4})\tD\(G\(z\)\): (\d\.\d{4}) / (\d\.\d{4})"
)


def in_memory(count: int = 40, size: int = 16, nc: int = 3) -> Images:
    """Soft random pictures that need no file."""
    coarse = torch.rand(count, nc, 4, 4, generator=torch.Generator().manual_seed(0))
    pixels = nn.functional.interpolate(coarse, size, mode="bilinear").mul(255).byte().numpy()
    return Images("made", pixels, [f"{i:06d}.png" for i in range(count)], [], "digest")


def settings(**changes) -> TrainConfig:
    return TrainConfig(**{"batch_size": 8, "max_images": 32, "ngpu": 0, "workers": 0, **changes})


@pytest.fixture
def no_figures(monkeypatch) -> None:
    """Leave out the drawing, where nobody looks."""
    for name in ("labelled", "loss_plot", "animation"):
        monkeypatch.setattr(figures, name, lambda *_: None)


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def state(run: Path) -> dict:
    return torch.load(run / "state" / "state.pt", weights_only=True)


def identical(a: object, b: object) -> bool:
    """Whether two saved states are the same, bit for bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(identical(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# The step


def tutorial_steps(
    generator: nn.Module, discriminator: nn.Module, batches: list[tuple[Tensor, Tensor]], on_logits: bool = False
) -> list[dict]:
    """The loop of the PyTorch tutorial: its five printed figures of each iteration, and the state before it.

    on_logits: D is without its last sigmoid, which the loss then brings along.
    """
    criterion = nn.BCEWithLogitsLoss() if on_logits else nn.BCELoss()
    belief = torch.sigmoid if on_logits else nn.Identity()
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=0.0002, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=0.0002, betas=(0.5, 0.999))
    parts = {
        "generator": generator,
        "discriminator": discriminator,
        "optimizer_d": optimizer_d,
        "optimizer_g": optimizer_g,
    }
    steps = []
    for real, noise in batches:
        before = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
        discriminator.zero_grad()
        label = torch.full((len(real),), 1.0, dtype=real.dtype)
        output = discriminator(real).view(-1)
        error_real = criterion(output, label)
        error_real.backward()
        d_x = belief(output).mean().item()

        fake = generator(noise)
        label.fill_(0.0)
        output = discriminator(fake.detach()).view(-1)
        error_fake = criterion(output, label)
        error_fake.backward()
        d_g_z1 = belief(output).mean().item()
        error_d = error_real + error_fake
        optimizer_d.step()

        generator.zero_grad()
        label.fill_(1.0)
        output = discriminator(fake).view(-1)
        error_g = criterion(output, label)
        error_g.backward()
        d_g_z2 = belief(output).mean().item()
        optimizer_g.step()
        steps.append({**before, "figures": [error_d.item(), error_g.item(), d_x, d_g_z1, d_g_z2]})
    return steps


def test_the_dcgan_recipe_is_the_tutorials_loop(tutorial_nets, tmp_path, monkeypatch, no_figures):
    """Twenty steps of `train` replayed by the tutorial's own code, on the same weights, batches and noise.

    In float64: in float32 Adam's first steps, which depend on a gradient's sign alone, make rounding grow tenfold a
    step, and the tutorial's loop does not agree with itself once its loss takes logits.
    """
    start, batches, ours = {}, [], []

    def recorded(nets, config, real, noise, *rest):
        if not start:
            nets.generator.double()
            nets.discriminator.double()
            start["generator"] = copy.deepcopy(nets.generator.main.state_dict())
            start["discriminator"] = copy.deepcopy(nets.discriminator.main.state_dict())
        real, noise = real.double(), noise.double()
        batches.append((real.clone(), noise.clone()))
        stats = adversarial_step(nets, config, real, noise, *rest)
        ours.append(stats.tolist())
        return stats

    monkeypatch.setattr(training, "adversarial_step", recorded)
    model, config = configure(RECIPES["dcgan"])
    assert model == ModelConfig()
    config = replace(config, batch_size=8, epochs=0, max_images=160, ngpu=0)
    run = tmp_path / "run"
    training.train(ModelConfig(nz=20, ngf=8, ndf=8), config, in_memory(200, size=64), run)

    generator, discriminator = (net.double() for net in tutorial_nets(3, 20, 8, 8))
    generator.load_state_dict(start["generator"])
    discriminator.load_state_dict(start["discriminator"])
    theirs = [step["figures"] for step in tutorial_steps(generator, discriminator, batches)]
    assert len(theirs) == 20
    np.testing.assert_allclose(ours, theirs, atol=1e-5)

    trained = state(run)["networks"]
    for name, net in (("generator", generator), ("discriminator", discriminator)):
        for key, value in net.state_dict().items():
            torch.testing.assert_close(trained[name][f"main.{key}"], value, atol=1e-5, rtol=1e-4)


def test_twenty_steps_in_fp32_are_the_tutorials():
    """Not a bit apart, where the tutorial's loss takes logits as ours does: there is no rounding left to grow."""
    ours, theirs = (Networks(ModelConfig(), TrainConfig(ngpu=0), CPU) for _ in range(2))
    stream = in_memory(200, size=64).batches(4, seed=0)
    batches = [(normalised(next(stream)), torch.randn(4, 100, 1, 1)) for _ in range(20)]
    expected = [s["figures"] for s in tutorial_steps(theirs.generator, theirs.discriminator, batches, on_logits=True)]
    step = training.stepper(ours, TrainConfig(ngpu=0), contextlib.nullcontext)
    figures = [step(real.clone(), noise).tolist() for real, noise in batches]
    np.testing.assert_allclose(figures, expected, atol=1e-4)


def test_each_step_in_fp32_agrees_with_the_tutorials(tutorial_nets):
    """Each of twenty steps from the weights and the moments that the tutorial's loop has then."""
    nets = Networks(ModelConfig(nz=20, ngf=8, ndf=8), TrainConfig(ngpu=0), CPU)
    generator, discriminator = tutorial_nets(3, 20, 8, 8)
    generator.load_state_dict(nets.generator.main.state_dict())
    discriminator.load_state_dict(nets.discriminator.main.state_dict())
    stream = in_memory(200, size=64).batches(8, seed=0)
    batches = [(normalised(next(stream)), torch.randn(8, 20, 1, 1)) for _ in range(20)]
    for (real, noise), step in zip(batches, tutorial_steps(generator, discriminator, batches), strict=True):
        nets.generator.main.load_state_dict(step["generator"])
        nets.discriminator.main.load_state_dict(step["discriminator"])
        nets.opt_g.load_state_dict(step["optimizer_g"])
        nets.opt_d.load_state_dict(step["optimizer_d"])
        ours = adversarial_step(nets, TrainConfig(), real, noise, contextlib.nullcontext)
        np.testing.assert_allclose(ours.tolist(), step["figures"], atol=1e-4)


def test_images_are_scaled_as_the_tutorial_scales_them():
    pixels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    tutorials = Compose([ToTensor(), Normalize((0.5,) * 3, (0.5,) * 3)])
    expected = torch.stack([tutorials(Image.fromarray(p.permute(1, 2, 0).numpy())) for p in pixels])
    torch.testing.assert_close(normalised(pixels), expected, atol=1e-6, rtol=0)


def test_weights_start_from_the_seed():
    first, again, other = (Networks(TINY, settings(seed=seed), CPU).state_dict() for seed in (1, 1, 2))
    assert identical(first, again)
    assert not identical(first, other)


STEPS = [
    *({"loss": loss} for loss in LOSSES),
    {"r1": 1.0},
    {"r1": 10.0, "d_norm": "none"},
    {"loss": "relativistic", "r1": 1.0, "d_norm": "none"},
    {"loss": "hinge", "d_norm": "spectral"},
    {"d_norm": "spectral", "r1": 1.0, "augment": "color,translation,cutout"},
    {"lr_d": 0.001, "beta1": 0.0},
    {"lecam": 0.3},
    {"loss": "relativistic", "r1": 1.0, "r2": 1.0, "d_norm": "none"},
    {"precision": "bf16", "r2": 1.0, "lecam": 0.3, "loss": "hinge"},
    {"precision": "bf16", "r1": 1.0, "augment": "color,translation,cutout"},
    {"precision": "bf16", "d_norm": "spectral", "loss": "lsgan"},
    {"nc": 1, "augment": "color"},
    dict(RECIPES["best"], batch_size=8),
    RECIPES["dcgan"],
]


@pytest.mark.parametrize("choice", STEPS, ids=str)
def test_every_choice_takes_steps_with_finite_figures_and_trains_both_networks(choice):
    shape = {k: v for k, v in choice.items() if k in ("nc", "d_norm", "d_bias")}
    model, config = replace(TINY, **shape), settings(**{k: choice[k] for k in choice.keys() - shape.keys()})
    nets = Networks(model, config, CPU)
    before = copy.deepcopy(nets.state_dict())
    cast = training.autocast(config.precision, CPU)
    images = normalised(in_memory(8, nc=model.nc).batch(np.arange(8)))
    for step in range(3):
        noise = torch.randn(8, model.nz, 1, 1)
        stats = adversarial_step(nets, config, images.clone(), noise, cast, config.r1 + config.r2 > 0 and step == 0)
        assert stats.shape == (5,)
        assert torch.isfinite(stats).all()
        assert ((stats[2:] >= 0) & (stats[2:] <= 1)).all()
    for name, net in (("generator", nets.generator), ("discriminator", nets.discriminator)):
        for key, parameter in net.named_parameters():
            assert torch.isfinite(parameter).all()
            assert parameter.requires_grad
            if parameter.ndim > 1:  # the last bias gets no gradient from a loss of differences
                assert not torch.equal(parameter, before[name][key]), key


@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_a_penalty_flattens_the_discriminator(penalty):
    def slope(weight: float) -> float:
        config = settings(lr=0.002, **{penalty: weight})
        nets = Networks(replace(TINY, d_norm="none"), config, CPU)
        images = normalised(in_memory(8).batch(np.arange(8)))
        for _ in range(15):
            noise = torch.randn(8, 8, 1, 1)
            adversarial_step(nets, config, images.clone(), noise, contextlib.nullcontext, weight > 0)
        images.requires_grad_()
        (gradient,) = torch.autograd.grad(nets.discriminator(images).sum(), images)
        return gradient.square().sum().item()

    assert slope(10.0) < 0.5 * slope(0.0)


def test_the_penalty_is_taken_every_16_iterations(tmp_path, monkeypatch, no_figures):
    taken = []

    def recorded(nets, config, real, noise, cast, with_penalty):
        taken.append(with_penalty)
        return adversarial_step(nets, config, real, noise, cast, with_penalty)

    monkeypatch.setattr(training, "adversarial_step", recorded)
    training.train(TINY, settings(r1=1.0, max_images=8 * 34, drop_last=True), in_memory(), tmp_path / "run")
    assert [i for i, penalty in enumerate(taken) if penalty] == [0, 16, 32]


def test_lecam_holds_the_discriminators_outputs_together():
    def gap(lecam: float) -> float:
        config = settings(lecam=lecam, lr=0.002)
        nets = Networks(TINY, config, CPU)
        images = normalised(in_memory(8).batch(np.arange(8)))
        for _ in range(15):
            adversarial_step(nets, config, images.clone(), torch.randn(8, 8, 1, 1), contextlib.nullcontext)
        real, fake = nets.anchors.tolist()
        return real - fake

    assert gap(0.0) == 0
    assert 0 < gap(3.0) < 0.7 * gap(0.001)


def test_overfitting_is_0_where_unseen_photos_look_like_seen_ones_and_1_where_they_look_like_fakes():
    images = in_memory(400)
    nets = Networks(TINY, settings(), CPU)

    def judge(brightness: float) -> None:
        """Have seen photos score 1 and fakes 0, and unseen ones as much as they are bright."""
        seen = {image.tobytes() for image in images.pixels[images.training]}

        def logits(batch: Tensor) -> Tensor:
            known = [bytes(x) in seen for x in ((batch + 1) * 127.5).round().byte().numpy()]
            real = [bytes(x) in everything for x in ((batch + 1) * 127.5).round().byte().numpy()]
            return torch.tensor([1.0 if k else brightness if r else 0.0 for k, r in zip(known, real, strict=True)])

        everything = {image.tobytes() for image in images.pixels}
        nets.discriminator.forward = logits  # type: ignore[method-assign]

    for brightness in (1.0, 0.7, 0.0):
        judge(brightness)
        assert training.overfitting(nets, images) == pytest.approx(1 - brightness)
    assert nets.discriminator.training


def test_more_is_altered_while_the_discriminator_overfits_and_less_when_not(tmp_path, monkeypatch, no_figures):
    levels = iter([0.9, 0.9, 0.9, 0.1, 0.1, 0.9])
    monkeypatch.setattr(training, "overfitting", lambda nets, images: next(levels))
    shares = []
    augment = training.augment
    monkeypatch.setattr(training, "augment", lambda x, policy, share: shares.append(share) or augment(x, policy, share))
    config = settings(augment="translation", adapt=0.3, tick=8, max_images=48, drop_last=True)
    training.train(TINY, config, in_memory(), tmp_path / "run")
    assert shares[::3] == [0.0, 0.1, 0.2, 0.3, 0.2, 0.1]
    assert state(tmp_path / "run")["networks"]["altered"] == 0.2


def test_looking_for_overfitting_does_not_change_the_training(tmp_path, monkeypatch, no_figures):
    monkeypatch.setattr(training, "ADAPT_STEP", 0.0)
    for name, adapt in (("plain", 0.0), ("adaptive", 0.3)):
        monkeypatch.setattr(training, "augment", lambda x, policy, share: x)
        config = settings(augment="color", adapt=adapt, tick=16, max_images=48)
        training.train(TINY, config, in_memory(), tmp_path / name)
    plain, adaptive = (state(tmp_path / name)["networks"]["generator"] for name in ("plain", "adaptive"))
    assert identical(plain, adaptive)


def test_a_broken_run_keeps_the_moments_that_an_unbroken_one_keeps(tmp_path, monkeypatch, no_figures):
    """Also where it breaks off after later ones took the place of those to keep."""
    monkeypatch.setattr(training, "EARLY_SNAPSHOTS", range(0, 200, 8))
    config, steps = settings(tick=64, max_images=192, moments=4, drop_last=True), []

    def breaks(nets, *args):
        steps.append(nets)
        if len(steps) == 15:
            raise OSError("the power went")
        return adversarial_step(nets, *args)

    def kept(run: str) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (tmp_path / run / "generators").iterdir()}

    training.train(TINY, config, in_memory(), tmp_path / "unbroken")
    training.train(TINY, replace(config, max_images=64), in_memory(), tmp_path / "saved")
    monkeypatch.setattr(training, "adversarial_step", breaks)
    with pytest.raises(OSError, match="power"):
        training.train(TINY, config, in_memory(), tmp_path / "broken")
    assert kept("saved").keys() < kept("broken").keys()
    training.train(TINY, config, in_memory(), tmp_path / "broken", resume=True)
    assert len(kept("unbroken")) == 4
    assert kept("broken") == kept("unbroken")


# Going wrong


def poisoned_at(monkeypatch, *steps: int, loss: bool = False) -> list[float]:
    """Put a NaN into the generator after these calls of the step, or only into its figures; returns D's rates."""
    rates: list[float] = []

    def poisoned(nets, *args):
        rates.append(nets.opt_d.param_groups[0]["lr"])
        stats = adversarial_step(nets, *args)
        if len(rates) in steps:
            if loss:
                return stats * torch.nan
            with torch.no_grad():
                nets.generator.main[0].weight[0, 0, 0, 0] = torch.nan
        return stats

    monkeypatch.setattr(training, "adversarial_step", poisoned)
    return rates


def test_the_learning_rates_fall_at_the_end_tick_by_tick_and_a_resumed_run_falls_alike(
    tmp_path, monkeypatch, no_figures
):
    rates = poisoned_at(monkeypatch)
    config = settings(tick=16, max_images=80, decay=48, lr=0.001, lr_d=0.002, drop_last=True)
    training.train(TINY, config, in_memory(), tmp_path / "whole")
    assert rates[::2] == pytest.approx([0.002, 0.002, 0.002, 0.002 * 2 / 3, 0.002 / 3])
    assert state(tmp_path / "whole")["networks"]["opt_g"]["param_groups"][0]["lr"] == pytest.approx(0.0001)
    training.train(TINY, replace(config, max_images=64), in_memory(), tmp_path / "parts")
    training.train(TINY, config, in_memory(), tmp_path / "parts", resume=True)
    assert rates[-2:] == rates[8:10]


@pytest.mark.parametrize(("step", "loss"), [(7, False), (8, True)], ids=["weights", "loss"])
def test_a_step_that_breaks_the_networks_is_undone_at_a_lower_rate(
    tmp_path, monkeypatch, capsys, no_figures, step, loss
):
    rates = poisoned_at(monkeypatch, step, loss=loss)
    run = tmp_path / "run"
    training.train(TINY, settings(drop_last=True, tick=16, max_images=96), in_memory(), run)
    assert "back to the state of 48 images" in capsys.readouterr().out
    assert rates == [0.0002] * 8 + [0.0001] * 6
    seen = [row["images_seen"] for row in rows(run)]
    assert seen == list(range(8, 97, 8))
    weights = load_checkpoint(run).generator.state_dict().values()
    assert all(torch.isfinite(value).all() for value in weights)


def test_figures_that_come_late_as_from_a_gpu_are_those_of_one_rescue(tmp_path, monkeypatch, capsys, no_figures):
    class Late(readings.Reading):
        def __init__(self, *args):
            super().__init__(*args)
            self.arrived = SimpleNamespace(synchronize=lambda: None)

    monkeypatch.setattr(readings, "Reading", Late)
    monkeypatch.setattr(training, "STATS_EVERY", 1)
    poisoned_at(monkeypatch, 3)
    training.train(TINY, settings(drop_last=True, tick=64, max_images=64), in_memory(), tmp_path / "run")
    assert capsys.readouterr().out.count("back to the state of 0 images") == 1
    assert load_checkpoint(tmp_path / "run").images_seen == 64


def test_networks_that_break_again_stop_the_run_with_everything_saved(tmp_path, monkeypatch, no_figures):
    rates = poisoned_at(monkeypatch, 3, 7)
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"stopped, with the state of 32 images saved.*--lr"):
        training.train(TINY, settings(drop_last=True, tick=16, max_images=96), in_memory(), run)
    assert len(rates) == 8
    assert state(run)["seen"] == load_checkpoint(run).images_seen == 32
    assert all(torch.isfinite(value).all() for value in load_checkpoint(run).generator.state_dict().values())
    monkeypatch.setattr(training, "adversarial_step", adversarial_step)
    training.train(TINY, settings(drop_last=True, tick=16, max_images=96), in_memory(), run, resume=True)
    assert load_checkpoint(run).images_seen == 96


def test_networks_that_break_before_the_first_tick_start_again(tmp_path, monkeypatch, capsys, no_figures):
    poisoned_at(monkeypatch, 1)
    training.train(TINY, settings(drop_last=True, tick=48, max_images=96), in_memory(), tmp_path / "run")
    assert "back to the state of 0 images" in capsys.readouterr().out


def test_the_doctor_is_heard_during_a_run(tmp_path, monkeypatch, capsys, no_figures):
    monkeypatch.setattr(Doctor, "examine", lambda self, rows, faces: [f"{len(rows)} rows, {tuple(faces.shape)}"])
    training.train(TINY, settings(drop_last=True, tick=16, max_images=48), in_memory(), tmp_path / "run")
    assert capsys.readouterr().out.count("2 rows, (64, 3, 16, 16)") == 3


# Keeping the best


@pytest.fixture
def graded(monkeypatch) -> Callable[..., None]:
    """Have these grades given, one after the other."""

    def arrange(*grades: float) -> None:
        remaining = iter(grades)

        def grade(self: Quality, generator: nn.Module) -> dict[str, float]:
            torch.randn(7)  # must not be felt in the training
            return {"fd": next(remaining), "other": 1.0}

        monkeypatch.setattr(Quality, "__init__", lambda self, images, device: None)
        monkeypatch.setattr(Quality, "floor", {"ffd": 0.5}, raising=False)
        monkeypatch.setattr(Quality, "real", torch.zeros(7), raising=False)
        monkeypatch.setattr(Quality, "__call__", grade)
        monkeypatch.setattr(runs, "MIN_IMAGES", 10)

    return arrange


def test_the_best_of_all_measured_ticks_is_kept(tmp_path, graded, capsys, no_figures):
    graded(3.0, 1.0, 2.0)
    run = tmp_path / "run"
    training.train(TINY, settings(drop_last=True, tick=16, quality=2, max_images=96), in_memory(), run)
    kept = load_checkpoint(run)
    assert kept.images_seen == 64
    assert kept.config["metrics"] == {"fd": 1.0, "other": 1.0}
    assert kept.history[-1]["images_seen"] == kept.snapshots[-1].images_seen == 64
    assert state(run)["seen"] == 96
    assert [row["fd"] for row in rows(run) if "fd" in row] == [3.0, 1.0, 2.0]
    assert "after 64 images: fd 1" in capsys.readouterr().out


@pytest.mark.parametrize(("last", "kept"), [(1.005, 32), (1.02, 16)])
def test_of_two_that_are_as_good_but_for_noise_the_later_is_kept(tmp_path, graded, no_figures, last, kept):
    graded(1.0, last)
    training.train(TINY, settings(drop_last=True, tick=16, quality=1, max_images=32), in_memory(), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run").images_seen == kept


def test_the_best_is_remembered_when_a_run_goes_on(tmp_path, graded, no_figures):
    graded(1.0, 2.0, 3.0)
    run = tmp_path / "run"
    training.train(TINY, settings(drop_last=True, tick=16, quality=1, max_images=32), in_memory(), run)
    training.train(TINY, settings(drop_last=True, tick=16, quality=1, max_images=48), in_memory(), run, resume=True)
    assert load_checkpoint(run).images_seen == 16


def test_where_there_are_too_few_images_to_measure_by_the_last_is_kept(tmp_path, no_figures):
    training.train(TINY, settings(drop_last=True, tick=16, quality=1, max_images=48), in_memory(), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run").images_seen == 48


def test_measuring_does_not_change_the_training(tmp_path, graded, no_figures):
    graded(1.0, 2.0, 3.0)
    for name, quality in (("plain", 0), ("measured", 1)):
        training.train(
            TINY, settings(drop_last=True, tick=16, quality=quality, max_images=48), in_memory(), tmp_path / name
        )
    assert identical(state(tmp_path / "plain")["networks"], state(tmp_path / "measured")["networks"])


# Curves elsewhere


def test_a_library_for_curves_that_is_missing_is_one_line_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="--log wandb needs a library that is not here: pip install wandb"):
        training.train(TINY, settings(log="wandb"), in_memory(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["trackio", "wandb"])
def test_curves_go_to_the_library_named(tmp_path, monkeypatch, no_figures, kind):
    logged = []
    library = SimpleNamespace(init=lambda **kw: logged.append(kw), log=logged.append)
    monkeypatch.setitem(sys.modules, kind, library)
    training.train(TINY, settings(log=kind, tick=16, max_images=32), in_memory(), tmp_path / "mine")
    assert logged[0]["name"] == "mine"
    assert logged[0]["config"]["lr"] == 0.0002
    assert [row["images_seen"] for row in logged[1:]] == [16, 32]
    assert {"loss_d", "loss_g", "d_real"} < logged[1].keys()


def test_curves_go_to_tensorboard(tmp_path, monkeypatch, no_figures):
    drawn = []
    writer = SimpleNamespace(add_scalar=lambda *args: drawn.append(args), flush=lambda: None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=lambda folder: writer))
    training.train(TINY, settings(log="tensorboard", tick=16, max_images=32), in_memory(), tmp_path / "run")
    assert [seen for name, _, seen in drawn if name == "loss_g"] == [16, 32]


# The average


def test_the_average_is_the_one_computed_by_hand_with_batch_norms_statistics():
    config = settings(ema=50)
    nets = Networks(TINY, config, CPU)
    averaged = {name: value.clone() for name, value in nets.generator.state_dict().items()}
    images, seen = normalised(in_memory(8).batch(np.arange(8))), 0
    cast = training.autocast("fp32", CPU)
    for _ in range(70):
        adversarial_step(nets, config, images.clone(), torch.randn(8, 8, 1, 1), cast)
        seen += 8
        nets.average(8, config.ema, seen)
        keep = 0.5 ** (8 / min(50, seen / 10))  # the half-life is a tenth of the images seen, 50 in the end
        for name, value in nets.generator.state_dict().items():
            old = averaged[name]
            averaged[name] = keep * old + (1 - keep) * value if value.is_floating_point() else value.clone()
    shown = nets.shown.state_dict()
    assert any("running_var" in name for name in shown)
    assert shown["main.1.num_batches_tracked"] == 70
    for name, value in averaged.items():
        torch.testing.assert_close(shown[name], value, atol=1e-5, rtol=1e-4)
    assert not torch.equal(shown["main.1.running_var"], nets.generator.state_dict()["main.1.running_var"])


def test_after_a_half_life_half_of_the_old_weights_is_left():
    nets = Networks(TINY, settings(ema=800), CPU)
    with torch.no_grad():
        for parameter in nets.shown.parameters():
            parameter.fill_(1.0)
        for parameter in nets.generator.parameters():
            parameter.fill_(0.0)
    for step in range(100):
        nets.average(8, 800, 1_000_000 + 8 * step)
    for parameter in nets.shown.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, 0.5))


def test_the_averaged_generator_is_in_eval_mode_and_apart_from_the_trained_one():
    nets = Networks(TINY, settings(ema=1000), CPU)
    assert nets.shown is not nets.generator
    assert not nets.shown.training
    assert not any(parameter.requires_grad for parameter in nets.shown.parameters())
    assert nets.generator.training


def test_without_an_average_the_trained_generator_is_shown():
    nets = Networks(TINY, settings(ema=0), CPU)
    assert nets.shown is nets.generator


# A whole run


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory) -> tuple[Path, str]:
    """A run of the tutorial's recipe over 11 epochs of 40 photos, and what it printed."""
    run = tmp_path_factory.mktemp("finished") / "run"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        flags = ["--recipe", "dcgan", "--epochs", "11", "--tick", "100", *TINY_FLAGS]
        assert train.main(["--dataroot", str(photos), "--out", str(run), *flags]) == 0
    return run, out.getvalue()


def test_a_run_writes_a_checkpoint_the_tutorials_figures_and_its_history(finished):
    run, _ = finished
    assert {path.name for path in run.iterdir()} == {
        "checkpoint",
        "history.jsonl",
        "loss.png",
        "progress.webp",
        "real_vs_fake.png",
        "snapshots",
        "state",
        "training_images.png",
    }


@pytest.mark.parametrize("name", ["training_images.png", "loss.png", "real_vs_fake.png"])
def test_the_figures_show_something(finished, name):
    with Image.open(finished[0] / name) as picture:
        assert min(picture.size) > 300
        assert len(picture.convert("RGB").getcolors(10**6)) > 20


def test_the_animation_has_a_frame_for_each_snapshot(finished):
    run, _ = finished
    with Image.open(run / "progress.webp") as animation:
        assert animation.is_animated
        assert animation.n_frames == len(list((run / "snapshots").iterdir()))


def test_history_has_a_row_for_each_iteration(finished):
    run, _ = finished
    history = rows(run)
    per_epoch = load_checkpoint(run).config["data"]["count"]
    batches = [8] * (per_epoch // 8) + [per_epoch % 8] * (per_epoch % 8 > 0)
    assert [row["images_seen"] for row in history] == np.cumsum(batches * 11).tolist()
    for row in history:
        assert list(row) == ["images_seen", "loss_d", "loss_g", "d_real", "d_fake", "d_fake_after"]
        assert all(np.isfinite(value) for value in row.values())


def test_the_tutorials_line_is_printed_every_50_iterations(finished):
    run, out = finished
    history = rows(run)
    per_epoch = len(history) // 11
    lines = [LINE.fullmatch(line) for line in out.splitlines() if "Loss_D" in line]
    assert all(lines)
    assert len(lines) == -(-len(history) // 50)
    for i, line in enumerate(lines):
        epoch, within = divmod(50 * i, per_epoch)
        assert [int(n) for n in line.groups()[:4]] == [epoch, 11, within, per_epoch]
        figures_there = [float(n) for n in line.groups()[4:]]
        assert figures_there == pytest.approx(list(history[50 * i].values())[1:], abs=2e-4)


def test_the_seed_is_printed(finished):
    assert "Random Seed: 999" in finished[1]


def test_snapshots_show_64_faces_at_the_start_at_each_tick_and_at_the_end(finished):
    run, _ = finished
    end = rows(run)[-1]["images_seen"]
    found = sorted(int(path.stem) for path in (run / "snapshots").iterdir())
    assert found[0] == 0
    assert found[-1] == end
    for tick in range(100, end, 100):
        assert any(tick <= seen < tick + 8 for seen in found)
    for path in (run / "snapshots").iterdir():
        with Image.open(path) as grid:
            assert grid.size == (8 * 16, 8 * 16)


def test_the_checkpoint_is_of_the_end_and_complete(finished):
    run, _ = finished
    checkpoint = load_checkpoint(run)
    assert checkpoint.images_seen == rows(run)[-1]["images_seen"]
    assert checkpoint.name == "run"
    assert checkpoint.model == TINY
    assert checkpoint.history == rows(run)
    assert contents(checkpoint.folder / "snapshots") == contents(run / "snapshots")
    assert checkpoint.discriminator(torch.zeros(1, 3, 16, 16)).isfinite().all()


def test_the_config_says_how_and_on_what_it_was_trained_but_names_no_path(finished, photos):
    run, _ = finished
    config = load_checkpoint(run).config
    assert config["train"]["recipe"] == "dcgan"
    assert config["train"]["lr"] == 0.0002
    assert config["data"]["name"] == photos.name
    assert 0 < config["data"]["count"] < 40
    assert config["data"]["digest"]
    assert config["versions"]["torch"] == torch.__version__
    for path in (run / "checkpoint").rglob("*"):
        if path.suffix in (".json", ".jsonl", ".md"):
            assert str(photos.parent) not in path.read_text()


def test_the_card_shows_the_last_snapshot_and_says_what_was_done(finished):
    run, _ = finished
    card = (run / "checkpoint" / "README.md").read_text()
    (picture,) = re.findall(r"\((snapshots/\d+\.webp)\)", card)
    assert (run / "checkpoint" / picture).is_file()
    assert "--recipe dcgan" in card


def test_the_dcgan_recipe_keeps_the_generator_as_trained(finished):
    run, _ = finished
    kept = load_file(run / "checkpoint" / "generator.safetensors")
    for name, value in state(run)["networks"]["generator"].items():
        assert torch.equal(kept[name], value.half() if value.is_floating_point() else value)


def test_the_best_recipe_keeps_the_average(tmp_path, no_figures):
    _, config = configure({**RECIPES["best"], "batch_size": 8, "max_images": 40, "ngpu": 0})
    training.train(TINY, config, in_memory(), tmp_path / "run")
    kept = load_file(tmp_path / "run" / "checkpoint" / "generator.safetensors")
    nets = state(tmp_path / "run")["networks"]
    assert all(torch.equal(kept[name], value.half()) for name, value in nets["shown"].items() if value.ndim)
    assert not torch.equal(kept["main.0.weight"], nets["generator"]["main.0.weight"].half())


def test_the_average_is_shown_with_batchnorm_statistics_of_its_own():
    nets = Networks(TINY, settings(ema=100), CPU)
    with torch.no_grad():
        for name, value in nets.shown.state_dict().items():
            if "running" in name:
                value.fill_(7)
    nets.calibrate()
    noise = latents(range(1000), TINY.nz)[:, :, None, None]
    shown = nets.shown(noise)
    nets.shown.train()
    assert torch.allclose(nets.shown(noise).std(), shown.std(), rtol=0.05), "the same with the statistics of its batch"
    assert nets.shown.eval() is not nets.generator


def test_a_run_keeps_so_many_generators_of_its_course(tmp_path, no_figures):
    config = settings(moments=3, tick=100, max_images=400, drop_last=True)
    checkpoint = load_checkpoint(training.train(TINY, config, in_memory(), tmp_path / "run"))
    assert len(checkpoint.moments) == 3
    assert checkpoint.moments[0].images_seen == 0
    assert checkpoint.moments[-1].images_seen == checkpoint.images_seen == 400
    then, now = (checkpoint.generator_at(checkpoint.moments[i]) for i in (0, -1))
    steps = zip(now.parameters(), checkpoint.generator.parameters(), strict=True)
    assert all(torch.allclose(a, b, rtol=0, atol=b.abs().max() / 100) for a, b in steps), "up to int8"
    assert not torch.equal(then.main[0].weight, now.main[0].weight)


def test_the_generator_as_trained_keeps_its_statistics():
    nets = Networks(TINY, settings(), CPU)
    before = copy.deepcopy(nets.shown.state_dict())
    nets.calibrate()
    assert all(torch.equal(before[name], value) for name, value in nets.shown.state_dict().items())


def test_the_same_seed_gives_the_same_run(finished, photos, tmp_path):
    run, _ = finished
    flags = ["--recipe", "dcgan", "--epochs", "11", "--tick", "100", *TINY_FLAGS]
    assert train.main(["--dataroot", str(photos), "--out", str(tmp_path / "run"), *flags]) == 0
    assert contents(tmp_path / "run" / "checkpoint") == contents(run / "checkpoint")
    assert identical(state(tmp_path / "run"), state(run))


def test_another_seed_gives_another_run(tmp_path, no_figures):
    for seed in (1, 2):
        training.train(TINY, settings(seed=seed, max_images=16), in_memory(), tmp_path / str(seed))
    one, other = (load_checkpoint(tmp_path / name).generator.state_dict() for name in ("1", "2"))
    assert not torch.equal(one["main.0.weight"], other["main.0.weight"])


def test_saving_and_snapshots_do_not_change_the_training(tmp_path, no_figures):
    for tick in (8, 1000):
        training.train(TINY, settings(tick=tick, max_images=64), in_memory(), tmp_path / str(tick))
    assert identical(state(tmp_path / "8")["networks"], state(tmp_path / "1000")["networks"])


def test_a_grid_is_drawn_every_500_iterations_and_at_even_steps_of_the_way():
    late, target = 10_000_000, 12_500 * training.SNAPSHOTS  # past the early ones
    due = [i for i in range(1, 1600) if training.snapshot_due(late + 8 * (i - 1), late + 8 * i, i, target)]
    assert due == [500, 1000, 1500, 1563]
    due = [i for i in range(1, 300) if training.snapshot_due(late + 128 * (i - 1), late + 128 * i, i, target)]
    assert due == [98, 196, 293]


@pytest.mark.parametrize("end", [100_000, RECIPES["best"]["max_images"], 600_000])
def test_a_run_makes_a_replay_of_60_to_100_frames(end):
    batch = RECIPES["best"]["batch_size"]
    frames = [i for i in range(1, end // batch + 1) if training.snapshot_due(batch * (i - 1), batch * i, i, end)]
    assert 60 <= len(frames) <= 100


def test_grey_images_train_too(tmp_path):
    training.train(replace(TINY, nc=1), settings(max_images=16), in_memory(nc=1), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run").model.nc == 1
    assert (tmp_path / "run" / "real_vs_fake.png").is_file()


# What stops it before it starts


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 1},
        {"epochs": -1},
        {"epochs": 0, "max_images": 0},
        {"tick": 0},
        {"lr": float("nan")},
        {"lr": -0.1},
        {"lr_d": float("inf")},
        {"beta1": 1.0},
        {"r1": -1.0},
        {"ema": -1},
        {"workers": -1},
        {"ngpu": -1},
        {"augment": "color,blur"},
        {"recipe": "better"},
        {"loss": "wgan"},
        {"precision": "bfloat16"},
        {"log": "paper"},
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_one_line_that_names_it(wrong):
    with pytest.raises(ValueError, match=list(wrong)[-1]) as caught:
        TrainConfig(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("duration", [{"max_images": 64}, {"max_images": 0, "epochs": 2}])
@pytest.mark.parametrize("drop_last", [False, True])
def test_fewer_images_than_a_batch_stop_it_before_anything_is_written(tmp_path, no_figures, duration, drop_last):
    with pytest.raises(DataError, match="fewer than one batch of 64"):
        training.train(TINY, settings(batch_size=64, drop_last=drop_last, **duration), in_memory(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("names", "warned"), [(1, True), (300, False)])
def test_files_of_one_name_that_spoil_the_held_out_tenth_are_warned_of(tmp_path, capsys, no_figures, names, warned):
    images = replace(in_memory(300), names=[f"{i}/{i % names:06d}.png" for i in range(300)])
    training.train(TINY, settings(max_images=8), images, tmp_path / "run")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: 0% of the images")]
    assert len(lines) == warned


def test_a_run_folder_that_cannot_be_made_is_one_line(tmp_path, no_figures):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError) as caught:
        training.train(TINY, settings(), in_memory(), tmp_path / "file" / "run")
    assert str(tmp_path / "file" / "run") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no state", b"\x80\x02cos\nsystem\n."])
def test_a_damaged_state_is_one_line_that_names_it(tmp_path, no_figures, content):
    training.train(TINY, settings(max_images=16), in_memory(), tmp_path / "run")
    path = tmp_path / "run" / "state" / "state.pt"
    path.write_bytes(content)
    with pytest.raises(TrainingError) as caught:
        training.train(TINY, settings(max_images=32), in_memory(), tmp_path / "run", resume=True)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_state_cut_anywhere_or_with_any_bit_flipped_is_refused_and_nothing_of_it_loaded(tmp_path, no_figures):
    training.train(TINY, settings(max_images=16), in_memory(), tmp_path / "run")
    path = tmp_path / "run" / "state" / "state.pt"
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        tensors = [entry.header_offset + 300 for entry in archive.infolist() if entry.file_size > 1_000]
    for place in (*tensors[:8], len(whole) // 2, len(whole) - 1):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            path.write_bytes(damaged)
            nets = Networks(TINY, settings(), CPU)
            before = copy.deepcopy(nets.state_dict())
            try:
                assert runs.restore(tmp_path / "run", nets, CPU) == 16
                assert len(damaged) == len(whole) and place not in tensors, "the padding between may be anything"
            except TrainingError as error:
                assert str(path) in str(error)
                assert "\n" not in str(error)
                assert identical(nets.state_dict(), before)


# Going on

UNBROKEN = ["--recipe", "best", "--ema", "100", "--max-images", "112", "--tick", "32", *TINY_FLAGS]

# A process that forks, once for each way to die, a child that trains until then.
DRIVER = """
import json, os, signal, sys, time
from pathlib import Path
import torch, train
from dcgan.training import loop as training

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def at_step(number, act, state=None):
    step, count = training.adversarial_step, 0
    def counted(*args):
        nonlocal count
        count += 1
        if count == number:
            while state and not state.exists():  # the save is under way
                time.sleep(0.01)
            act()
        return step(*args)
    training.adversarial_step = counted

def at_move(number, state):
    count = 0
    def counted(move):
        def moved(self, target):
            nonlocal count
            count += state.exists()
            if count == number:
                die()
            return move(self, target)
        return moved
    Path.rename, Path.replace = counted(Path.rename), counted(Path.replace)

def in_state(state):
    save = torch.save
    def cut(value, file):
        if state.exists():
            file.write(b"PK half of it")
            file.flush()
            die()
        save(value, file)
    torch.save = cut

argv, deaths = json.loads(sys.argv[1]), json.loads(sys.argv[2])
codes = {}
for name, (kind, number, run) in deaths.items():
    state = Path(run) / "state" / "state.pt"
    child = os.fork()
    if not child:
        code = 99
        try:
            if kind == "step": at_step(number, die, state if number > 4 else None)
            if kind == "move": at_move(number, state)
            if kind == "state": in_state(state)
            if kind == "signal": at_step(6, lambda: os.kill(os.getpid(), number))
            code = train.main([*argv, "--out", run])
        finally:
            os._exit(code)
    codes[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(codes))
"""

# Six moves make a save: the snapshot, the history, the checkpoint's history, the old checkpoint away, the new one
# in its place, and the state.
KILLED = {
    "before the first save": ("step", 3),
    "in a step after a save": ("step", 7),
    **{f"before move {n} of the second save": ("move", n) for n in (1, 3, 4, 5, 6)},
    "while writing the state": ("state", 0),
}
STOPPED = {"Ctrl-C": ("signal", int(signal.SIGINT)), "SIGTERM": ("signal", int(signal.SIGTERM))}


@pytest.fixture(scope="module")
def unbroken(photos, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("unbroken") / "run"
    assert train.main(["--dataroot", str(photos), "--out", str(run), *UNBROKEN]) == 0
    return run


@pytest.fixture(scope="module")
def broken(unbroken, photos, tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """Runs that came to each of these ends, and the exit codes of their processes."""
    folder = tmp_path_factory.mktemp("broken")
    deaths = {name: [*how, str(folder / name / "run")] for name, how in {**KILLED, **STOPPED}.items()}
    argv = ["--dataroot", str(photos), *UNBROKEN]
    child = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(argv), json.dumps(deaths)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    return folder, json.loads(child.stdout.splitlines()[-1])


def leftovers(run: Path) -> list[str]:
    return [path.name for path in run.rglob("*") if path.suffix in (".tmp", ".new", ".old")]


@pytest.mark.parametrize("end", KILLED)
def test_a_killed_run_goes_on_to_where_an_unbroken_one_ends_bit_for_bit(broken, unbroken, no_figures, end):
    folder, codes = broken
    assert codes[end] == -signal.SIGKILL
    run = folder / end / "run"
    assert train.main(["--out", str(run), "--resume"]) == 0
    assert identical(state(run), state(unbroken))
    assert contents(run / "checkpoint") == contents(unbroken / "checkpoint")
    assert contents(run / "snapshots") == contents(unbroken / "snapshots")
    assert rows(run) == rows(unbroken)
    assert leftovers(run) == []


@pytest.mark.parametrize("end", STOPPED)
def test_a_stopped_run_saves_exits_with_0_and_goes_on_bit_for_bit(broken, unbroken, no_figures, end):
    folder, codes = broken
    assert codes[end] == 0
    run = folder / end / "run"
    assert load_checkpoint(run).images_seen == 6 * 8
    assert (run / "progress.webp").is_file() == (end == "Ctrl-C"), "after SIGTERM there is no time for figures"
    assert leftovers(run) == []
    assert train.main(["--out", str(run), "--resume"]) == 0
    assert identical(state(run), state(unbroken))
    assert rows(run) == rows(unbroken)
    for name in ("generator.safetensors", "discriminator.safetensors", "history.jsonl", "config.json"):
        assert (run / "checkpoint" / name).read_bytes() == (unbroken / "checkpoint" / name).read_bytes()


@pytest.mark.parametrize("model", [TINY, replace(TINY, d_norm="spectral")], ids=["batch", "spectral"])
def test_a_run_in_two_parts_is_one_in_a_single_part_with_the_tutorials_short_last_batches(tmp_path, no_figures, model):
    options = {"r1": 1.0, "flip": True}
    training.train(model, settings(max_images=130, **options), in_memory(), tmp_path / "whole")
    training.train(model, settings(max_images=50, **options), in_memory(), tmp_path / "parts")
    training.train(model, settings(max_images=130, **options), in_memory(), tmp_path / "parts", resume=True)
    assert identical(state(tmp_path / "parts"), state(tmp_path / "whole"))
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")


def test_a_finished_run_taken_up_again_stays_as_it_is(tmp_path, no_figures):
    training.train(TINY, settings(), in_memory(), tmp_path / "run")
    before = contents(tmp_path / "run" / "checkpoint")
    training.train(TINY, settings(), in_memory(), tmp_path / "run", resume=True)
    assert contents(tmp_path / "run" / "checkpoint") == before


@pytest.fixture
def interrupting(monkeypatch) -> Callable[[int, int], None]:
    """Have Ctrl-C pressed so many times in this step."""

    def arrange(step: int, times: int) -> None:
        count = 0

        def pressed(*args):
            nonlocal count
            count += 1
            for _ in range(times if count == step else 0):
                signal.raise_signal(signal.SIGINT)
            return adversarial_step(*args)

        monkeypatch.setattr(training, "adversarial_step", pressed)

    return arrange


def test_ctrl_c_says_that_it_saves_and_gives_the_keys_back(tmp_path, capsys, no_figures, interrupting):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    interrupting(2, 1)
    training.train(TINY, settings(), in_memory(), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run").images_seen == 16
    assert "saving" in capsys.readouterr().out
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_ctrl_c_twice_stops_at_once_and_the_last_save_stands(tmp_path, no_figures, interrupting):
    interrupting(4, 2)
    with pytest.raises(KeyboardInterrupt):
        training.train(TINY, settings(max_images=64, tick=16), in_memory(), tmp_path / "run")
    interrupting(0, 0)
    training.train(TINY, settings(max_images=64), in_memory(), tmp_path / "run", resume=True)
    training.train(TINY, settings(max_images=64), in_memory(), tmp_path / "whole")
    assert identical(state(tmp_path / "run"), state(tmp_path / "whole"))


def test_training_works_outside_the_main_thread(tmp_path, no_figures):
    worker = threading.Thread(
        target=training.train, args=(TINY, settings(max_images=8), in_memory(), tmp_path / "run"), daemon=True
    )
    worker.start()
    worker.join(timeout=60)
    assert load_checkpoint(tmp_path / "run").images_seen == 8


@pytest.fixture
def largest_file() -> Iterator[Callable[[int], None]]:
    """Have every write beyond so many bytes of a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("fits", ["nothing", "the checkpoint"])
def test_a_full_disk_is_one_line_and_the_last_save_stands(tmp_path, no_figures, largest_file, fits):
    model = replace(TINY, nz=32, ngf=16)
    training.train(model, settings(max_images=16), in_memory(), tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    weights = (tmp_path / "run" / "checkpoint" / "generator.safetensors").stat().st_size
    largest_file(weights // 2 if fits == "nothing" else weights * 2)
    with pytest.raises(TrainingError) as caught:
        training.train(model, settings(max_images=48), in_memory(), tmp_path / "run", resume=True)
    largest_file(resource.RLIM_INFINITY)
    assert str(tmp_path / "run") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert leftovers(tmp_path / "run") == []
    for name in ("run", "whole"):
        training.train(model, settings(max_images=48), in_memory(), tmp_path / name, resume=True)
    assert identical(state(tmp_path / "run"), state(tmp_path / "whole"))


def full_at(monkeypatch, number: int) -> list[str]:
    """Have the disk fill up in the number-th write from now on, after half of it; what has been written, by name."""
    written: list[str] = []

    def filling(target: object, name: str, path: Callable[..., object] | None = None) -> None:
        real = getattr(target, name)

        def write(*args, **kwargs):
            written.append(name)
            if len(written) != number:
                return real(*args, **kwargs)
            if path:
                real(*args, **kwargs)
                os.truncate(path(*args), Path(path(*args)).stat().st_size // 2)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(target, name, write)

    filling(Path, "write_text", lambda path, *_: path)
    filling(checkpoint, "save_file", lambda state, path, *_: path)
    filling(shutil, "copyfile", lambda source, path: path)
    filling(Image.Image, "save", lambda image, path, *_: path)
    filling(torch, "save", lambda value, file: file.flush() or file.name)
    for name in ("mkdir", "rename", "replace"):
        filling(Path, name)
    monkeypatch.setattr(checkpoint.os, "link", lambda *_: (_ for _ in ()).throw(OSError))  # so that copies are made
    return written


def test_a_disk_that_fills_up_in_any_write_costs_no_more_than_the_last_tick(tmp_path, no_figures):
    def go_on(name: str, **changes) -> None:
        config = settings(**{"tick": 16, "moments": 3, **changes})
        training.train(TINY, config, in_memory(), tmp_path / name, resume=name != "before", name="full")

    go_on("before", max_images=16)
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        written = full_at(patch, 10_000)
        go_on("whole")
    assert {"write_text", "save_file", "copyfile", "save", "mkdir", "rename", "replace"} == set(written)
    for number in range(1, len(written) + 1):
        run = Path(shutil.copytree(tmp_path / "before", tmp_path / str(number)))
        with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError) as caught:
            full_at(patch, number)
            go_on(run.name)
        assert re.search(r"No space left on device; a save takes about [\d,]+ MiB, [\d,]+ are free", str(caught.value))
        assert "\n" not in str(caught.value)
        assert load_checkpoint(run).discriminator is not None
        assert state(run)["seen"] == 16 or number == len(written)
        assert leftovers(run) == []
        go_on(run.name)
        assert identical(state(run), state(tmp_path / "whole")), written[number - 1]
        assert rows(run) == rows(tmp_path / "whole")
        for part in ("checkpoint", "snapshots", "generators"):
            assert contents(run / part) == contents(tmp_path / "whole" / part), (number, written[number - 1])


def test_a_disk_that_fills_up_under_the_figures_says_that_all_else_is_saved(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(figures, "loss_plot", full)
    with pytest.raises(TrainingError, match=r"No space left on device; .*: all is saved but the figures; make room"):
        training.train(TINY, settings(max_images=16), in_memory(), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run").images_seen == state(tmp_path / "run")["seen"] == 16


def test_no_more_than_one_save_is_ever_under_way(tmp_path, monkeypatch, no_figures):
    saved, save, on_disk = torch.save, runs.Writer.save, []

    def slow(value, file):
        time.sleep(0.05)  # longer than a tick
        saved(value, file)

    def watched(self, seen, networks):
        save(self, seen, networks)
        on_disk.append((seen, state(tmp_path / "run")["seen"] if seen > 8 else 0))

    monkeypatch.setattr(torch, "save", slow)
    monkeypatch.setattr(runs.Writer, "save", watched)
    training.train(TINY, settings(drop_last=True, tick=8, max_images=48), in_memory(), tmp_path / "run")
    assert [seen for seen, _ in on_disk] == [8, 16, 24, 32, 40, 48]
    assert all(there >= seen - 8 for seen, there in on_disk)


def test_a_second_training_into_a_run_folder_is_refused_and_the_first_goes_on(tmp_path, photos, monkeypatch, capsys):
    run, codes = tmp_path / "run", []
    flags = ["--dataroot", str(photos), "--out", str(run), "--max-images", "24", *TINY_FLAGS]

    def meanwhile(*args):
        if not codes:
            codes.append(1)
            codes.append(train.main(["--out", str(run), "--resume"]))
        return adversarial_step(*args)

    monkeypatch.setattr(training, "adversarial_step", meanwhile)
    assert train.main(flags) == 0
    assert codes == [1, 2]
    assert f"train.py: another training writes to '{run}'" in capsys.readouterr().err
    assert load_checkpoint(run).images_seen == 24
    assert train.main([*flags, "--resume", "--max-images", "32"]) == 0, "the folder is free again"


def test_a_finished_run_taken_up_again_keeps_the_figures_of_its_quality(tmp_path, graded, no_figures):
    graded(1.0)
    run = tmp_path / "run"
    for resume in (False, True):
        training.train(TINY, settings(drop_last=True, quality=1), in_memory(), run, resume=resume)
        assert load_checkpoint(run).config["floor"] == {"n": 7, "ffd": 0.5}


def test_sigterm_cuts_a_measurement_short_which_is_then_taken_on_resuming(tmp_path, graded, monkeypatch, no_figures):
    config = settings(drop_last=True, tick=16, quality=1, max_images=48)
    graded(3.0, 1.0, 2.0)
    training.train(TINY, config, in_memory(), tmp_path / "whole", name="one")
    graded(3.0, 1.0, 2.0)
    grade, calls = Quality.__call__, []

    def measured(self, generator):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("went on measuring")
        return grade(self, generator)

    monkeypatch.setattr(Quality, "__call__", measured)
    training.train(TINY, config, in_memory(), tmp_path / "run", name="one")
    assert state(tmp_path / "run")["seen"] == 32
    assert load_checkpoint(tmp_path / "run").images_seen == 16
    training.train(TINY, config, in_memory(), tmp_path / "run", name="one", resume=True)
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    assert identical(state(tmp_path / "run"), state(tmp_path / "whole"))
    assert contents(tmp_path / "run" / "checkpoint") == contents(tmp_path / "whole" / "checkpoint")
    assert load_checkpoint(tmp_path / "run").images_seen == 32


@pytest.mark.parametrize("when", ["while saving", "while drawing", "before the first step"])
def test_sigterm_at_an_awkward_moment_saves_too(tmp_path, monkeypatch, no_figures, when):
    target, name = {
        "while saving": (runs, "save_checkpoint"),
        "while drawing": (figures, "animation"),
        "before the first step": (training, "progress"),
    }[when]
    real = getattr(target, name)

    def terminated(*args, **kwargs):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # some send it twice
        return real(*args, **kwargs)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(target, name, terminated)
        if when == "before the first step":
            with pytest.raises(SystemExit) as ended, ending_well():
                training.train(TINY, settings(tick=16), in_memory(), run)
            assert ended.value.code == 0
        else:
            training.train(TINY, settings(tick=16), in_memory(), run)
            assert load_checkpoint(run).images_seen == state(run)["seen"] >= 16
    assert leftovers(run) == []
    training.train(TINY, settings(tick=16), in_memory(), run, resume=True)
    training.train(TINY, settings(tick=16), in_memory(), tmp_path / "whole")
    assert identical(state(run), state(tmp_path / "whole"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_photos_in_a_folder_whose_name_is_not_utf_8_are_trained_on(tmp_path, photos, no_figures):
    folder = shutil.copytree(photos, Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")))
    flags = ["--dataroot", str(folder), "--out", str(tmp_path / "run"), "--max-images", "8", *TINY_FLAGS]
    assert train.main(flags) == 0
    assert load_checkpoint(tmp_path / "run").data["name"] == "caf\ufffd"
