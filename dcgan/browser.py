"""The generator in a visitor's browser: as an ONNX model, and what runs it there.

That is ONNX Runtime's build for browsers, which npm fetches in the version that package-lock.json pins. The static page
consists of it, and the demo offers it beside the server where it is at hand.
"""

import hashlib
import json
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from torch import nn

from dcgan.explorer import EXPLORER
from dcgan.hub import HubError
from dcgan.model import Generator
from dcgan.sampler import folded
from dcgan.studio import Studio

ROOT = Path(__file__).resolve().parent.parent
WORKER = EXPLORER / "worker.js"
RUNTIME = "onnxruntime-web"
# Of its builds the two smallest: one computes on the CPU, the other, where the browser can, on the GPU.
BUILDS = [
    name
    for build, wasm in (("wasm", ""), ("jspi", ".jspi"))
    for name in (f"ort.{build}.bundle.min.mjs", f"ort-wasm-simd-threaded{wasm}.wasm")
]
OPSET, IR = 17, 9


def routes(studio: Studio) -> list[Route]:
    """What the demo's page fetches once a visitor lets their own browser draw: for a Starlette application."""

    @cache
    def model(name: str) -> tuple[bytes, str]:
        onnx = to_onnx(studio.shelf.checkpoint(name).generator)
        return onnx, f'"{hashlib.sha256(onnx).hexdigest()}"'

    def answer(request: Request) -> Response:
        file, name = request.path_params["file"], request.query_params.get("name", "")
        if file in BUILDS:
            return FileResponse(runtime() / file)
        if file == WORKER.name:
            return FileResponse(WORKER)
        try:
            if file == "checkpoint.json":
                return JSONResponse(known(studio, name))
            if file == "generator.onnx":
                onnx, tag = model(name)
                headers = {"ETag": tag, "Cache-Control": "no-cache"}  # kept, and asked for whether it is the same
                if request.headers.get("If-None-Match") == tag:
                    return Response(None, 304, headers)
                return Response(onnx, 200, headers, "application/octet-stream")
        except ValueError as error:
            return PlainTextResponse(str(error), 404)
        return PlainTextResponse("no such file", 404)

    return [Route("/browser/{file}", answer)]


def at_hand() -> bool:
    """Whether all that this takes has been installed here."""
    return find_spec("onnx") is not None and all((runtime() / name).is_file() for name in BUILDS)


def known(studio: Studio, name: str = "") -> dict[str, Any]:
    """What a browser has to know of a checkpoint to draw its faces."""
    directions = {d.name: d.vector.tolist() for d in studio.shelf.checkpoint(name).directions}
    return {"summary": studio.shelf.summary(name), "directions": directions}


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


def fetched_runtime() -> Path:
    """The folder of onnxruntime-web in the pinned version, installed if need be. Raises HubError where it cannot be."""
    folder, pinned = ROOT / "node_modules" / RUNTIME, _read(ROOT / "package.json")["dependencies"][RUNTIME]
    if _read(folder / "package.json").get("version") == pinned:
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise HubError("the static page needs npm, to fetch onnxruntime-web once: install Node.js (https://nodejs.org)")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["it says nothing"]
        raise HubError(f"onnxruntime-web could not be fetched (npm: {said[0]}); is there a network?")
    return folder


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def runtime() -> Path:
    """Where ONNX Runtime's builds are, if they are there."""
    return ROOT / "node_modules" / RUNTIME / "dist"
