"""Faces found in pictures, framed, and their latents searched. The faces are drawn, the networks tiny."""

import copy
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dcgan.checkpoint import Checkpoint
from dcgan.data import avatars
from dcgan.data.crop import square, squares
from dcgan.data.faces import FRAME, own_frame
from dcgan.latent.inversion import Inversion
from dcgan.latents import latent, latents
from dcgan.model import ModelConfig
from dcgan.sampling import render
from tests.tiny import networks

FOREVER = math.inf


def checkpoint_of(nc: int = 3, discriminator: bool = True) -> Checkpoint:
    """A checkpoint of random weights, with or without its discriminator."""
    generator, net = networks(ModelConfig(image_size=32, nc=nc, nz=8, ngf=8, ndf=8))
    checkpoint = Checkpoint(Path("nowhere"), {}, generator.config, generator)
    if discriminator:
        checkpoint.discriminator = net
    return checkpoint


@pytest.fixture(scope="module", autouse=True)
def few_samples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dcgan.latent.inversion.SAMPLES", 256)
        yield


@pytest.fixture(scope="module")
def inversion() -> Inversion:
    return Inversion(checkpoint_of())


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    """Faces, 128 px."""
    return [avatars.draw(avatars.factors(i)) for i in range(6)]


def gap(a: Tensor, b: Tensor) -> float:
    """Mean difference in grey levels."""
    return float((a.float() - b.float()).abs().mean())


@pytest.mark.parametrize("discriminator", [True, False])
def test_a_generated_face_is_found_again(discriminator: bool) -> None:
    checkpoint = checkpoint_of(discriminator=discriminator)
    target = render(checkpoint.generator, latent(5000, 8)[None])[0]
    course = list(Inversion(checkpoint).search(target, FOREVER, 80))
    assert [progress.done for progress in course] == pytest.approx([i / 80 for i in range(81)])
    losses = [progress.loss for progress in course]
    assert losses == sorted(losses, reverse=True)
    last = course[-1]
    nearest = min(gap(sample, target) for sample in render(checkpoint.generator, latents(range(256), 8)))
    found = gap(render(checkpoint.generator, last.z[None])[0], target)
    assert found < min(nearest / 4, 3)
    assert (last.z - latent(5000, 8)).norm() < 0.25 * latent(5000, 8).norm()


def test_the_same_steps_lead_to_the_same_latent(inversion: Inversion) -> None:
    target = render(checkpoint_of().generator, latent(78, 8)[None])[0]
    (*_, first), (*_, again) = (inversion.search(target, FOREVER, 5) for _ in range(2))
    assert torch.equal(first.z, again.z)


def test_time_ends_a_search(inversion: Inversion, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()  # a second passes at each look
    monkeypatch.setattr("dcgan.latent.inversion.time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    target = torch.zeros(3, 32, 32, dtype=torch.uint8)
    assert [progress.done for progress in inversion.search(target, 4.0, 1000)] == [0.25, 0.5, 0.75, 1.0]


def test_a_grey_generator_finds_too() -> None:
    inversion = Inversion(checkpoint_of(nc=1))
    crop = inversion.crop(Image.new("RGB", (50, 40), "red"))
    assert crop.pixels.shape == (1, 32, 32)
    *_, last = inversion.search(crop.pixels, FOREVER, 2)
    assert torch.isfinite(last.z).all()


# Faces in photos


def test_a_photo_is_framed_as_the_generator_frames(inversion: Inversion, drawn: list[Image.Image]) -> None:
    photo = Image.new("RGB", (600, 400), drawn[0].getpixel((1, 1)))
    photo.paste(drawn[0].resize((256, 256)), (60, 100))
    framing = copy.copy(inversion)
    framing.frame = own_frame(drawn)
    crop = framing.crop(photo)
    assert crop.face
    # Much nearer to how the face is framed by itself than the photo's centre is.
    wanted, centre = (torch.from_numpy(square(image, 32, 3).copy()) for image in (drawn[0], photo))
    assert gap(crop.pixels, wanted) < gap(centre, wanted) / 2


def test_what_was_trained_on_faces_is_given_photos_framed_alike(drawn: list[Image.Image]) -> None:
    checkpoint = checkpoint_of()
    checkpoint.config["data"] = {"crop": "face"}
    photo = Image.new("RGB", (600, 400), "gray")
    photo.paste(drawn[0].resize((256, 256)), (60, 100))
    assert np.array_equal(Inversion(checkpoint).crop(photo).pixels.numpy(), squares(photo, 32, 3, "face")[0])


def test_without_a_face_the_centre_stands_in(inversion: Inversion) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    framing = copy.copy(inversion)
    assert framing.frame is None, "a generator of no faces has no frame"
    framing.frame = FRAME
    crop = framing.crop(photo)
    assert not crop.face
    assert np.array_equal(crop.pixels.numpy(), square(photo, 32, 3))
