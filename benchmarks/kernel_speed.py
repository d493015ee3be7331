"""A face drawn in the browser on the CPU: by kernel.wasm, and by onnxruntime-web's WebAssembly, turn by turn.

python -m benchmarks.kernel_speed [checkpoint]      (needs npm and requirements-static.txt)
"""

import argparse
import os
import shutil
import tempfile
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import torch
from playwright.sync_api import sync_playwright

from benchmarks.static_speed import Quiet
from dcgan.checkpoint import load_checkpoint
from dcgan.demo.explorer import EXPLORER
from dcgan.demo.explorer.weights import browser_weights
from dcgan.demo.server.browser import WORKER
from dcgan.hub.onnx_model import to_onnx
from dcgan.hub.onnx_runtime import fetched_runtime
from dcgan.latents import latents
from dcgan.model import Generator
from dcgan.sampling import folded
from tests.browser import ARGUMENTS, MISSING, find_chromium

RUN = """async ([nz, faces]) => {
  const bytes = async (file) => (await fetch(file)).arrayBuffer();
  const { cpuGenerator } = await import("/cpu_generator.js");
  const draw = await cpuGenerator(await bytes("/kernel.wasm"), await bytes("/generator.safetensors"));
  const ort = await import("/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(await bytes("/generator.onnx"), { executionProviders: ["wasm"] });
  const ways = [draw, (z) => session.run({ z: new ort.Tensor("float32", z, [1, nz, 1, 1]) })];
  const times = [[], []];
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  for (let face = -50; face < faces; face++) {
    const z = Float32Array.from({ length: nz }, normal);
    for (const [i, way] of ways.entries()) {
      const begun = performance.now();
      await way(z);
      if (face >= 0) times[i].push(performance.now() - begun);
    }
  }
  return times.map((of) => of.sort((a, b) => a - b)[faces >> 1]);
}"""


@torch.inference_mode()
def zeros(generator: Generator) -> list[float]:
    """The part of the values behind each ReLU that are zeros, of 64 faces."""
    values, parts = latents(range(64), generator.config.nz)[:, :, None, None], []
    for layer in folded(generator).main:
        values = layer(values)
        if isinstance(layer, torch.nn.ReLU):
            parts.append(float((values == 0).float().mean()))
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="checkpoints/faces")
    parser.add_argument("--faces", type=int, default=300, help="drawn by each (default: 300)")
    flags = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        parser.exit(2, MISSING + "\n")
    generator = load_checkpoint(flags.checkpoint).generator
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        (folder / "generator.onnx").write_bytes(to_onnx(generator))
        (folder / "generator.safetensors").write_bytes(browser_weights(generator))
        for file in [EXPLORER / name for name in WORKER] + list((fetched_runtime() / "dist").glob("ort*wasm*")):
            shutil.copy(file, folder)
        (folder / "index.html").touch()
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=temporary))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        ours, theirs = page.evaluate(RUN, [generator.config.nz, flags.faces])
        browser.close()
        server.shutdown()
    print("zeros behind each ReLU:", ", ".join(f"{part:.0%}" for part in zeros(generator)))
    print(
        f"a face in one thread: kernel.wasm {ours:.1f} ms, onnxruntime-web {theirs:.1f} ms, "
        f"{theirs / ours:.1f} times as long; medians of {flags.faces}, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
