"""The networks' weights as the browser's own engine reads them, explorer/kernel.ts."""

from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import pad

from dcgan.model import Discriminator, Generator
from dcgan.sampling import folded

WIDTH = 16


def browser_weights(net: Generator | Discriminator) -> bytes:
    """The weights of a network in eval mode as safetensors in fp16.

    Each BatchNorm is multiplied into its convolution. Layer i is `kernel{i}` [blocks, 4, 4, inputs, 16] and `bias{i}`
    [outputs]; its outputs lie in blocks of 16, and they and its inputs are filled up with zeros.
    """
    layers = [layer for layer in folded(net).main if isinstance(layer, nn.ConvTranspose2d | nn.Conv2d)]
    tensors: dict[str, Tensor] = {}
    for i, layer in enumerate(layers):
        weight = layer.weight if isinstance(layer, nn.ConvTranspose2d) else layer.weight.transpose(0, 1)
        inputs, outputs = weight.shape[:2]
        full = pad(weight, (0, 0, 0, 0, 0, -outputs % WIDTH, 0, -inputs % WIDTH))
        kernel = full.unflatten(1, (-1, WIDTH)).permute(1, 3, 4, 0, 2)
        tensors[f"kernel{i}"] = kernel.half().contiguous()
        bias = weight.new_zeros(outputs) if layer.bias is None else layer.bias
        tensors[f"bias{i}"] = bias.detach().half()
    return save(tensors)
