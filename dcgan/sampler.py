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
    if weight.device.type != "cpu" or not has_bf16(weight.device):
        return exact
    # Rounding averages out in wide layers; a very narrow generator may have to stay in float32.
    fast, z = Products(exact), latents(range(16), generator.config.nz).to(weight.dtype)[:, :, None, None]
    gap = (fast(z) - exact(z)).abs().max() * 127.5
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
    """A folded generator as matrix products in bfloat16.

    The first product, a small one, stays in float32: rounding z would show in the picture (pixels off by 4/255).
    """

    LONG_SUM = 2048  # so many terms are shared between cores, in an order that depends on the number of rows ...
    ROWS = 96  # ... so these sums are taken for so many rows at a time, and no face depends on its neighbours

    def __init__(self, generator: Generator):
        super().__init__()
        self.config = generator.config
        first, *others = (layer for layer in generator.main if isinstance(layer, nn.ConvTranspose2d))
        self.first = rows_of_kernels(first.weight).float().contiguous(), _bias(first).repeat(16).float()
        self.others = [
            (spreading_kernel(conv.weight).bfloat16().contiguous(), _bias(conv).repeat(4).bfloat16()) for conv in others
        ]
        self.eval()

    def forward(self, z: Tensor) -> Tensor:
        n, (kernel, bias) = len(z), self.first
        z = z.flatten(1).float()
        if n == 1:  # the product of a single row is another routine, with other rounding
            z = z.expand(2, -1)
        images = torch.addmm(bias, z, kernel)[:n].relu_().view(n, 4, 4, -1)
        plane = pad(images.bfloat16(), (0, 0, 1, 1, 1, 1))
        for i, (kernel, bias) in enumerate(self.others):
            last = i == len(self.others) - 1
            blocks = self._product(windows(plane), kernel, bias)
            plane = blocks_to_plane(blocks if last else blocks.relu_(), n, plane.shape[1] - 2, plane.shape[2] - 2)
            if not last:  # what lies outside the image is the next layer's border of zeros
                for border in (plane[:, 0], plane[:, -1], plane[:, :, 0], plane[:, :, -1]):
                    border.zero_()
        return plane[:, 1:-1, 1:-1].float().tanh().permute(0, 3, 1, 2)

    def _product(self, rows: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        if len(kernel) < self.LONG_SUM:
            return torch.addmm(bias, rows, kernel)
        count = len(rows)
        rows = pad(rows, (0, 0, 0, -count % self.ROWS))
        product = rows.new_empty(len(rows), kernel.shape[1])
        for some, out in zip(rows.split(self.ROWS), product.split(self.ROWS), strict=True):
            torch.addmm(bias, some, kernel, out=out)
        return product[:count]


def _bias(conv: nn.ConvTranspose2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
