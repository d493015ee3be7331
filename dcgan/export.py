"""The generator for other programs: `python -m dcgan export CHECKPOINT --format onnx|torchscript OUT`.

The file takes z, float32 [N, nz, 1, 1], and returns images, float32 [N, nc, S, S] in [-1, 1], for any N.
"""

import argparse
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from dcgan.checkpoint import load_checkpoint
from dcgan.cli import guarded, user_path, user_source
from dcgan.errors import UserError, reason
from dcgan.files import writing
from dcgan.hub.pull import local_folder
from dcgan.model import Generator


def export(generator: Generator, path: Path, format: str = "onnx") -> None:
    """Write a generator to `path` as "onnx" or "torchscript". Raises ModuleNotFoundError without ONNX's packages."""
    z = torch.zeros(2, generator.config.nz, 1, 1)
    with writing(path) as temporary, warnings.catch_warnings(action="ignore"):  # about the age of torch.jit
        if format == "torchscript":
            with temporary.open("wb") as file:  # torch takes no path that is not UTF-8
                torch.jit.save(torch.jit.trace(generator, z), file)
            return
        for package in ("onnx", "onnxscript"):
            if not find_spec(package):
                raise ModuleNotFoundError(f"ONNX files need: pip install onnx onnxscript (no {package} here)")
        names: dict[str, Any] = {"input_names": ["z"], "output_names": ["images"]}
        any_number = ({0: torch.export.Dim("batch")},)
        program = torch.onnx.export(generator, (z,), dynamic_shapes=any_number, dynamo=True, verbose=False, **names)
        assert program is not None
        program.save(temporary)


@guarded("export", output_counts=False)
def main(argv: list[str] | None = None) -> int:
    """Export a checkpoint's generator."""
    parser = argparse.ArgumentParser(prog="python -m dcgan export", description="Write a generator for other programs.")
    add = parser.add_argument
    add("checkpoint", type=user_source, help="checkpoint folder, run folder or owner/name[@revision] on the Hub")
    add("--format", choices=("onnx", "torchscript"), default="onnx", help="default: onnx")
    add("out", type=user_path, help="file to write")
    flags = parser.parse_args(argv)
    generator = load_checkpoint(local_folder(flags.checkpoint)).generator
    try:
        flags.out.parent.mkdir(parents=True, exist_ok=True)
        export(generator, flags.out, flags.format)
    except (OSError, RuntimeError) as error:
        raise UserError(f"'{flags.out}' cannot be written ({reason(error)})") from None
    print(f"wrote {flags.out}")
    return 0
