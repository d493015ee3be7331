"""Seeds to pictures and grids of them: the same seed, the same pixels."""

import itertools
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from dcgan import generate
from dcgan.checkpoint import Checkpoint, load_checkpoint
from dcgan.direction import Direction, save_directions
from dcgan.generate import main, parse_seeds
from dcgan.latents import latents
from dcgan.model import Generator, ModelConfig
from dcgan.pictures import grid, normalised, to_uint8
from dcgan.sampling import folded, render, sample, sample_batches
from tests.tiny import networks, save

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return networks(ModelConfig(image_size=32, nz=20, ngf=8))[0]


# In Python


def test_sample_gives_uint8_images_with_the_channels_last(generator):
    images = sample(generator, range(3))
    assert (images.shape, images.dtype) == ((3, 32, 32, 3), torch.uint8)
    assert images.is_contiguous()
    assert images.float().std() > 10
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(images, 2))
    assert sample(generator, []).shape == (0, 32, 32, 3)
    assert render(generator, torch.empty(0, 20)).shape == (0, 3, 32, 32)
    assert sample(networks(ModelConfig(image_size=16, nc=1, nz=5, ngf=4))[0], [1, 2]).shape == (2, 16, 16, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_same_seed_gives_the_same_pixels_alone_and_in_any_batch(threads):
    """On several threads PyTorch's kernels choose their algorithm, and with it their rounding, by the batch."""
    wide, _ = networks(ModelConfig(nz=20, ngf=32, ndf=4))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = sample(wide, range(30))
        assert torch.equal(sample(wide, [9, 5, 9, 27]), together[[9, 5, 9, 27]])
        for size in (1, 3, 5):
            assert torch.equal(torch.cat(list(sample_batches(wide, range(30), batch_size=size))), together)
    finally:
        torch.set_num_threads(before)


def test_sample_batches_yields_pieces_in_order_without_reading_ahead(generator):
    seeds = itertools.count()
    pieces = sample_batches(generator, seeds, batch_size=4)
    assert torch.equal(torch.cat([next(pieces), next(pieces)]), sample(generator, range(8)))
    assert next(seeds) == 8
    assert [len(piece) for piece in sample_batches(generator, range(10), batch_size=4)] == [4, 4, 2]


def test_truncation_scales_the_latent_and_a_shift_is_added(generator):
    shift = torch.eye(20)[3]
    for truncation in (0.0, 0.5, 2.0):
        moved = render(generator, truncation * latents([3, 4], 20) + shift).permute(0, 2, 3, 1)
        assert torch.equal(sample(generator, [3, 4], truncation, shift), moved)


def test_a_generator_in_train_mode_is_refused_and_sampling_changes_nothing(generator):
    for use in (lambda net: sample(net, [0]), folded):
        with pytest.raises(AssertionError, match="eval"):
            use(Generator(generator.config))
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    sample(generator, range(4))
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())


@pytest.mark.parametrize("nc", [1, 3])
def test_a_folded_generator_has_no_batch_norm_and_the_same_images(nc):
    generator, _ = networks(ModelConfig(image_size=32, nc=nc, nz=20, ngf=8))
    fast, z = folded(generator), latents(range(16), 20)[:, :, None, None]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in generator.modules())
    torch.testing.assert_close(fast(z), generator(z), atol=1e-4, rtol=0)


def test_pixels_have_a_fixed_range_and_undo_the_tutorials_scaling_exactly():
    assert to_uint8(torch.tensor([-1.0, 1.0, -3.0, 3.0, 0.2])).tolist() == [0, 255, 0, 255, 153]
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(normalised(levels)), levels)


@given(count=st.integers(1, 70), size=st.integers(1, 9), nc=st.sampled_from([1, 3]), columns=st.integers(1, 12))
def test_a_grid_holds_each_image_in_its_place_and_is_black_elsewhere(count, size, nc, columns):
    images = np.random.default_rng(count).integers(1, 256, (count, size, size, nc), dtype=np.uint8)
    sheet = grid(images, columns)
    assert sheet.shape == (-(-count // columns) * size, columns * size, nc)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        cell = slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)
        assert np.array_equal(sheet[cell], image)
        sheet[cell] = 0
    assert not sheet.any()


@pytest.mark.parametrize(
    ("text", "seeds"), [("5,5", [5]), ("0-3,2-5,1-2,1", [0, 1, 2, 3, 4, 5]), ("9, 0-1 ,8-9", [0, 1, 8, 9])]
)
def test_seeds_named_twice_are_drawn_once_and_in_order(text, seeds):
    assert list(itertools.chain(*parse_seeds(text))) == seeds


# The command line


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A checkpoint with directions."""
    made = save(tmp_path_factory.mktemp("generate") / "tiny")
    ways = [Direction(name, "number", torch.eye(6)[i], -3.0, 3.0) for i, name in enumerate(("age", "pose"))]
    save_directions(made.folder / "directions.safetensors", tuple(ways), made.generator)
    return load_checkpoint(made.folder)


@pytest.fixture
def run(checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture):
    """Run the command with an --out in tmp_path: "", or the one line on stderr with which it exits with 2."""

    def call(out: str, *flags: str) -> str:
        capsys.readouterr()
        code = main([str(checkpoint.folder), "--out", str(tmp_path / out), *flags])
        printed, errors = capsys.readouterr()
        assert printed == ""
        if not code:
            return ""
        assert (code, errors.count("\n")) == (2, 1)
        assert errors.startswith("generate: ")
        return errors

    return call


def test_it_writes_a_png_for_each_seed_into_a_folder_or_a_zip(checkpoint, run, tmp_path):
    assert run("faces", "--seeds=0-2,70") == run("new/faces.zip", "--seeds=0-2,70") == ""
    files = {path.name: path.read_bytes() for path in (tmp_path / "faces").iterdir()}
    assert sorted(files) == ["000000.png", "000001.png", "000002.png", "000070.png"]
    with Image.open(tmp_path / "faces" / "000070.png") as picture:
        assert np.asarray(picture).tolist() == sample(checkpoint.generator, [70])[0].tolist()
    with zipfile.ZipFile(tmp_path / "new" / "faces.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files


@pytest.mark.parametrize("out", ["faces", "faces.zip"])
def test_ctrl_c_ends_it_with_one_line_and_leaves_no_half_zip(checkpoint, tmp_path, monkeypatch, capsys, out):
    written, png = [], generate.encoded

    def pressed(image, xmp):
        written.append(image)
        if len(written) == 3:
            signal.raise_signal(signal.SIGINT)
        return png(image)

    monkeypatch.setattr(generate, "encoded", pressed)
    with pytest.raises(SystemExit) as ended:
        main([str(checkpoint.folder), "--out", str(tmp_path / out)])
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "generate: stopped"
    files = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.*"))]
    assert files == (["faces/000000.png", "faces/000001.png"] if out == "faces" else [])


def test_all_faces_move_along_directions(checkpoint, run, tmp_path):
    assert run("faces", "--seeds=7", "--move", "age=2", "--move", "pose=-0.5") == ""
    shift = 2 * torch.eye(6)[0] - 0.5 * torch.eye(6)[1]
    with Image.open(tmp_path / "faces" / "000007.png") as picture:
        assert np.asarray(picture).tolist() == sample(checkpoint.generator, [7], shift=shift)[0].tolist()


SEEDS = ("", "a", "5-2", "-3", "0-", "1,,2", "4294967296", "1.5", "0-99999999999", "²", "1-²")


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        *((f"--seeds={seeds}", "--seeds") for seeds in SEEDS),
        *((f"--truncation={number}", "truncation goes from 0 to 2, not to ") for number in ("nan", "inf", "-1", "2.1")),
        *((f"--move={move}", "--move") for move in ("height=1", "age", "age=4", "age=nan", "age=old")),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused_in_one_line_before_anything_is_written(run, tmp_path, flag, named):
    assert named in run("faces", flag)
    assert list(tmp_path.iterdir()) == []


def test_a_zip_of_other_things_is_left_alone_and_one_of_faces_is_replaced(run, tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("holiday.png", b"mine")
    before = (tmp_path / "mine.zip").read_bytes()
    assert "holds other things than faces" in run("mine.zip", "--seeds=0")
    assert (tmp_path / "mine.zip").read_bytes() == before
    assert run("faces.zip", "--seeds=0-1") == run("faces.zip", "--seeds=2") == ""
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        assert archive.namelist() == ["000002.png"]


def test_a_picture_in_the_folder_that_was_not_generated_is_left_alone(run, tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "000001.png").write_bytes(b"my photo")
    assert "000001.png' is there already" in run("faces", "--seeds=0-2")
    assert (tmp_path / "faces" / "000001.png").read_bytes() == b"my photo"
    assert run("others", "--seeds=0-1") == run("others", "--seeds=1-2") == ""
