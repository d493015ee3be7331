"""Seeds to pictures: the same seed, the same pixels."""

import itertools
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
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
from dcgan.pictures import to_uint8
from dcgan.sampling import render, sample, sample_batches

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


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_sample_gives_uint8_images_with_the_channels_last(generator):
    images = sample(generator, range(3))
    assert images.shape == (3, 32, 32, 3)
    assert images.dtype == torch.uint8
    assert images.is_contiguous()
    assert images.float().std() > 10


def test_a_grey_generator_gives_one_channel():
    grey = vivid(ModelConfig(image_size=16, nc=1, nz=5, ngf=4))
    assert sample(grey, [1, 2]).shape == (2, 16, 16, 1)


def test_same_seed_gives_the_same_pixels_alone_and_in_a_batch_of_64(generator):
    together = sample(generator, range(64))
    for seed in (0, 1, 31, 63):
        assert torch.equal(sample(generator, [seed])[0], together[seed])


@pytest.mark.parametrize("batch_size", [1, 3, 5])
def test_same_seed_gives_the_same_pixels_in_batches_of_any_size(wide_generator, two_threads, batch_size):
    """On several threads PyTorch's kernels choose their way, and with it their rounding, by the batch."""
    pieces = sample_batches(wide_generator, range(30), batch_size=batch_size)
    assert torch.equal(torch.cat(list(pieces)), sample(wide_generator, range(30)))


def test_same_seed_gives_the_same_pixels_at_any_place(generator):
    assert torch.equal(sample(generator, [9, 5, 9, 70]), sample(generator, range(71))[[9, 5, 9, 70]])


def test_other_seeds_give_other_faces(generator):
    images = sample(generator, range(8)).flatten(1)
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(images, 2))


def test_sample_batches_yields_pieces_in_order_without_reading_ahead(generator):
    seeds = itertools.count()
    pieces = sample_batches(generator, seeds, batch_size=4)
    first, second = next(pieces), next(pieces)
    assert next(seeds) == 8
    assert torch.equal(torch.cat([first, second]), sample(generator, range(8)))


def test_the_last_piece_holds_the_rest(generator):
    assert [len(piece) for piece in sample_batches(generator, range(10), batch_size=4)] == [4, 4, 2]


def test_no_seeds_give_no_images(generator):
    assert sample(generator, []).shape == (0, 32, 32, 3)
    assert render(generator, torch.empty(0, 20)).shape == (0, 3, 32, 32)


def test_truncation_to_zero_gives_everyone_the_same_face(generator):
    images = sample(generator, range(5), truncation=0.0)
    assert torch.equal(images, images[:1].expand_as(images))
    assert torch.equal(images[0], render(generator, torch.zeros(1, 20))[0].permute(1, 2, 0))


def test_truncation_scales_the_latent(generator):
    half = render(generator, 0.5 * latents([3], 20)).permute(0, 2, 3, 1)
    assert torch.equal(sample(generator, [3], truncation=0.5), half)
    assert not torch.equal(half, sample(generator, [3]))


def test_a_generator_in_train_mode_is_refused():
    with pytest.raises(AssertionError, match="eval"):
        sample(Generator(ModelConfig(image_size=16, nz=4, ngf=4)), [0])


def test_sampling_changes_nothing_in_the_generator(generator):
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    sample(generator, range(4))
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())


def test_values_map_to_a_fixed_range():
    ends = to_uint8(torch.tensor([-1.0, 1.0, -3.0, 3.0, 0.2]))
    assert ends.tolist() == [0, 255, 0, 255, 153]


def test_the_tutorials_image_scaling_is_undone_exactly():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 127.5 - 1), levels)


@pytest.fixture(scope="module")
def checkpoint(generator, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("generate") / "tiny"
    judge = Discriminator(ModelConfig(image_size=32, nz=20, ndf=4))
    config = {"model": asdict(generator.config), "images_seen": 0}
    save_checkpoint(folder, generator, judge, config, [], folder.parent / "none", "tiny")
    return folder


def expected(checkpoint: Path, seed: int) -> list:
    return sample(load_checkpoint(checkpoint).generator, [seed])[0].tolist()


def test_the_command_line_writes_a_png_for_each_seed(checkpoint, tmp_path):
    assert main([str(checkpoint), "--seeds", "0-2,70", "--out", str(tmp_path / "faces")]) == 0
    files = sorted(path.name for path in (tmp_path / "faces").iterdir())
    assert files == ["000000.png", "000001.png", "000002.png", "000070.png"]
    with Image.open(tmp_path / "faces" / "000070.png") as picture:
        assert np.asarray(picture).tolist() == expected(checkpoint, 70)


def test_the_command_line_writes_the_same_pngs_into_a_zip(checkpoint, tmp_path):
    assert main([str(checkpoint), "--seeds", "5,8-9", "--out", str(tmp_path / "new" / "faces.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "new" / "faces.zip") as archive:
        assert archive.namelist() == ["000005.png", "000008.png", "000009.png"]
        with Image.open(archive.open("000009.png")) as picture:
            assert np.asarray(picture).tolist() == expected(checkpoint, 9)


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
        assert main([*command, "--move", wrong]) == 2
        errors = capsys.readouterr().err
        assert (errors.startswith("generate: --move"), errors.count("\n")) == (True, 1)


@pytest.mark.parametrize("truncation", ["nan", "inf", "-1", "2.1"])
def test_a_truncation_that_leads_nowhere_is_refused_in_one_line(checkpoint, tmp_path, capsys, truncation):
    assert main([str(checkpoint), f"--truncation={truncation}", "--out", str(tmp_path / "faces")]) == 2
    errors = capsys.readouterr().err
    assert (errors.startswith("generate: truncation goes from 0 to 2, not to "), errors.count("\n")) == (True, 1)
    assert not (tmp_path / "faces").exists()
    with pytest.raises(ValueError, match="truncation"):
        sample(load_checkpoint(checkpoint).generator, [0], truncation=float(truncation))


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
    assert main([str(checkpoint), f"--seeds={seeds}", "--out", str(tmp_path / "faces")]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "seeds" in errors
    assert not (tmp_path / "faces").exists()


def test_a_zip_of_other_things_is_left_alone_and_one_of_faces_is_replaced(checkpoint, tmp_path, capsys):
    out = tmp_path / "mine.zip"
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("holiday.png", b"mine")
    before = out.read_bytes()
    assert main([str(checkpoint), "--seeds=0", f"--out={out}"]) == 2
    assert "holds other things than faces" in capsys.readouterr().err
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


def test_a_missing_checkpoint_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none"), "--out", str(tmp_path / "faces")]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert str(tmp_path / "none") in errors


def test_an_output_that_cannot_be_written_is_one_line(checkpoint, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main([str(checkpoint), "--out", str(tmp_path / "file" / "faces")]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert str(tmp_path / "file" / "faces") in errors
