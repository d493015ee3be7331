"""Faces found in photos and framed: generated ones, which are nobody's, and drawn ones."""

import sys

import numpy as np
import pytest
from PIL import Image

from dcgan.data import avatars, faces
from dcgan.data.crop import square, squares
from dcgan.data.faces import FRAME, find_faces, framed, own_frame
from tests.data.photos import SIDE, face, photo
from tests.data.pictures import blot, load, refused, zip_of


def difference(a: Image.Image, b: Image.Image) -> float:
    """The mean difference in grey levels."""
    return float(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).mean())


@pytest.mark.parametrize("turn", [0, 25, -35, 80, -100, 180])
def test_a_face_is_framed_alike_wherever_it_is_and_however_it_is_turned(turn: int) -> None:
    upright, turned = photo((3, (600, 450))), photo((3, (280, 620)), turn=turn, seed=1)
    (expected,), (found,) = find_faces(upright), find_faces(turned)
    assert np.abs(found.mean(0) - (280, 620)).max() < SIDE / 8
    same, other = framed(upright, expected, 64), framed(blot(1200, 900, 1), found, 64)
    assert difference(framed(turned, found, 64), same) < difference(other, same) / 3


def test_every_face_of_a_photo_is_found_once_the_largest_first() -> None:
    image = photo((0, (250, 300)), (1, (800, 500)))
    image.paste(face(2, 120), (400, 700))
    middles = [face.mean(0).round() for face in find_faces(image)]
    assert len(middles) == 3
    assert np.abs(middles[-1] - (460, 765)).max() < 20
    assert not find_faces(blot(1200, 900))


def test_the_landmarks_of_a_framed_face_lie_in_the_frame() -> None:
    image = photo((4, (700, 400)), turn=20)
    level = framed(image, find_faces(image)[0], 256)
    assert np.abs(find_faces(level)[0] / 256 - FRAME).max() < 0.06
    assert np.abs(find_faces(face(4, 256))[0] / 256 - FRAME).max() < 0.06, "as UTKFace frames, which trained it"


def test_drawn_faces_are_found_and_have_a_frame_of_their_own() -> None:
    drawn = [avatars.draw(avatars.factors(index)) for index in range(8)]
    frame = own_frame(drawn)
    assert frame is not None
    assert 0.3 < frame[0, 0] < 0.5 < frame[1, 0] < 0.7
    assert own_frame([blot(64, 64, seed) for seed in range(4)]) is None


def test_a_frame_beyond_the_picture_goes_on_with_its_edge() -> None:
    columns = np.repeat(np.arange(0, 200, 10, dtype=np.uint8)[None, :], 20, axis=0)  # 20 px wide: 0, 10, ... 190
    image = Image.fromarray(np.stack([columns] * 3, axis=2))
    middle = FRAME * 10 + 5  # a square of 10 px around the centre
    crop = np.asarray(framed(image, middle, 40, 0.375 + FRAME / 4))[20, :, 0].astype(int)
    assert (crop[:10] == 0).all()
    assert (crop[30:] == 190).all()
    assert np.abs(crop[10:30] - np.arange(0, 200, 10)).max() <= 3


def test_each_face_is_an_image_and_what_is_too_small_is_left_out() -> None:
    image = photo((0, (250, 300)), (1, (800, 500)))
    assert squares(image, 64, 3, "face").shape == (2, 3, 64, 64)
    assert squares(image, 400, 1, "face").shape[0] == 2
    assert squares(image, 800, 1, "face").shape == (0, 1, 800, 800), "enlarged by more than two"
    assert np.array_equal(squares(image, 64, 3, "centre")[0], square(image, 64, 3))


def test_faces_of_one_photo_are_on_one_side_and_photos_without_are_named(tmp_path, capsys) -> None:
    for i in range(6):
        photo((i, (250, 300)), (i + 6, (800, 500)), seed=i).save(tmp_path / f"{i}.jpg")
    blot(600, 400).save(tmp_path / "nobody.png")
    images = load(tmp_path, 32, crop="face", progress=True)
    assert images.names == [name for name in sorted(f"{i}.jpg" for i in range(6)) for _ in range(2)]
    assert images.faceless == ("nobody.png",)
    assert (images.heldout[::2] == images.heldout[1::2]).all()
    assert "12 faces in 6 of 7 photos; none of 16 px or more in nobody.png" in capsys.readouterr().out
    assert len(load(tmp_path, 32)) == 7, "the centre of every picture, kept apart in the cache"
    again = load(zip_of(tmp_path, tmp_path / "photos.zip"), 32, crop="face")
    assert again.digest == images.digest


def test_a_photo_is_searched_once_whatever_comes_to_the_set_later(tmp_path, monkeypatch) -> None:
    searched = []
    monkeypatch.setattr(faces, "find_faces", lambda photo: searched.append(photo.size) or find_faces(photo))
    for i in range(2):
        photo((i, (250, 300)), seed=i).save(tmp_path / f"{i}.png")
    before = load(tmp_path, 32, crop="face")
    photo((2, (250, 300)), (3, (700, 300))).save(tmp_path / "2.png")
    (tmp_path / "0.png").rename(tmp_path / "later.png")
    after = load(tmp_path, 32, crop="face")
    assert after.names == ["1.png", "2.png", "2.png", "later.png"]
    assert np.array_equal(after.pixels[[3, 0]], before.pixels)
    assert len(searched) == 3
    load(tmp_path, 64, crop="face", workers=1)
    assert len(searched) == 3, "another size"


def test_faces_that_are_enlarged_are_warned_of_and_not_photos(tmp_path, capsys) -> None:
    photo((0, (250, 300))).save(tmp_path / "large.png")  # a face of 300 px
    photo((1, (250, 300))).resize((400, 300)).save(tmp_path / "small.png")  # of 100 px
    for size, said in ((64, ""), (128, "1 of 2 images, smaller than 128 px, were enlarged")):
        load(tmp_path, size, crop="face", progress=True)
        assert said in (out := capsys.readouterr().out)
        assert ("warning" in out) == bool(said)


def test_a_set_without_any_face_is_refused_in_one_line(tmp_path) -> None:
    blot(600, 400).save(tmp_path / "nobody.png")
    assert "--crop centre" in refused(tmp_path, crop="face")


@pytest.mark.parametrize("workers", [0, 1])
def test_faces_without_opencv_are_one_line_that_says_what_to_install(tmp_path, monkeypatch, workers) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    blot(600, 400).save(tmp_path / "nobody.png")
    assert refused(tmp_path, crop="face", workers=workers).endswith("pip install opencv-python-headless")
