"""The generator made ready for sampling: the same images as the generator's own, whatever the hardware."""

import pytest
import torch
from torch import nn

from dcgan.folded import Products, folded, sampler
from dcgan.latents import latents
from dcgan.model import Generator, ModelConfig
from dcgan.pixels import to_uint8
from dcgan.sampling import render, sample
from tests.test_generate import vivid

SHAPES = {
    "grey": ModelConfig(image_size=32, nc=1, nz=20, ngf=8),
    "small": ModelConfig(image_size=16, nz=100, ngf=8),
    "usual": ModelConfig(ngf=32),
    "long sums": ModelConfig(image_size=32, nz=100, ngf=128),
    "large": ModelConfig(image_size=128, ngf=32),
}


@pytest.fixture(scope="module", params=SHAPES)
def generator(request: pytest.FixtureRequest) -> Generator:
    return vivid(SHAPES[request.param])


def has_products() -> bool:
    """Whether oneDNN has products in bfloat16 for this processor."""
    try:
        Products(folded(vivid(SHAPES["small"])))
    except (AttributeError, RuntimeError):
        return False
    return True


needs_products = pytest.mark.skipif(not has_products(), reason="oneDNN has no products in bfloat16 for this processor")


def pixels(net: nn.Module, count: int = 16) -> torch.Tensor:
    with torch.inference_mode():
        return to_uint8(net(latents(range(count), net.config.nz)[:, :, None, None])).int()


def test_a_folded_generator_has_no_batch_norm_and_the_same_images(generator):
    fast, z = folded(generator), latents(range(16), generator.config.nz)[:, :, None, None]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in generator.modules())
    torch.testing.assert_close(fast(z), generator(z), atol=1e-4, rtol=0)


@needs_products
def test_products_in_bfloat16_are_the_same_images_but_for_rounding(generator):
    gaps = (pixels(Products(folded(generator))) - pixels(generator)).abs()
    assert gaps.float().mean() < 0.5
    assert (gaps > 4).float().mean() < 0.01


@needs_products
@pytest.mark.parametrize("threads", [1, 2])
def test_products_give_a_face_the_same_pixels_in_any_batch(generator, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fast = Products(folded(generator))
        many = pixels(fast, 40)
        for count in (1, 2, 3, 4, 5, 7, 20):
            assert torch.equal(pixels(fast, count), many[:count])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("bf16", [False, True])
def test_sampling_is_the_same_within_two_levels_with_and_without_bfloat16(generator, bf16, monkeypatch):
    monkeypatch.setattr("dcgan.folded.has_bf16", lambda device: bf16)
    copy = Generator(generator.config).eval()
    copy.load_state_dict(generator.state_dict())
    images = sample(copy, range(16)).permute(0, 3, 1, 2).int()
    assert (images - pixels(generator)).abs().max() <= 2


@needs_products
def test_products_are_used_where_they_are_close_enough(monkeypatch):
    monkeypatch.setattr("dcgan.folded.has_bf16", lambda device: True)
    monkeypatch.setattr("dcgan.folded.TOLERANCE", 100)
    assert isinstance(sampler(vivid(SHAPES["small"])), Products)
    monkeypatch.setattr("dcgan.folded.TOLERANCE", 0.001)
    assert isinstance(sampler(vivid(SHAPES["small"])), Generator)


def test_without_the_operators_of_onednn_the_generator_itself_is_used(monkeypatch):
    def missing(*_):
        raise RuntimeError("not compiled with this")

    monkeypatch.setattr("dcgan.folded.has_bf16", lambda device: True)
    monkeypatch.setattr("dcgan.folded._arranged", missing)
    assert isinstance(sampler(vivid(SHAPES["small"])), Generator)


def test_a_generator_is_prepared_once_and_again_when_its_weights_change():
    generator = vivid(SHAPES["small"])
    first = sampler(generator)
    assert sampler(generator) is first
    before = render(generator, latents(range(4), 100))
    with torch.no_grad():
        generator.main[0].weight.mul_(-1)
    assert sampler(generator) is not first
    assert not torch.equal(render(generator, latents(range(4), 100)), before)
    generator.load_state_dict(vivid(SHAPES["small"]).state_dict())
    assert torch.equal(render(generator, latents(range(4), 100)), before)


def test_a_generator_in_train_mode_is_not_folded():
    with pytest.raises(AssertionError, match="eval"):
        folded(Generator(SHAPES["small"]))
