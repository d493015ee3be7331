"""The generator as an ONNX model: the same images."""

import numpy as np
import onnxruntime
import pytest
import torch

from dcgan.checkpoint import load_checkpoint
from dcgan.hub.onnx_model import to_onnx
from dcgan.latents import latents
from tests.demo_fixtures import NZ, make_checkpoint


@pytest.mark.parametrize("nc", [1, 3])
@pytest.mark.parametrize("seeds", [range(1), range(5)])
def test_it_draws_what_the_generator_draws(tmp_path, nc, seeds):
    generator = load_checkpoint(make_checkpoint(tmp_path / "some", nc=nc)).generator
    model = onnxruntime.InferenceSession(to_onnx(generator), providers=["CPUExecutionProvider"])
    [images] = model.run(None, {"z": latents(seeds, NZ)[:, :, None, None].numpy()})
    with torch.inference_mode():
        wanted = generator(latents(seeds, NZ)[:, :, None, None]).numpy()
    assert np.abs(images - wanted).max() * 127.5 < 1
