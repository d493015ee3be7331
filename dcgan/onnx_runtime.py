"""What runs the ONNX model in a browser: ONNX Runtime's builds, which npm fetches as package-lock.json pins them."""

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dcgan.hub_errors import HubError

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "onnxruntime-web"
# Of its builds the two smallest: one computes on the CPU, the other, where the browser can, on the GPU.
BUILDS = [
    name
    for build, wasm in (("wasm", ""), ("jspi", ".jspi"))
    for name in (f"ort.{build}.bundle.min.mjs", f"ort-wasm-simd-threaded{wasm}.wasm")
]


def at_hand() -> bool:
    """Whether it and what makes the model have been installed here."""
    return find_spec("onnx") is not None and all((runtime() / name).is_file() for name in BUILDS)


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
