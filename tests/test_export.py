"""A generator exported for other programs draws the same pictures."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from dcgan.__main__ import main
from dcgan.latents import latents
from dcgan.pictures import to_uint8
from dcgan.sampling import sample
from tests.tiny import save


def drawn(path: Path, format: str, z: torch.Tensor) -> torch.Tensor:
    if format == "torchscript":
        return torch.jit.load(path)(z)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(np.asarray(session.run(["images"], {"z": z.numpy()})[0]))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_an_exported_generator_draws_the_same_faces_in_batches_of_any_size(tmp_path, format):
    checkpoint, out = save(tmp_path / "tiny"), tmp_path / "new" / "faces"
    assert main(["export", str(checkpoint.folder), "--format", format, str(out)]) == 0
    expected = sample(checkpoint.generator, range(9)).permute(0, 3, 1, 2)
    for count in (1, 9):
        images = to_uint8(drawn(out, format, latents(range(count), 6)[:, :, None, None]))
        assert (images.int() - expected[:count].int()).abs().max() <= 2
    assert list(out.parent.iterdir()) == [out]


def test_what_cannot_be_exported_is_one_line_and_leaves_what_was_there(tmp_path, refusal, monkeypatch):
    checkpoint, out = save(tmp_path / "tiny").folder, tmp_path / "faces.onnx"
    out.write_text("before")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(sys, "path", [])
    assert "pip install" in refusal("export", checkpoint, out)
    assert "cannot be written" in refusal("export", checkpoint, "--format=torchscript", out / "below")
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.onnx", "tiny"]
