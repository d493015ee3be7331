"""The explorer as plain files, for a static Space: the generator runs in the visitor's browser.

python -m dcgan.hub static OUT --checkpoint RUN

What draws is ONNX Runtime's build for browsers, which npm fetches in the version that package-lock.json pins.
"""

import json
import shutil
import subprocess
from pathlib import Path
from string import Template
from typing import Any

from huggingface_hub import SpaceCard
from torch import nn

from dcgan.checkpoint import CheckpointError, load_checkpoint
from dcgan.generate import sample
from dcgan.hub import HubError
from dcgan.model import Generator
from dcgan.sampler import folded
from dcgan.studio import Studio, enlarged, grid, picture

ROOT = Path(__file__).resolve().parent.parent
EXPLORER = Path(__file__).parent / "explorer"
SCRIPTS = (
    *("parts.js", "engine.js", "latents.js", "onnx_engine.js", "tabbar.js"),
    *("explorer.js", "interpolate.js", "replay.js", "about.js", "static.js"),
)
STYLES = ("page.css", "explorer.css", "static.css")
RUNTIME = "onnxruntime-web"
# Of its builds the two smallest: one computes on the CPU, the other, where the browser can, on the GPU.
BUILDS = [
    name
    for build, wasm in (("wasm", ""), ("jspi", ".jspi"))
    for name in (f"ort.{build}.bundle.min.mjs", f"ort-wasm-simd-threaded{wasm}.wasm")
]
OPSET, IR = 17, 9


def write_static(folder: Path, source: str, title: str | None = None) -> None:
    """Write the page that explores the checkpoint at `source` into a folder. Raises CheckpointError or HubError."""
    checkpoint = load_checkpoint(source)
    studio = Studio(checkpoint.folder)
    if studio.broken:
        raise CheckpointError(studio.broken[0])
    model = to_onnx(checkpoint.generator)
    runtime = fetched_runtime()

    (folder / "generator.onnx").write_bytes(model)
    for name in BUILDS:
        shutil.copyfile(runtime / "dist" / name, folder / name)
    known = {
        "summary": {**studio.summary(), "moments": []},
        "directions": {d.name: d.vector.tolist() for d in checkpoint.directions},
        "ranking": studio.ranking(),
        "replay": studio.replay(),
    }
    (folder / "checkpoint.json").write_text(json.dumps(known, allow_nan=False), encoding="utf-8")
    (folder / "snapshots").mkdir()
    for i, snapshot in enumerate(checkpoint.snapshots):
        shutil.copyfile(snapshot.path, folder / "snapshots" / f"{i}.webp")
    _write_page(folder, studio.card(), studio.about())

    faces = sample(checkpoint.generator, range(32)).numpy()
    enlarged(picture(grid(faces)), max(1, 128 // faces.shape[1])).save(folder / "thumbnail.jpg", quality=88)
    card = SpaceCard((ROOT / "README.md").read_text(encoding="utf-8"))
    kept = ("emoji", "colorFrom", "colorTo", "pinned", "license", "short_description")
    front = {name: card.data[name] for name in kept}
    card.data = type(card.data)(title=title or card.data["title"], sdk="static", app_file="index.html", **front)
    words = "Nobody you see here exists. A DCGAN draws them in your browser."
    card.text = f"# {card.data['title']}\n\n{words}\n\n{studio.about()}\n"
    (folder / "README.md").write_text(str(card), encoding="utf-8")


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


def _write_page(folder: Path, card: str, about: str) -> None:
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise HubError("the static page needs markdown-it-py: pip install -r requirements-static.txt") from None
    # A card is its author's, who may be anyone: HTML in it is shown, not obeyed.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    page = Template((EXPLORER / "static.html").read_text(encoding="utf-8"))
    text = page.substitute(card=markdown.render(card), about=markdown.render(about))
    (folder / "index.html").write_text(text, encoding="utf-8")
    korean = (EXPLORER / "ko.json").read_text(encoding="utf-8")
    scripts = [(EXPLORER / name).read_text(encoding="utf-8") for name in SCRIPTS]
    (folder / "page.js").write_text("\n".join([f"const KOREAN = {korean};", *scripts]), encoding="utf-8")
    styles = [(EXPLORER / name).read_text(encoding="utf-8") for name in STYLES]
    (folder / "page.css").write_text("\n".join(styles), encoding="utf-8")
    shutil.copyfile(EXPLORER / "worker.js", folder / "worker.js")
