"""A generator exported for other programs draws the same pictures."""

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from dcgan.__main__ import main
from dcgan.checkpoint import load_checkpoint, save_checkpoint
from dcgan.latents import latents
from dcgan.model import Discriminator, ModelConfig
from dcgan.pictures import to_uint8
from dcgan.sampling import sample
from tests.test_generate import vivid


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "tiny"
    generator = vivid(ModelConfig(image_size=16, nz=6, ngf=8))
    discriminator = Discriminator(generator.config)
    config = {"model": asdict(generator.config), "images_seen": 0}
    save_checkpoint(folder, generator, discriminator, config, [], folder.parent / "none", "tiny")
    return folder


def drawn(path: Path, format: str, z: torch.Tensor) -> torch.Tensor:
    if format == "torchscript":
        return torch.jit.load(path)(z)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(np.asarray(session.run(["images"], {"z": z.numpy()})[0]))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_an_exported_generator_draws_the_same_faces_in_batches_of_any_size(checkpoint, tmp_path, format):
    out = tmp_path / "new" / "faces"
    assert main(["export", str(checkpoint), "--format", format, str(out)]) == 0
    expected = sample(load_checkpoint(checkpoint).generator, range(9)).permute(0, 3, 1, 2)
    assert expected.float().std() > 10
    for count in (1, 9):
        images = to_uint8(drawn(out, format, latents(range(count), 6)[:, :, None, None]))
        assert (images.int() - expected[:count].int()).abs().max() <= 2
    assert list(out.parent.iterdir()) == [out]


def test_what_cannot_be_exported_is_one_line_and_leaves_what_was_there(checkpoint, tmp_path, capsys, monkeypatch):
    out = tmp_path / "faces.onnx"
    out.write_text("before")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(sys, "path", [])
    wrong = {
        "pip install": [str(checkpoint), str(out)],
        "nowhere": [str(tmp_path / "nowhere"), str(out)],
        "cannot be written": [str(checkpoint), "--format=torchscript", str(out / "below")],
    }
    for message, argv in wrong.items():
        assert main(["export", *argv]) == 2
        errors = capsys.readouterr().err
        assert errors.startswith("export: ")
        assert message in errors
        assert errors.count("\n") == 1
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]
