"""The generator as an ONNX model, for browsers."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from dcgan.hub_errors import HubError
from dcgan.model import Generator
from dcgan.sampling import folded

OPSET, IR = 17, 9


def to_onnx(generator: Generator) -> bytes:
    """The generator in eval mode as ONNX: z [N, nz, 1, 1] -> images [N, nc, S, S] in [-1, 1].

    Each BatchNorm is multiplied into its convolution. Weights are stored in fp16, and cast to fp32 once, when the model
    is loaded. Raises HubError where onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise HubError("the static page needs onnx: pip install -r requirements-static.txt") from None
    nodes: list[Any] = []
    stored: list[Any] = []

    def node(operator: str, *inputs: str, **options: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [f"value{len(nodes)}"], **options))
        return nodes[-1].output[0]

    def constant(values: np.ndarray) -> str:
        stored.append(numpy_helper.from_array(values, f"constant{len(stored)}"))
        return stored[-1].name

    def weight(tensor: Tensor) -> str:
        return node("Cast", constant(tensor.detach().half().contiguous().numpy()), to=TensorProto.FLOAT)

    # z is a single pixel: the first convolution is a product of matrices, and as one takes a fraction of the time.
    first, *layers = folded(generator).main
    assert isinstance(first, nn.ConvTranspose2d)
    assert first.bias is not None
    channels, *plane = first.weight.shape[1:]
    bias = first.bias.repeat_interleave(plane[0] * plane[1])
    value = node("Gemm", node("Flatten", "z"), weight(first.weight.flatten(1)), weight(bias))
    value = node("Reshape", value, constant(np.array([-1, channels, *plane])))
    for layer in layers:
        if isinstance(layer, nn.ConvTranspose2d):
            weights = [weight(tensor) for tensor in layer.parameters()]
            value = node("ConvTranspose", value, *weights, strides=layer.stride, pads=2 * tuple(layer.padding))
        else:
            value = node({nn.ReLU: "Relu", nn.Tanh: "Tanh"}[type(layer)], value)

    config = generator.config
    shapes: dict[str, list[Any]] = {
        "z": ["N", config.nz, 1, 1],
        value: ["N", config.nc, config.image_size, config.image_size],
    }
    z, images = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    graph = helper.make_graph(nodes, "generator", [z], [images], stored)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR).SerializeToString()
