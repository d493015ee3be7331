"""What runs the ONNX model on a visitor's GPU: ONNX Runtime, which npm fetches as package-lock.json pins it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from dcgan.hub_errors import HubError

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = "onnxruntime-web"
BUILD = ("ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm")  # of those that use a GPU the smallest


def fetched_runtime() -> Path:
    """The folder of onnxruntime-web in the pinned version, installed if need be. Raises HubError where it cannot be."""
    folder, pinned = ROOT / "node_modules" / RUNTIME, _read(ROOT / "package.json")["dependencies"][RUNTIME]
    if _read(folder / "package.json").get("version") == pinned:
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise HubError("the static page needs npm, to fetch onnxruntime-web once: install Node.js (https://nodejs.org)")
    command = [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
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
