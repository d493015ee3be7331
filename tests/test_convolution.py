"""The fast convolutions against PyTorch's own: equal sums, in the outputs and in every gradient."""

import pytest
import torch
from torch import Tensor, nn

from dcgan.convolution import Conv2d, ConvTranspose2d

SHAPES = {
    "down": (Conv2d, nn.Conv2d, (5, 12, 4, 2, 1), (3, 5, 8, 8)),
    "judge": (Conv2d, nn.Conv2d, (6, 1, 4, 1, 0), (3, 6, 4, 4)),
    "project": (ConvTranspose2d, nn.ConvTranspose2d, (10, 6, 4, 1, 0), (3, 10, 1, 1)),
    "up": (ConvTranspose2d, nn.ConvTranspose2d, (6, 3, 4, 2, 1), (3, 6, 4, 4)),
}
CASES = [(shape, bias) for shape in SHAPES for bias in (False, True)]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(autouse=True)
def matrix_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere PyTorch's own kernels would be compared with themselves."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)


def pair(shape: str, bias: bool, layout: torch.memory_format) -> tuple[nn.Module, nn.Module, Tensor]:
    """Ours and PyTorch's layer with the same weights, and an input."""
    torch.manual_seed(0)
    ours_type, theirs_type, sizes, inputs = SHAPES[shape]
    ours = ours_type(*sizes, bias=bias).to(memory_format=layout)
    theirs = theirs_type(*sizes, bias=bias).to(memory_format=layout)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, torch.randn(inputs).to(memory_format=layout)


def run(layer: nn.Module, images: Tensor, bf16: bool, wanted: bool = True) -> dict[str, Tensor]:
    """Output, and gradients by the input, if wanted, and the parameters, of a layer."""
    images = images.clone().requires_grad_(wanted)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = layer(images)
    seed = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output.dtype)
    output.backward(seed)
    gradients = {name: parameter.grad for name, parameter in layer.named_parameters()}
    return {"output": output.detach(), "input": images.grad, **gradients}


@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])
@pytest.mark.parametrize(("shape", "bias"), CASES)
def test_bf16_agrees_with_pytorch_in_outputs_and_gradients_and_fp32_bit_for_bit(shape, bias, layout):
    ours, theirs, images = pair(shape, bias, layout)
    exact = run(theirs, images, bf16=False)
    ours.zero_grad(), theirs.zero_grad()
    mine, reference = run(ours, images, bf16=True), run(theirs, images, bf16=True)
    assert mine.keys() == reference.keys()
    for name in mine:
        assert mine[name].shape == reference[name].shape
        assert mine[name].dtype == reference[name].dtype
        scale = exact[name].abs().max()
        assert (mine[name].float() - reference[name].float()).abs().max() < 0.02 * scale, name
        assert (mine[name].float() - exact[name]).abs().max() < 0.02 * scale, name
    ours.zero_grad()
    assert all(torch.equal(value, exact[name]) for name, value in run(ours, images, bf16=False).items()), "fp32"


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_left_out_where_none_is_wanted(shape):
    ours, _, images = pair(shape, False, torch.channels_last)
    whole = run(ours, images, bf16=True)
    ours.zero_grad()
    by_weight = run(ours, images, bf16=True, wanted=False)
    torch.testing.assert_close(by_weight["weight"], whole["weight"])
    assert by_weight["input"] is None
    ours.requires_grad_(False)
    assert torch.equal(run(ours, images, bf16=True)["input"], whole["input"])
