"""The same picture twice: found under other names, sizes, qualities and mirrored, used once and never divided."""

import io
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dcgan.data import Images
from dcgan.data.duplicates import first_alike
from tests.data.pictures import blot, load, put

SIDE = 64


def face(seed: int, size: int = 160, mouth: float = 1.0) -> Image.Image:
    """A head with eyes and a mouth before a background, of its own colours and places."""
    random = np.random.default_rng(seed)
    ground, skin, hair = (tuple(random.integers(20, 236, 3).tolist()) for _ in range(3))
    picture = Image.new("RGB", (size, size), ground)
    draw, (x, y) = ImageDraw.Draw(picture), random.uniform(0.44, 0.56, 2) * size
    r = random.uniform(0.25, 0.36) * size
    draw.ellipse((x - r, y - 1.3 * r, x + r, y + 0.9 * r), fill=hair)
    draw.ellipse((x - 0.8 * r, y - r, x + 0.8 * r, y + r), fill=skin)
    for eye in (-0.35, 0.4):
        draw.ellipse((x + (eye - 0.1) * r, y - 0.3 * r, x + (eye + 0.1) * r, y - 0.12 * r), fill=(20, 20, 30))
    draw.ellipse((x - 0.35 * r, y + 0.4 * r, x + 0.3 * r, y + (0.4 + 0.2 * mouth) * r), fill=(150, 30, 40))
    return picture


def logo(letter: str) -> Image.Image:
    """Black letters on white, which are all the same but for one."""
    picture = Image.new("RGB", (160, 160), "white")
    ImageDraw.Draw(picture).rectangle((20, 30, 140, 70), fill=(200, 0, 40))
    ImageDraw.Draw(picture).text((60, 90), letter, fill="black", font_size=40)
    return picture


def digit(text: str, x: int = 0) -> Image.Image:
    """A digit, white on black."""
    picture = Image.new("L", (28, 28))
    ImageDraw.Draw(picture).text((8 + x, 2), text, fill=255, font_size=22)
    return picture.convert("RGB")


def noise(seed: int) -> Image.Image:
    """Grey noise of little contrast."""
    return Image.fromarray(np.random.default_rng(seed).normal(128, 4, (64, 64)).astype(np.uint8)).convert("RGB")


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


COPIES = {
    "again": lambda picture: picture,
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "half as large": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "larger": lambda picture: picture.resize((230, 230)),
    "in less quality": lambda picture: jpeg(picture, 40),
    "smaller, mirrored, and in less quality": lambda picture: jpeg(
        picture.resize((100, 100)).transpose(Image.Transpose.FLIP_LEFT_RIGHT), 75
    ),
}


def copies(folder: Path, *pictures: Image.Image, size: int = SIDE) -> list[tuple[int, int]]:
    """Of pictures in this order those that are copies, each with its original, by their places."""
    folder.mkdir(exist_ok=True)
    for i, picture in enumerate(pictures):
        picture.save(folder / f"{i:04d}.png")
    first = load(folder, size=size, cache=folder.with_name("cache")).first
    return [(i, of) for i, of in enumerate(first.tolist()) if of != i]


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_found_among_others(tmp_path, change, size):
    others = [face(seed) for seed in range(12)]
    assert copies(tmp_path / "a", *others, COPIES[change](others[3]), size=size) == [(12, 3)]


LIKE = {
    "faces": [face(seed) for seed in range(40)],
    "faces with another mouth": [face(1), face(1, mouth=1.6), face(1, mouth=0.4)],
    "logos": [logo(letter) for letter in "ABCDEF"],
    "digits": [digit(text, x) for text in "0123456789" for x in (0, 2)],
    "noise": [noise(seed) for seed in range(20)],
    "blots": [blot(seed=seed) for seed in range(40)],
}


@pytest.mark.parametrize("kind", LIKE)
def test_pictures_that_are_merely_alike_are_no_copies(tmp_path, kind):
    assert copies(tmp_path / "a", *LIKE[kind]) == []


def test_copies_of_copies_and_hundreds_of_the_same_are_one_group():
    pixels = np.zeros((700, 3, 16, 16), np.uint8)
    pixels[::2] = (np.arange(350) // 35 * 25)[:, None, None, None]
    keys = np.array([crc32(picture.tobytes()) for picture in pixels])
    first = first_alike(pixels, keys)
    assert len(set(first.tolist())) == 10
    assert (first <= np.arange(700)).all()
    assert (first[1::2] == 0).all()


@pytest.mark.parametrize("keep", [False, True])
def test_copies_are_never_on_both_sides_and_used_once_unless_kept(tmp_path, keep):
    for i in range(60):
        face(i).save(tmp_path / f"{i:02d} original.png")
        jpeg(face(i), 80).save(tmp_path / f"{(i + 7) % 60:02d} copy.png")
    images = replace(load(tmp_path, size=SIDE), keep_duplicates=keep)
    training, heldout = (set(images.first[part].tolist()) for part in (images.training, images.heldout))
    assert not training & heldout
    assert 0 < len(heldout) < 20
    assert len(training | heldout) == images.copies == 60
    assert len(images.training) + images.heldout.sum() == (120 if keep else 60)
    listed = (images.folder / "duplicates.txt").read_text().splitlines()
    assert [line.split("\t") for line in listed] == [
        [images.names[i], images.names[of]] for i, of in enumerate(images.first) if i != of
    ]


def test_a_copy_that_comes_or_an_original_that_goes_changes_no_side(tmp_path):
    for i in range(40):
        face(i).save(tmp_path / f"m{i:02d}.png")
    before = load(tmp_path, size=SIDE)
    for i in range(40):
        jpeg(face(i), 80).save(tmp_path / f"{'az'[i % 2]}{i:02d}.png")  # before or after it by name
    known = before.keys, before.sides[0]
    for _ in range(2):
        for keep in (False, True):
            now = replace(load(tmp_path, size=SIDE), known=known, keep_duplicates=keep)
            for name, side in zip(now.names, now.sides[0], strict=True):
                assert side == before.sides[0][int(name[1:3])]
        known = now.keys, now.sides[0]
        for path in tmp_path.glob("m*.png"):
            path.unlink()


@pytest.mark.parametrize("names", [["a.png"], ["a.png", "b.png"]])
def test_one_picture_and_one_picture_twice_are_one(tmp_path, names):
    for name in names:
        blot().save(tmp_path / name)
    images = load(tmp_path)
    assert len(images.training) + images.heldout.sum() == 1
    assert images.copies == len(names) - 1


def test_a_link_to_a_picture_is_a_copy(tmp_path):
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "c.png").symlink_to("a.png")
    assert load(tmp_path).first.tolist() == [0, 1, 0]


def test_what_is_joined_by_copies_and_by_photos_is_on_one_side():
    """Photos a and b have two faces each, of which one is also in c: what is known of c holds for all four."""
    keys = np.array([10, 10, 20, 20, 7, 30], np.uint64)
    names, first = ["a", "a", "b", "b", "c", "d"], np.array([0, 1, 2, 0, 1, 5])
    pixels = np.zeros((6, 3, 16, 16), np.uint8)
    for heldout in (True, False):
        known = np.array([7], np.uint64), np.array([heldout])
        images = Images("faces", pixels, names, [], "", keys=keys, first=first, known=known)
        assert images.sides[0].tolist() == [heldout] * 5 + [True]
        assert images.sides[1].tolist() == [True, False, True, False, True, True]
