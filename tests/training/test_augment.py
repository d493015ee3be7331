"""Each alteration does what its name says, image by image, and lets gradients through."""

import pytest
import torch
from torch import Tensor

from dcgan.training.augment import ALTERATIONS, augment, color, cutout, translation

POLICIES = [*ALTERATIONS, "color,translation", "color,translation,cutout"]


def faces(count: int = 64, size: int = 16, channels: int = 3) -> Tensor:
    torch.manual_seed(0)
    return torch.rand(count, channels, size, size) * 1.8 - 0.9


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 64)])
@pytest.mark.parametrize("policy", POLICIES)
def test_images_are_altered_each_on_its_own_and_their_originals_left_alone(policy, channels, size):
    images = faces(1, size, channels).expand(16, -1, -1, -1)
    before = images.clone()
    torch.manual_seed(7)
    altered = augment(images, policy)
    assert torch.equal(images, before)
    assert (altered.shape, altered.dtype) == (images.shape, images.dtype)
    assert torch.isfinite(altered).all()
    assert len({image.numpy().tobytes() for image in altered}) > 5
    torch.manual_seed(7)
    assert torch.equal(altered, augment(images, policy))
    assert augment(images, "") is images


@pytest.mark.parametrize("policy", POLICIES)
def test_the_gradient_is_the_one_of_finite_differences(policy):
    images = faces(2, size=16, channels=1).double()[:, :, :8, :8].requires_grad_()

    def altered(x: Tensor) -> Tensor:
        torch.manual_seed(1)
        return augment(x, policy)

    assert torch.autograd.gradcheck(altered, images, fast_mode=True)


def test_translation_shifts_by_up_to_an_eighth_and_fills_with_grey():
    size, reach = 16, 2
    images = faces(400, size)
    padded = torch.nn.functional.pad(images, (reach,) * 4)
    found = set()
    for moved, frame in zip(translation(images), padded, strict=True):
        (shift,) = [
            (y, x)
            for y in range(2 * reach + 1)
            for x in range(2 * reach + 1)
            if torch.equal(moved, frame[:, y : y + size, x : x + size])
        ]
        found.add(shift)
    assert len(found) == (2 * reach + 1) ** 2


def test_cutout_greys_a_square_of_half_the_side_that_may_lie_partly_outside():
    size = 16
    areas = set()
    for image, cut in zip(faces(400, size), cutout(faces(400, size)), strict=True):
        hole = (cut == 0).all(dim=0)
        rows, columns = hole.any(dim=1).nonzero().flatten(), hole.any(dim=0).nonzero().flatten()
        height, width = len(rows), len(columns)
        assert hole.sum() == height * width
        assert size // 4 <= height <= size // 2
        assert size // 4 <= width <= size // 2
        assert torch.equal(cut[:, ~hole], image[:, ~hole])
        areas.add(height * width)
    assert max(areas) == (size // 2) ** 2
    assert min(areas) < max(areas)


def contrast(images: Tensor) -> Tensor:
    return images.flatten(1).std(dim=1)


def saturation(images: Tensor) -> Tensor:
    grey = images.mean(dim=1, keepdim=True)
    return contrast(images - grey) / contrast(grey)  # contrast scales both


@pytest.mark.parametrize(
    ("channels", "measure", "low", "high"),
    [(1, contrast, 0.5, 1.5), (3, saturation, 0.0, 2.0)],
    ids=["contrast", "saturation"],
)
def test_color_scales_contrast_and_saturation_within_their_ranges(channels, measure, low, high):
    images = faces(300, channels=channels)
    ratio = measure(color(images)) / measure(images)
    assert low - 1e-3 <= ratio.min() < low + 0.1
    assert high - 0.1 < ratio.max() <= high + 1e-3


def test_color_shifts_brightness_by_up_to_a_half_and_keeps_even_grey_even():
    altered = color(torch.full((200, 3, 8, 8), 0.25)).flatten(1)
    assert (altered.std(dim=1) < 1e-6).all()
    shift = altered.mean(dim=1) - 0.25
    assert -0.5 <= shift.min() < -0.4
    assert 0.4 < shift.max() <= 0.5


def test_a_share_of_the_images_is_altered_and_the_others_pass():
    torch.manual_seed(0)
    images = torch.rand(2000, 1, 8, 8) * 2 - 1
    changed = (augment(images, "color", 0.3) != images).flatten(1).any(dim=1)
    assert 0.25 < changed.float().mean() < 0.35
    assert torch.equal(augment(images, "color", 0.0), images)
    assert (augment(images, "color", 1.0) != images).flatten(1).any(dim=1).all()
