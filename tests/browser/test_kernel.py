"""The browser's own generator on the CPU: that it is compiled from its source, and draws the same faces."""

import re
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser

from dcgan.demo.explorer import EXPLORER
from dcgan.demo.explorer.weights import WIDTH, browser_weights
from dcgan.latents import latents
from dcgan.model import ModelConfig
from dcgan.pictures import to_uint8
from tests.tiny import networks

ROOT = Path(__file__).parents[2]

SHAPES = {
    "grey": ModelConfig(image_size=32, nc=1, nz=20, ngf=8),
    "few numbers": ModelConfig(image_size=16, nz=1, ngf=24),
    "usual": ModelConfig(ngf=32),
    "large": ModelConfig(image_size=128, ngf=16, nz=128),
}
DRAW = """async ([program, kernel, weights, latents]) => {
  const bytes = async (data) => (await fetch(`data:;base64,${data}`)).arrayBuffer();
  const { generatorOf } = await import(`data:text/javascript;base64,${program}`);
  const draw = await generatorOf(await bytes(kernel), await bytes(weights));
  return latents.map((z) => [...draw(Float32Array.from(z)).data]);
}"""


@pytest.mark.browser
@pytest.mark.parametrize("shape", SHAPES)
def test_it_draws_what_the_generator_draws(browser: Browser, shape: str) -> None:
    generator, z = networks(SHAPES[shape])[0], latents([0, 1, 0], SHAPES[shape].nz)
    files = [(EXPLORER / name).read_bytes() for name in ("generator.js", "kernel.wasm")]
    texts = [b64encode(file).decode() for file in (*files, browser_weights(generator))]
    page = browser.new_page()
    drawn = np.array(page.evaluate(DRAW, [*texts, z.tolist()]))
    page.close()
    with torch.inference_mode():
        faces = to_uint8(generator(z[:, :, None, None])).permute(0, 2, 3, 1).numpy()
    size, nc = SHAPES[shape].image_size, SHAPES[shape].nc
    drawn = drawn.reshape(3, size, size, 4)
    assert (drawn[..., 3] == 255).all()
    assert np.abs(drawn[..., :nc] - faces).max() <= 2
    assert (drawn[..., :3] == drawn[..., :1]).all() == (nc == 1)
    assert (drawn[0] == drawn[2]).all()
    assert faces.std() > 5


def test_channels_are_counted_in_the_same_steps_everywhere() -> None:
    for name in ("kernel.ts", "generator.js"):
        assert re.findall(r"const WIDTH = (\d+);", (EXPLORER / name).read_text()) == [str(WIDTH)]


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm, which fetches the compiler, is not here")
def test_the_program_is_what_its_source_compiles_to(tmp_path: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    source = EXPLORER.relative_to(ROOT) / "kernel.ts"
    (tmp_path / source).parent.mkdir(parents=True)
    shutil.copy(ROOT / source, tmp_path / source)
    fetch = "npm ci --ignore-scripts --no-audit --no-fund"
    if subprocess.run(fetch.split(), cwd=tmp_path, capture_output=True, check=False).returncode:
        pytest.skip("the compiler cannot be fetched here")
    subprocess.run(["npm", "run", "kernel"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / source).with_suffix(".wasm").read_bytes() == (EXPLORER / "kernel.wasm").read_bytes()
