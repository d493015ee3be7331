"""The lab: sliders from examples, and sums of faces."""

import pytest
import torch

from dcgan.latent import arithmetic as lab
from dcgan.model import Generator, ModelConfig, init_weights

NZ = 50


def test_a_slider_finds_what_the_eye_went_by() -> None:
    """A generator that responds to ten of fifty numbers, and six faces marked by one of the ten."""
    torch.manual_seed(0)
    response, trait = torch.zeros(NZ, NZ), torch.eye(NZ)[3]
    response[range(10), range(10)] = 1.0
    found, plain = [], []
    for _ in range(50):
        z = torch.randn(40, NZ)
        order = (z @ trait).argsort()
        having, lacking = z[order[-20:]][:3], z[order[:20]][:3]
        found.append(lab.slider(having, lacking, response) @ trait)
        difference = having.mean(dim=0) - lacking.mean(dim=0)
        plain.append(difference @ trait / difference.norm())
    assert torch.stack(found).mean() > 0.55
    assert torch.stack(found).mean() > 1.4 * torch.stack(plain).mean()


def test_too_few_or_the_same_faces_make_no_slider() -> None:
    z, response = torch.randn(3, NZ), torch.eye(NZ)
    with pytest.raises(ValueError, match="at least 2"):
        lab.slider(z, z[:1], response)
    with pytest.raises(ValueError, match="the same"):
        lab.slider(z, z, response)


def test_the_response_says_what_the_generator_responds_to() -> None:
    torch.manual_seed(0)
    generator = Generator(ModelConfig(image_size=16, nz=12, ngf=8, ndf=8))
    init_weights(generator)
    with torch.no_grad():
        generator.main[-2].weight.mul_(8)  # faint pictures would round to one grey
        generator.main[0].weight[6:] = 0  # the last six numbers do nothing
        for _ in range(20):
            generator(torch.randn(64, 12, 1, 1))
    found = lab.response(generator.eval())
    assert torch.allclose(found, found.T, rtol=1e-3)
    assert found.diagonal()[:6].min() > 10 * found.diagonal()[6:].max()
