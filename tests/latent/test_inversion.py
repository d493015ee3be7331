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
from dcgan.data.crop import square
from dcgan.latent.framing import Box, find_face, framed, own_frame
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
    """Faces, 128 px, of the kind that the detector knows: eyes open, nothing in front of them."""
    plain = {"eyes": "open", "glasses": "none", "facial_hair": "none", "mouth": "smile", "skin": "light"}
    return [avatars.draw({**avatars.factors(i), **plain}) for i in range(6)]


@pytest.fixture(scope="module")
def known(drawn: list[Image.Image]) -> tuple[Image.Image, Box]:
    """One of them in which a face is detected, and where."""
    found = [(face, box) for face in drawn if (box := find_face(face, 128))]
    assert len(found) >= len(drawn) / 2
    return found[0]


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


# Faces in pictures


def test_a_face_is_found_wherever_it_is_and_however_large(known: tuple[Image.Image, Box]) -> None:
    face, box = known
    photo = Image.new("RGB", (700, 500), face.getpixel((1, 1)))
    photo.paste(face.resize((256, 256)), (400, 150))
    found = find_face(photo)
    assert found is not None
    wanted = 400 + 2 * box.x, 150 + 2 * box.y, 2 * box.side
    assert (found.x, found.y, found.side) == pytest.approx(wanted, rel=0.1, abs=15)


def test_a_photo_is_framed_as_the_generator_frames(
    inversion: Inversion, drawn: list[Image.Image], known: tuple[Image.Image, Box]
) -> None:
    face, _ = known
    photo = Image.new("RGB", (600, 400), face.getpixel((1, 1)))
    photo.paste(face.resize((256, 256)), (60, 100))
    framing = copy.copy(inversion)
    framing.frame = own_frame(drawn)
    crop = framing.crop(photo)
    assert crop.face
    # Much nearer to how the face is framed by itself than the photo's centre is.
    wanted, centre = (torch.from_numpy(square(image, 32, 3).copy()) for image in (face, photo))
    assert gap(crop.pixels, wanted) < gap(centre, wanted) / 2


def test_without_a_face_the_centre_stands_in(inversion: Inversion) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    framing = copy.copy(inversion)
    assert framing.frame is None, "a generator of no faces has no frame"
    framing.frame = Box(0.5, 0.5, 0.6)
    crop = framing.crop(photo)
    assert not crop.face
    assert np.array_equal(crop.pixels.numpy(), square(photo, 32, 3))


def test_a_frame_beyond_the_picture_goes_on_with_its_edge() -> None:
    columns = np.repeat(np.arange(0, 200, 10, dtype=np.uint8)[None, :], 20, axis=0)  # 20 px wide: 0, 10, ... 190
    image = Image.fromarray(np.stack([columns] * 3, axis=2))
    crop = framed(image, Box(10, 10, 10), Box(0.5, 0.5, 0.25), 40)  # a square of 40 px around the centre
    assert crop.shape == (3, 40, 40)
    assert crop[0, 20, :10].eq(0).all()
    assert crop[0, 20, 30:].eq(190).all()
    assert crop[0, 20, 10:30].tolist() == list(range(0, 200, 10))
