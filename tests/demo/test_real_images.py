"""Real images: beside the fakes, nearest to a face, and those that visitors upload."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.data import load_images
from dcgan.demo import real_vs_fake, uploads
from dcgan.demo.real_images import RealSet
from dcgan.demo.sentences import spelled
from dcgan.demo.studio import Studio
from dcgan.metrics.distances import nearest
from tests.data.pictures import encoded, put, zipped
from tests.demo_fixtures import make_checkpoint


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:
    """A studio without the training images of `people`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dcgan.demo.real_images.DRAWN", 70)
        yield Studio(checkpoints)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of so many soft blots that more than 50 are held out."""
    return put(tmp_path_factory.mktemp("many"), *(f"{i:03d}.bmp" for i in range(640)), size=(64, 64))


# Beside the fakes


def test_real_images_come_from_dataroot(checkpoints: Path, photos: Path) -> None:
    studio = Studio(checkpoints, str(photos))
    real, fake, note = real_vs_fake.grids(studio, 0, "people")
    assert real.shape == (5 * 64, 8 * 64, 3)
    assert np.array_equal(fake[:64, :64], studio.face(0, "people"))
    assert "40 photos" in note


def test_without_them_the_built_in_pair_stands_in_and_can_be_searched(studio: Studio) -> None:
    found = real_vs_fake.reals(studio, "people")
    assert found.pixels.shape == (64, 64, 64, 3)
    assert found.checkpoint == "toons"
    assert "drawn faces stand in" in spelled(found.note)
    with pytest.raises(ValueError, match="not on this machine"):
        studio.closest(0, checkpoint="people")
    images, likeness = studio.closest(0, checkpoint=found.checkpoint)
    assert images.shape == (6, 64, 64, 3)
    assert likeness.distances == sorted(likeness.distances)


def test_drawn_faces_stand_in_whole_for_the_faces_cut_out_of_photos(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("dcgan.demo.real_images.DRAWN", 70)
    config = make_checkpoint(tmp_path / "people") / "config.json"
    config.write_text(config.read_text().replace('"source"', '"crop": "face", "source"'))
    found = real_vs_fake.reals(Studio(tmp_path), "people")
    assert found.pixels is not None and len(found.pixels) == 64, "no face is looked for in them"


def test_the_same_shuffle_shows_the_same(studio: Studio) -> None:
    first, again, other = (real_vs_fake.grids(studio, n, "toons") for n in (1, 1, 2))
    for i in range(2):
        assert np.array_equal(first[i], again[i])
        assert not np.array_equal(first[i], other[i])


def test_the_quiz_has_twenty_held_out_images(checkpoints, many):
    studio = Studio(checkpoints, str(many))
    quiz = real_vs_fake.quiz(studio, "people")
    heldout = load_images(str(many), 64, 3, workers=0, progress=False)
    unseen = {image.tobytes() for image in heldout.pixels[heldout.heldout].transpose(0, 2, 3, 1)}
    assert len(quiz.pixels) == 20
    assert {image.tobytes() for image in quiz.pixels} <= unseen
    assert studio.opinion("people").among == "reals"  # held-out images calibrate the opinion


def test_of_too_few_for_a_quiz_the_page_hears_how_many_there_are(checkpoints, photos, tmp_path):
    for photo in sorted(photos.iterdir())[:5]:
        shutil.copy(photo, tmp_path)
    assert len(real_vs_fake.quiz(Studio(checkpoints, str(tmp_path)), "people").pixels) == 5


# Nearest to a face


def test_a_copy_is_told_from_a_stranger(many: Path) -> None:
    images = load_images(str(many), 64, 3, workers=0, progress=False)
    reals = RealSet(images)
    index = images.training[17]
    copy = reals.closest(images.batch(np.array([index]))[0].flip(2), 3)  # a mirrored copy is a copy
    assert copy.distances[0] < 0.5
    assert copy.closer_than == 1.0
    assert torch.equal(copy.images[0], images.batch(np.array([index]))[0])
    face = images.batch(reals.heldout[:1])
    stranger = reals.closest(face[0], 3)
    assert stranger.distances[0] > 5
    assert stranger.closer_than < 0.99
    wanted = nearest(images.batch(images.training), face).sort().values[:3]
    assert stranger.distances == pytest.approx(wanted.tolist(), abs=0.6)


# What visitors upload


def test_own_photos_are_cropped_as_for_training_and_leave_nothing(photos: Path, tmp_path: Path, capfd) -> None:
    files = [shutil.copy(photo, tmp_path) for photo in sorted(photos.iterdir())[:30]]
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", photos)
    for name in ("broken.png", "notes.Somebody Something"):
        (tmp_path / name).write_text("not a picture")
        files.append(str(tmp_path / name))
    before = sorted(tmp_path.iterdir())
    own = uploads.own_photos(files, 64, 3)
    seen = load_images(str(photos), 64, 3, workers=0, progress=False)
    assert np.array_equal(own, seen.pixels[:30].transpose(0, 2, 3, 1))
    assert len(uploads.own_photos([archive], 64, 3)) == 40
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(ValueError, match="no picture that can be read"):
        uploads.own_photos(files[-2:], 64, 3)
    assert capfd.readouterr() == ("", "")


def test_a_phone_photo_is_turned_once(tmp_path: Path) -> None:
    photo = Image.new("RGB", (60, 80), "white")
    photo.paste("blue", (0, 40, 60, 80))  # below
    exif = Image.Exif()
    exif[274] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    found = uploads.photo(tmp_path / "phone.jpg")
    assert found.size == (60, 80)
    for image in (np.asarray(found), uploads.own_photos([tmp_path / "phone.jpg"], 64, 3)[0]):
        assert image[5, 30].min() > 240
        assert image[-5, 30, 0] < 15


def bomb(path: Path, entries: int, zip64: bool) -> Path:
    """A zip of one picture and so many empty files; zip64: its last record says that there may be more."""
    zipped(path, {"a.png": encoded(), **{f"{i:06d}.txt": b"" for i in range(entries)}})
    if zip64:
        data = path.read_bytes()
        end = data.rindex(b"PK\5\6")
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
        path.write_bytes(data[:end] + locator + data[end:])
    return path


def test_a_zip_of_a_million_names_is_refused_unread(tmp_path: Path) -> None:
    assert len(uploads.own_photos([bomb(tmp_path / "good.zip", 100, False)], 64, 3)) == 1
    for zip64, entries in ((False, 20_000), (True, 1)):
        with pytest.raises(ValueError, match="too many files"):
            uploads.own_photos([bomb(tmp_path / "bad.zip", entries, zip64)], 64, 3)
    for content in (b"", b"no zip", b"PK\5\6", b"x" * 100_000):
        (tmp_path / "wrong.zip").write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read"):
            uploads.own_photos([tmp_path / "wrong.zip"], 64, 3)


def test_reading_ends_in_time_with_what_was_read(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(photos.iterdir())
    for limit, value, count in (("READING", 0.0, 1), ("MAX_OWN", 3, 3)):
        with monkeypatch.context() as patch:
            patch.setattr(uploads, limit, value)
            assert len(uploads.own_photos(files, 64, 3)) == count


def test_photos_that_are_too_large_or_gone_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (40, 40)).save(path)
    for name, bound, reason in (
        ("dcgan.demo.uploads.MAX_PHOTO", 10, "larger than"),
        ("PIL.Image.MAX_IMAGE_PIXELS", 9, "too many"),
    ):
        with monkeypatch.context() as patch, pytest.raises(ValueError, match=reason):
            patch.setattr(name, bound)
            uploads.photo(path)
    path.unlink()
    with pytest.raises(ValueError, match="no longer there"):
        uploads.photo(path)
    with pytest.raises(ValueError, match="no picture"):
        uploads.photo(__file__)
