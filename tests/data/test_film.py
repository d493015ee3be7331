"""The frames of a film: which are taken, how they are turned, and how they are divided."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from dcgan.__main__ import main
from dcgan.data import load_images
from dcgan.data.film import FilmSource
from dcgan.demo.real_images import RealImages
from tests.data.pictures import colour, load, put, refused
from tests.training.tiny import TINY_FLAGS, trained


def filmed(path: Path, frames: int = 300) -> Path:
    """A film of 5 frames a second, each brighter than the last, from 20 to 220."""
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=5, options={"g": "25"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            level = np.full((48, 64, 3), 20 + i * 200 // frames, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(level, "rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filmed(tmp_path_factory.mktemp("films") / "walk.mp4")  # 60 seconds


@pytest.mark.parametrize(("every", "most"), [(1.0, 60), (0.5, 120), (7.0, 9)])
def test_a_frame_is_taken_every_so_many_seconds(film: Path, every: float, most: int) -> None:
    source = FilmSource(film, every)
    assert most * 0.85 <= len(source.names) <= most + 1
    for index in (3, 0, len(source.names) - 2):  # also backwards
        expected = 20 + source.numbers[index] * every * 5 * 200 / 300
        assert np.asarray(source.open(index)).mean() == pytest.approx(expected, abs=4)


def test_stretches_of_a_film_are_held_out_whole_with_a_gap_around_them(film: Path) -> None:
    images = load(film, 16)
    numbers = [int(name.rpartition("-")[2]) for name in images.names]
    side = dict(zip(numbers, images.sides[0], strict=True))
    assert all(side[n] == side[n + 1] for n in numbers if n + 1 in side)
    assert max(numbers) - len(numbers) >= 4, "frames between the stretches are left out"


def test_a_film_among_pictures_is_named_and_what_is_no_film_is_refused(film: Path, tmp_path: Path, capsys) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "b.mov").write_bytes(film.read_bytes())
    load(tmp_path, progress=True)
    assert "1 .mov (a film: give it alone as --dataroot)" in capsys.readouterr().out
    (tmp_path / "c.mp4").write_bytes(b"no film")
    assert "cannot be read as a film" in refused(tmp_path / "c.mp4")


@pytest.mark.parametrize("kind", ["JPEG", "HEIF"])
def test_of_a_motion_photo_the_still_is_taken(tmp_path: Path, kind: str) -> None:
    register_heif_opener()
    still, motion = io.BytesIO(), filmed(tmp_path / "motion.mp4", 10).read_bytes()
    Image.new("RGB", (64, 48), (200, 30, 90)).save(still, kind)
    if kind == "HEIF":  # as phones do: a box of its own behind the picture
        motion = (len(motion) + 8).to_bytes(4, "big") + b"mpvd" + motion
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / ("a.jpg" if kind == "JPEG" else "a.heic")).write_bytes(still.getvalue() + motion)
    images = load(folder)
    assert not images.skipped
    assert colour(images.pixels[0]) == pytest.approx([200, 30, 90], abs=6)


def test_a_checkpoint_remembers_how_many_seconds_lie_between_its_frames(film: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    checkpoint = trained(run, "--dataroot", film, "--every=0.5", "--max-images=8", *TINY_FLAGS)
    assert checkpoint.every == 0.5
    images = load_images(str(film), 16, every=checkpoint.every, progress=False)
    assert images.are_those_of(checkpoint.data)
    assert RealImages(str(film)).begin(checkpoint).result().images.digest == images.digest
    trained(run, "--resume", "--max-images=16")
    capsys.readouterr()
    assert main(["evaluate", str(run), "--dataroot", str(film), "--num", "32"]) == 0
    assert "was trained on other images" not in capsys.readouterr().out
