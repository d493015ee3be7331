"""The generator made ready for sampling: the same images, sooner.

Each BatchNorm is multiplied into the convolution before it. On a CPU that computes in bfloat16 the convolutions are
matrix products as well (see convolution.py), with their kernels arranged and rounded once.
"""

from copy import deepcopy
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dcgan.convolution import blocks_to_plane, has_bf16, rows_of_kernels, spreading_kernel, windows
from dcgan.latents import latents
from dcgan.model import Generator

TOLERANCE = 2  # of 255 levels: what sampling may differ from the generator itself

_samplers: WeakKeyDictionary[nn.Module, tuple[object, nn.Module]] = WeakKeyDictionary()


def sampler(generator: Generator) -> nn.Module:
    """What makes the generator's images soonest where it is; z [N, nz, 1, 1] -> images [N, nc, S, S] in [-1, 1].

    The generator must be in eval mode. Prepared once, and anew when the weights have changed.
    """
    tensors = generator.state_dict(keep_vars=True).values()
    state = [(tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]
    known = _samplers.get(generator)
    if known is None or known[0] != state:
        known = _samplers[generator] = state, _prepared(generator)
    return known[1]


@torch.inference_mode()
def _prepared(generator: Generator) -> nn.Module:
    exact = folded(generator)
    weight = next(generator.parameters())
    if weight.device.type != "cpu" or not has_bf16(weight.device) or not torch.backends.mkldnn.is_available():
        return exact
    # Rounding averages out in wide layers; a very narrow generator may have to stay in float32.
    z = latents(range(16), generator.config.nz).to(weight.dtype)[:, :, None, None]
    try:
        fast = Products(exact)
        gap = (fast(z) - exact(z)).abs().max() * 127.5
    except (AttributeError, RuntimeError):  # oneDNN's own operators: PyTorch does not promise them everywhere
        return exact
    return fast if gap < TOLERANCE else exact


def folded(generator: Generator) -> Generator:
    """A copy with each BatchNorm multiplied into the convolution before it.

    The generator must be in eval mode: in train mode a face would change with the batch around it.
    """
    assert not generator.training, "sample in eval mode"
    copy = deepcopy(generator).requires_grad_(False)
    layers: list[nn.Module] = []
    for layer in copy.main:
        if isinstance(layer, nn.BatchNorm2d):
            assert isinstance(layers[-1], nn.ConvTranspose2d)
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer, transpose=True)
        else:
            layers.append(layer)
    copy.main = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    return copy


class Products(nn.Module):
    """A folded generator as matrix products in bfloat16, of kernels that oneDNN has arranged once and for all.

    The first product, a small one, stays in float32: rounding z would show in the picture (pixels off by 4/255).
    """

    # Long sums for few rows are taken in an order that depends on how many rows there are. So these products are taken
    # of so many rows at a time, and no face depends on its neighbours.
    ROWS = 96

    def __init__(self, generator: Generator):
        super().__init__()
        self.config = generator.config
        first, *others = (layer for layer in generator.main if isinstance(layer, nn.ConvTranspose2d))
        self.first = _arranged(rows_of_kernels(first.weight).float()), _bias(first).repeat(16).float()
        self.others = [
            (_arranged(spreading_kernel(conv.weight).bfloat16()), _bias(conv).repeat(4).bfloat16()) for conv in others
        ]
        self.eval()

    def forward(self, z: Tensor) -> Tensor:
        n = len(z)
        z = z.flatten(1).float()
        if n == 1:  # the product of a single row is another routine, with other rounding
            z = z.expand(2, -1)
        images = _product(z, *self.first, "relu")[:n].view(n, 4, 4, -1)
        for i, (kernel, bias) in enumerate(self.others):
            side, then = images.shape[1], "relu" if i < len(self.others) - 1 else "none"
            rows = windows(pad(images.bfloat16(), (0, 0, 1, 1, 1, 1)))
            few = 2 * (side + 1) ** 2 < rows.shape[1]
            pieces = pad(rows, (0, 0, 0, -len(rows) % self.ROWS)).split(self.ROWS) if few else [rows]
            blocks = torch.cat([_product(piece, kernel, bias, then) for piece in pieces])[: len(rows)]
            images = blocks_to_plane(blocks, n, side, side)[:, 1:-1, 1:-1]
        return images.float().tanh().permute(0, 3, 1, 2)


def _arranged(kernel: Tensor) -> Tensor:
    """[K, M] as oneDNN's product wants it."""
    return torch.ops.mkldnn._reorder_linear_weight(kernel.T.contiguous(), None)


def _product(rows: Tensor, arranged: Tensor, bias: Tensor, then: str) -> Tensor:
    """rows [N, K] @ kernel [K, M] + bias, and `then` "relu" or "none"."""
    return torch.ops.mkldnn._linear_pointwise(rows, arranged, bias, then, [], "")


def _bias(conv: nn.ConvTranspose2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
