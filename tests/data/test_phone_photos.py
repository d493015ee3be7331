"""A folder as it comes from a phone, from the photos to the faces."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from pillow_heif import register_heif_opener

from dcgan.__main__ import main
from dcgan.data import load_images
from dcgan.data.faces import FRAME, find_faces
from dcgan.data.loading import wants_faces
from tests.data.photos import face
from tests.data.pictures import blot, put

PEOPLE, NOBODY = 24, 3


def snapshot(seed: int) -> Image.Image:
    """A photo of 640 x 480 with a face off-centre, turned by up to 25 degrees."""
    random = np.random.default_rng(seed)
    image, turn = blot(640, 480, seed), random.uniform(-25, 25)
    whole = Image.new("L", (180, 180), 255).rotate(turn, expand=True)
    turned = face(seed, 180).rotate(turn, Image.Resampling.BICUBIC, expand=True)
    corner = random.integers(0, (640 - turned.width, 480 - turned.height))
    image.paste(turned, (int(corner[0]), int(corner[1])), whole)
    return image


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HEIC, JPEG stored on its side, PNG with alpha and AVIF; one is there twice, and three show nobody."""
    folder = tmp_path_factory.mktemp("phone")
    register_heif_opener()
    sideways = Image.Exif()
    sideways[0x0112] = 6
    for i in range(PEOPLE):
        image, path = snapshot(i), folder / f"IMG_{i:04d}"
        if i % 4 == 0:
            image.save(path.with_suffix(".HEIC"), "HEIF", quality=90)
        elif i % 4 == 1:
            image.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".jpg"), exif=sideways, quality=92)
        elif i % 4 == 2:
            image.putalpha(255)
            image.save(path.with_suffix(".png"))
        else:
            image.save(path.with_suffix(".avif"), quality=90)
    snapshot(3).save(folder / "sent to me.jpg", quality=85)  # IMG_0003 under another name
    for i in range(NOBODY):
        blot(640, 480, 1000 + i).filter(ImageFilter.GaussianBlur(3)).save(folder / f"view {i}.jpg")
    return folder


@pytest.fixture(scope="module")
def out(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "faces"
    assert main(["crop", str(photos), str(out), "--size", "64", "--workers", "0"]) == 0
    return out


def test_every_face_comes_out_framed_and_called_as_its_photo(photos: Path, out: Path) -> None:
    names = {path.stem for path in out.iterdir()} - {"crops"}
    assert names == {path.stem for path in photos.iterdir() if not path.stem.startswith("view")}
    for path in sorted(out.glob("IMG_*.png"))[:12]:
        with Image.open(path) as framed:
            assert framed.size == (64, 64)
            found = find_faces(framed)[0] / 64
        assert np.abs(found[:2] - FRAME[:2]).max() < 0.08, path
    with Image.open(out / "crops.png") as sheet:
        assert sheet.size == (8 * 64, 4 * 64)


def test_what_is_found_and_what_is_not_is_counted_and_named(photos: Path, out: Path, capsys) -> None:
    images = load_images(str(photos), 64, crop="face")
    printed = capsys.readouterr().out
    assert f"{PEOPLE + 1} faces in {PEOPLE + 1} of {PEOPLE + NOBODY + 1} photos" in printed
    assert images.faceless == tuple(f"view {i}.jpg" for i in range(NOBODY))
    assert images.copies == 1
    assert len(images.training) + images.heldout.sum() == PEOPLE
    assert 1 <= images.heldout.sum() <= PEOPLE / 4


def test_off_centre_photos_are_advised_to_be_cropped_and_framed_ones_are_not(photos: Path, out: Path, tmp_path) -> None:
    assert wants_faces(str(photos), 64)
    assert not wants_faces(str(photos), 256), "none is much larger than needed"
    assert not wants_faces(str(out), 16), "the faces are framed already"
    assert not wants_faces(str(put(tmp_path, "a.png", "b.png", size=(300, 300))), 64), "there is nobody"


def test_a_folder_that_is_there_is_not_written_over(out: Path, photos: Path, capsys) -> None:
    before = sorted(out.iterdir())
    assert main(["crop", str(photos), str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert sorted(out.iterdir()) == before


def test_only_the_named_folder_is_written_though_it_is_the_current_one(photos: Path, tmp_path, monkeypatch) -> None:
    for folder in ("faces", "faces.old"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "faces")
    assert main(["crop", str(photos), ".", "--size", "64"]) == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"faces", "faces.old"}
    assert (tmp_path / "faces" / "crops.png").is_file()
