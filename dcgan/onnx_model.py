"""The generator as an ONNX model, for browsers."""

from typing import Any

from torch import nn

from dcgan.hub_errors import HubError
from dcgan.model import Generator
from dcgan.sampler import folded

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
    weights: list[Any] = []
    value = "z"
    for i, layer in enumerate(folded(generator).main):
        inputs, output = [value], f"layer{i}"
        options: dict[str, Any] = {}
        if isinstance(layer, nn.ConvTranspose2d):
            options = {"strides": layer.stride, "pads": 2 * tuple(layer.padding)}
            for name, tensor in layer.named_parameters(prefix=output):
                half = tensor.detach().half().contiguous().numpy()
                weights.append(numpy_helper.from_array(half, f"{name}.half"))
                nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
                inputs.append(name)
        operator = {nn.ReLU: "Relu", nn.Tanh: "Tanh"}.get(type(layer), "ConvTranspose")
        nodes.append(helper.make_node(operator, inputs, [output], **options))
        value = output

    config = generator.config
    shapes: dict[str, list[Any]] = {
        "z": ["N", config.nz, 1, 1],
        value: ["N", config.nc, config.image_size, config.image_size],
    }
    z, images = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    graph = helper.make_graph(nodes, "generator", [z], [images], weights)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR).SerializeToString()
