"""Seeds to pictures: the same seed, the same pixels."""

import itertools
import signal
import subprocess
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dcgan import generate
from dcgan.checkpoint import load_checkpoint, save_checkpoint
from dcgan.direction import Direction, save_directions
from dcgan.generate import main, parse_seeds
from dcgan.latents import latents
from dcgan.model import Discriminator, Generator, ModelConfig
from dcgan.pictures import normalised, to_uint8
from dcgan.sampling import folded, render, sample, sample_batches

ROOT = Path(__file__).parents[1]


def vivid(config: ModelConfig) -> Generator:
    """An untrained generator whose pictures have full contrast, and BatchNorm statistics of its own."""
    torch.manual_seed(0)
    net = Generator(config)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average of all batches
    with torch.no_grad():
        net.main[-2].weight.mul_(3)
        for _ in range(4):
            net(torch.randn(8, config.nz, 1, 1))
    return net.eval()


@pytest.fixture(scope="module")
def generator() -> Generator:
    return vivid(ModelConfig(image_size=32, nz=20, ngf=8))


@pytest.fixture(scope="module")
def wide_generator() -> Generator:
    return vivid(ModelConfig(nz=20, ngf=32))


def test_sample_gives_uint8_images_with_the_channels_last(generator):
    images = sample(generator, range(3))
    assert (images.shape, images.dtype) == ((3, 32, 32, 3), torch.uint8)
    assert images.is_contiguous()
    assert images.float().std() > 10
    assert sample(generator, []).shape == (0, 32, 32, 3)
    assert render(generator, torch.empty(0, 20)).shape == (0, 3, 32, 32)
    assert sample(vivid(ModelConfig(image_size=16, nc=1, nz=5, ngf=4)), [1, 2]).shape == (2, 16, 16, 1)


@pytest.mark.parametrize("batch_size", [1, 3, 5, 64])
@pytest.mark.parametrize("threads", [1, 2])
def test_same_seed_gives_the_same_pixels_alone_and_in_any_batch(wide_generator, threads, batch_size):
    """On several threads PyTorch's kernels choose their algorithm, and with it their rounding, by the batch."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = sample(wide_generator, range(30))
        assert torch.equal(torch.cat(list(sample_batches(wide_generator, range(30), batch_size=batch_size))), together)
        assert torch.equal(sample(wide_generator, [9, 5, 9, 27]), together[[9, 5, 9, 27]])
    finally:
        torch.set_num_threads(before)


def test_other_seeds_give_other_faces(generator):
    images = sample(generator, range(8)).flatten(1)
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(images, 2))


def test_sample_batches_yields_pieces_in_order_without_reading_ahead(generator):
    seeds = itertools.count()
    pieces = sample_batches(generator, seeds, batch_size=4)
    first, second = next(pieces), next(pieces)
    assert next(seeds) == 8
    assert torch.equal(torch.cat([first, second]), sample(generator, range(8)))
    assert [len(piece) for piece in sample_batches(generator, range(10), batch_size=4)] == [4, 4, 2]


def test_truncation_scales_the_latent(generator):
    half = render(generator, 0.5 * latents([3], 20)).permute(0, 2, 3, 1)
    assert torch.equal(sample(generator, [3], truncation=0.5), half)
    assert not torch.equal(half, sample(generator, [3]))
    middle = render(generator, torch.zeros(5, 20)).permute(0, 2, 3, 1)
    assert torch.equal(sample(generator, range(5), truncation=0.0), middle)


def test_a_generator_in_train_mode_is_refused_and_sampling_changes_nothing(generator):
    for use in (lambda net: sample(net, [0]), folded):
        with pytest.raises(AssertionError, match="eval"):
            use(Generator(generator.config))
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    sample(generator, range(4))
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())


@pytest.mark.parametrize("nc", [1, 3])
def test_a_folded_generator_has_no_batch_norm_and_the_same_images(nc):
    generator = vivid(ModelConfig(image_size=32, nc=nc, nz=20, ngf=8))
    fast, z = folded(generator), latents(range(16), 20)[:, :, None, None]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in generator.modules())
    torch.testing.assert_close(fast(z), generator(z), atol=1e-4, rtol=0)


def test_pixels_have_a_fixed_range_and_undo_the_tutorials_scaling_exactly():
    assert to_uint8(torch.tensor([-1.0, 1.0, -3.0, 3.0, 0.2])).tolist() == [0, 255, 0, 255, 153]
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(normalised(levels)), levels)


@pytest.fixture(scope="module")
def checkpoint(generator, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("generate") / "tiny"
    judge = Discriminator(ModelConfig(image_size=32, nz=20, ndf=4))
    config = {"model": asdict(generator.config), "images_seen": 0}
    save_checkpoint(folder, generator, judge, config, [], folder.parent / "none", "tiny")
    return folder


def expected(checkpoint: Path, seed: int) -> list:
    return sample(load_checkpoint(checkpoint).generator, [seed])[0].tolist()


def test_the_command_line_writes_a_png_for_each_seed_into_a_folder_or_a_zip(checkpoint, tmp_path):
    seeds = ["--seeds", "0-2,70"]
    assert main([str(checkpoint), *seeds, "--out", str(tmp_path / "faces")]) == 0
    files = sorted(path.name for path in (tmp_path / "faces").iterdir())
    assert files == ["000000.png", "000001.png", "000002.png", "000070.png"]
    with Image.open(tmp_path / "faces" / "000070.png") as picture:
        assert np.asarray(picture).tolist() == expected(checkpoint, 70)
    assert main([str(checkpoint), *seeds, "--out", str(tmp_path / "new" / "faces.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "new" / "faces.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: (tmp_path / "faces" / name).read_bytes() for name in files
        }


def test_the_command_says_nothing_but_how_far_it_is(checkpoint, tmp_path):
    command = [sys.executable, "-m", "dcgan", "generate", checkpoint, "--seeds", "0", "--out", tmp_path / "faces"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "")
    assert [line for line in done.stderr.splitlines() if line and "img" not in line] == []


@pytest.mark.parametrize("out", ["faces", "faces.zip"])
def test_ctrl_c_ends_it_with_one_line_and_leaves_no_half_zip(checkpoint, tmp_path, monkeypatch, capsys, out):
    written, png = [], generate.encoded

    def pressed(image):
        written.append(image)
        if len(written) == 3:
            signal.raise_signal(signal.SIGINT)
        return png(image)

    monkeypatch.setattr(generate, "encoded", pressed)
    with pytest.raises(SystemExit) as ended:
        main([str(checkpoint), "--out", str(tmp_path / out)])
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "generate: stopped"
    files = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.*"))]
    assert files == (["faces/000000.png", "faces/000001.png"] if out == "faces" else [])


def test_all_faces_move_along_directions(checkpoint, tmp_path, capsys):
    opened = load_checkpoint(checkpoint)
    ways = [Direction(name, "number", torch.eye(20)[i], -3.0, 3.0) for i, name in enumerate(("age", "pose"))]
    save_directions(checkpoint / "directions.safetensors", tuple(ways), opened.generator)
    command = [str(checkpoint), "--seeds", "7", "--out", str(tmp_path / "faces")]
    assert main([*command, "--move", "age=2", "--move", "pose=-0.5"]) == 0
    with Image.open(tmp_path / "faces" / "000007.png") as picture:
        shift = 2 * torch.eye(20)[0] - 0.5 * torch.eye(20)[1]
        assert np.asarray(picture).tolist() == sample(opened.generator, [7], shift=shift)[0].tolist()
    capsys.readouterr()
    for wrong in ("height=1", "age", "age=4", "age=nan", "age=old"):
        assert refused(capsys, *command, "--move", wrong).startswith("generate: --move")


def refused(capsys: pytest.CaptureFixture, *flags: str) -> str:
    """The one line on stderr with which these flags end, with exit code 2."""
    assert main(list(flags)) == 2
    errors = capsys.readouterr().err
    assert (errors.startswith("generate: "), errors.count("\n")) == (True, 1)
    return errors


@pytest.mark.parametrize("truncation", ["nan", "inf", "-1", "2.1"])
def test_a_truncation_that_leads_nowhere_is_refused_in_one_line(checkpoint, tmp_path, capsys, truncation):
    errors = refused(capsys, str(checkpoint), f"--truncation={truncation}", "--out", str(tmp_path / "faces"))
    assert "truncation goes from 0 to 2, not to " in errors
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("5,5", [5]), ("0-3,2-5,1", [0, 1, 2, 3, 4, 5]), ("9,0-1,8-9", [0, 1, 8, 9]), ("3, 1-2 ,0-5", [0, 1, 2, 3, 4, 5])],
)
def test_seeds_named_twice_are_drawn_once(text, seeds):
    assert [seed for seeds in parse_seeds(text) for seed in seeds] == seeds


@pytest.mark.parametrize(
    "seeds", ["", "a", "5-2", "-3", "0-", "1,,2", "4294967296", "1.5", "0-99999999999", "²", "1-²"]
)
def test_seeds_that_are_none_are_refused_in_one_line(checkpoint, tmp_path, capsys, seeds):
    assert "seeds" in refused(capsys, str(checkpoint), f"--seeds={seeds}", "--out", str(tmp_path / "faces"))
    assert not (tmp_path / "faces").exists()


def test_a_zip_of_other_things_is_left_alone_and_one_of_faces_is_replaced(checkpoint, tmp_path, capsys):
    out = tmp_path / "mine.zip"
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("holiday.png", b"mine")
    before = out.read_bytes()
    assert "holds other things than faces" in refused(capsys, str(checkpoint), "--seeds=0", f"--out={out}")
    assert out.read_bytes() == before
    out.unlink()
    for seeds in ("0-1", "2"):
        assert main([str(checkpoint), f"--seeds={seeds}", f"--out={out}"]) == 0
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["000002.png"]


def test_an_empty_place_is_refused_and_a_tilde_is_the_home(checkpoint, tmp_path, capsys, monkeypatch):
    with pytest.raises(SystemExit, match="2"):
        main([str(checkpoint), "--out="])
    assert "--out: must not be empty" in capsys.readouterr().err
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main([str(checkpoint), "--seeds=0", "--out=~/faces"]) == 0
    assert (tmp_path / "faces" / "000000.png").is_file()


def test_a_missing_checkpoint_or_an_output_that_cannot_be_written_is_one_line(checkpoint, tmp_path, capsys):
    assert str(tmp_path / "none") in refused(capsys, str(tmp_path / "none"), "--out", str(tmp_path / "faces"))
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "faces"
    assert str(out) in refused(capsys, str(checkpoint), "--out", str(out))
