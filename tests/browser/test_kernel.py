"""The browser's own generator on the CPU: that it is compiled from its source, and draws the same faces."""

import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page
from torch import nn

from dcgan.demo.explorer import EXPLORER
from dcgan.demo.explorer.weights import browser_weights
from dcgan.latents import latents
from dcgan.model import Discriminator, Generator, ModelConfig
from dcgan.pictures import normalised, to_uint8
from tests.tiny import networks

ROOT = Path(__file__).parents[2]

SHAPES = {
    "grey": ModelConfig(image_size=32, nc=1, nz=20, ngf=8, ndf=8, d_norm="spectral"),
    "few numbers": ModelConfig(image_size=16, nz=1, ngf=24, ndf=24, d_norm="none"),
    "usual": ModelConfig(ngf=32, ndf=32, d_bias=True),
    "large": ModelConfig(image_size=128, ngf=16, ndf=16, nz=128),
}
OPEN = """async ([program, kernel, weights]) => {
  const bytes = async (data) => (await fetch(`data:;base64,${data}`)).arrayBuffer();
  const { discriminatorOf, generatorOf } = await import(`data:text/javascript;base64,${program}`);
  window.generator = await generatorOf(await bytes(kernel), await bytes(weights[0]));
  window.discriminator = await discriminatorOf(await bytes(kernel), await bytes(weights[1]));
}"""
DRAW = """([latents, units]) => latents.map((z) => [...generator.draw(Float32Array.from(z), units).data])"""
LOOK = """([z, units, count]) => {
  const strongest = generator.strongest([z], count);
  return [strongest, generator.maps(z, units, strongest).map(({ data }) => [...data])];
}"""
JUDGE = """(pictures) => pictures.map((data) => {
  const side = Math.sqrt(data.length / 4);
  return discriminator(new ImageData(Uint8ClampedArray.from(data), side, side));
})"""


def opened(browser: Browser, nets: tuple[Generator, Discriminator]) -> Page:
    """A page that has both networks."""
    files = [(EXPLORER / name).read_bytes() for name in ("networks.js", "kernel.wasm")]
    program, kernel, *weights = [b64encode(file).decode() for file in (*files, *map(browser_weights, nets))]
    page = browser.new_page()
    page.evaluate(OPEN, [program, kernel, weights])
    return page


@pytest.mark.browser
@pytest.mark.parametrize("shape", SHAPES)
def test_it_draws_what_the_generator_draws(browser: Browser, shape: str) -> None:
    nets, z = networks(SHAPES[shape]), latents([0, 1, 0], SHAPES[shape].nz)
    generator, page = nets[0], opened(browser, nets)
    drawn = np.array(page.evaluate(DRAW, [z.tolist(), {}]))
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


@pytest.mark.browser
@pytest.mark.parametrize("shape", SHAPES)
def test_it_judges_as_the_discriminator_does(browser: Browser, shape: str) -> None:
    nets, size = networks(SHAPES[shape]), SHAPES[shape].image_size
    page, noise = opened(browser, nets), torch.Generator().manual_seed(0)
    coarse = torch.rand(6, SHAPES[shape].nc, 8, 8, generator=noise)
    pictures = (255 * nn.functional.interpolate(coarse, size, mode="bilinear")).to(torch.uint8)
    with torch.inference_mode():
        logits = nets[1](normalised(pictures)).numpy()
    colours = pictures.permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
    data = torch.cat([colours, torch.full_like(colours[..., :1], 255)], -1).flatten(1).tolist()
    found = np.array(page.evaluate(JUDGE, data))
    page.close()
    assert np.abs(found - logits).max() < 0.05 * logits.std()


@pytest.mark.browser
@pytest.mark.parametrize("shape", ["grey", "few numbers"])
def test_inside_are_the_generators_own_features_and_its_surgery(browser: Browser, shape: str) -> None:
    nets, z = networks(SHAPES[shape]), latents([3], SHAPES[shape].nz)
    generator, page, size, nc = nets[0], opened(browser, nets), SHAPES[shape].image_size, SHAPES[shape].nc
    strongest, maps = page.evaluate(LOOK, [z[0].tolist(), {}, 5])
    features: list[torch.Tensor] = []
    layers = [layer for layer in generator.main if isinstance(layer, nn.ReLU | nn.Tanh)]
    hooks = [layer.register_forward_hook(lambda *all: features.append(all[2][0])) for layer in layers]
    units = {f"0.{strongest[0][0]}": 0, f"1.{strongest[1][2]}": 3, "9.0": 0, "0.4000": 0}

    def operate(number: int, output: torch.Tensor) -> torch.Tensor:
        for key, factor in units.items():
            layer, channel = map(int, key.split("."))
            if layer == number and channel < output.shape[1]:
                output[:, channel] *= factor
        return output

    with torch.inference_mode():
        generator(z[:, :, None, None])
        for hook in hooks:
            hook.remove()
        for number, layer in enumerate(layers[:-1]):
            layer.register_forward_hook(lambda _, __, output, number=number: operate(number, output))
        altered = to_uint8(generator(z[:, :, None, None])).permute(0, 2, 3, 1).numpy()
    assert [len(channels) for channels in strongest] == [*[5] * (len(layers) - 1), nc]
    for channels, shown, feature in zip(strongest[:-1], maps[:-1], features[:-1], strict=True):
        chosen = feature[channels].numpy()
        side = chosen.shape[1]
        level = np.sqrt(chosen / chosen.max())
        green = np.array(shown).reshape(side, 5, side, 4)[..., 1].transpose(1, 0, 2)
        assert np.abs(green - 255 * level).max() < 8  # fp16 under a root
    drawn = np.array(page.evaluate(DRAW, [z.tolist(), units])).reshape(size, size, 4)
    assert np.abs(drawn[..., :nc] - altered[0]).max() <= 2
    before = np.array(page.evaluate(DRAW, [z.tolist(), {}])).reshape(size, size, 4)
    assert np.abs(drawn - before).max() > 10
    page.close()


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
