"""Age, gender, expression and landmarks of photographed faces, by the networks of face-api.

Their 8-bit weights and their licence (MIT) lie in `face_api/`, as @vladmandic/face-api 1.7.15 has them on npm; what is
computed is the same. They were trained on faces that fill the picture, as UTKFace's do.
"""

import json
from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, max_pool2d, pad, relu

WEIGHTS = Path(__file__).with_name("face_api")
SIDE = 112  # pixels: of the networks' input
MEAN = (122.782, 117.001, 104.298)
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
PIECE = 64  # faces that are worked on at once

Weights = dict[str, Tensor]


def landmarks(faces: Tensor) -> Tensor:
    """uint8 faces [N, 3, S, S] -> the 68 landmarks of iBUG 300-W (Sagonas et al. 2013) [N, 68, 2], x and y in sides."""
    return _outputs("face_landmark_68", faces).reshape(-1, 68, 2)


def expressions(faces: Tensor) -> Tensor:
    """uint8 faces [N, 3, S, S] -> logits of EXPRESSIONS [N, 7]."""
    return _outputs("face_expression", faces)


def shape_features(faces: Tensor) -> Tensor:
    """uint8 faces [N, nc, S, S] -> what the landmarks are read from [N, 256]: it sees faces that are torn."""
    return _dense("face_landmark_68", faces)


@torch.inference_mode()
def age_and_gender(faces: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 faces [N, 3, S, S] -> years [N], and the log odds that a face is a woman's [N]. A small Xception."""
    w, found = _weights("age_gender"), []
    for x in map(_prepared, faces.split(PIECE)):
        x = relu(_convolution(x, w, "entry_flow/conv_in", 2))
        x = _reduction(x, w, "entry_flow/reduction_block_0", x)
        x = _reduction(relu(x), w, "entry_flow/reduction_block_1", x)
        for block in range(2):
            y = x
            for i in range(3):
                y = _separable(relu(y), w, f"middle_flow/main_block_{block}/separable_conv{i}")
            x = x + y
        x = _reduction(relu(x), w, "exit_flow/reduction_block", x)
        x = relu(_separable(x, w, "exit_flow/separable_conv")).mean(dim=(2, 3))
        age, gender = (x @ w[f"fc/{name}/weights"] + w[f"fc/{name}/bias"] for name in ("age", "gender"))
        found.append(torch.cat([age, gender[:, 1:] - gender[:, :1]], dim=1))
    age, gender = torch.cat(found).T
    return age, gender


def _outputs(name: str, faces: Tensor) -> Tensor:
    w = _weights(name)
    return _dense(name, faces) @ w["fc/weights"] + w["fc/bias"]


@torch.inference_mode()
def _dense(name: str, faces: Tensor) -> Tensor:
    """The features [N, 256] of one of the two networks of four dense blocks."""
    w, found = _weights(name), []
    for x in map(_prepared, faces.split(PIECE)):
        for block in range(4):
            layer = f"dense{block}/conv"
            total = relu(_separable(x, w, f"{layer}0", 2) if block else _convolution(x, w, f"{layer}0", 2))
            x = total
            for i in (1, 2, 3):
                total = total + _separable(x, w, f"{layer}{i}")
                x = relu(total)
        found.append(x.mean(dim=(2, 3)))
    return torch.cat(found)


def _prepared(faces: Tensor) -> Tensor:
    # The published networks subtract the mean in grey levels and divide by 255, not by a deviation.
    x = interpolate(faces.cpu().expand(-1, 3, -1, -1).float(), SIDE, mode="bilinear", antialias=True)
    return ((x - torch.tensor(MEAN)[:, None, None]) / 255).contiguous(memory_format=torch.channels_last)


def _reduction(x: Tensor, w: Weights, name: str, shortcut: Tensor) -> Tensor:
    x = _separable(x, w, f"{name}/separable_conv0")
    x = _separable(relu(x), w, f"{name}/separable_conv1")
    return max_pool2d(_padded(x, 3, 2, float("-inf")), 3, 2) + _convolution(shortcut, w, f"{name}/expansion_conv", 2)


def _separable(x: Tensor, w: Weights, name: str, stride: int = 1) -> Tensor:
    depthwise = w[f"{name}/depthwise_filter"]
    x = conv2d(_padded(x, 3, stride), depthwise, stride=stride, groups=len(depthwise))
    return conv2d(x, w[f"{name}/pointwise_filter"], w[f"{name}/bias"])


def _convolution(x: Tensor, w: Weights, name: str, stride: int) -> Tensor:
    filters = w[f"{name}/filters"]
    return conv2d(_padded(x, filters.shape[-1], stride), filters, w[f"{name}/bias"], stride)


def _padded(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """TensorFlow's padding "same": where it is odd, the larger part lies right and below."""
    more = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
    return pad(x, (more // 2, more - more // 2) * 2, value=value)


@cache
def _weights(name: str) -> Weights:
    """The weights of a network by their published names, convolutions as torch has them."""
    [group] = json.loads((WEIGHTS / f"{name}_model-weights_manifest.json").read_text(encoding="utf-8"))
    data, at, found = (WEIGHTS / f"{name}_model.bin").read_bytes(), 0, {}
    for each in group["weights"]:
        size, coded = prod(each["shape"]), each.get("quantization")
        raw = np.frombuffer(data, np.uint8 if coded else np.float32, size, at)
        at += raw.nbytes
        weight = torch.from_numpy(raw.astype(np.float32)).reshape(each["shape"])
        if coded:
            weight = weight * coded["scale"] + coded["min"]
        if weight.ndim == 4:  # height, width, inputs, outputs; a depthwise one has an output for each input
            weight = weight.permute((2, 3, 0, 1) if "depthwise" in each["name"] else (3, 2, 0, 1))
        found[each["name"]] = weight.contiguous()
    return found
