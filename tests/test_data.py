"""From a folder, a zip or the drawn faces to uint8 images, whatever lies in them."""

import io
import os
import resource
import struct
import sys
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from torchvision import transforms

from dcgan.data import images as data
from dcgan.data.crop import square
from dcgan.data.images import Images, cache_directory, is_heldout, load_images
from dcgan.data.sources import DataError, FolderSource, open_source, printable

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def blot(width: int = 24, height: int = 24, seed: int = 0) -> Image.Image:
    """Soft random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def failing(monkeypatch: pytest.MonkeyPatch, names: list[str], fail: Callable[[], object]) -> None:
    """Opening files of these names fails."""
    whole = FolderSource.open

    def open(source: FolderSource, index: int) -> Image.Image:
        if source.names[index] in names:
            fail()
        return whole(source, index)

    monkeypatch.setattr(FolderSource, "open", open)


def put(folder: Path, *names: str, size: tuple[int, int] = (24, 24)) -> Path:
    """A different picture under each name."""
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        blot(*size, seed=i).save(path)
    return folder


def load(source: Path | str, size: int = 16, nc: int = 3, **settings) -> Images:
    return load_images(str(source), size, nc, **{"workers": 0, "progress": False, **settings})


def as_training_sees_it(path: Path, size: int = 16) -> np.ndarray:
    """The tutorial's transforms, [C, S, S]."""
    with Image.open(path) as image:
        resized = transforms.Resize(size)(image.convert("RGB"))
        return np.asarray(transforms.CenterCrop(size)(resized)).transpose(2, 0, 1)


def colour(picture: np.ndarray) -> list[int]:
    """The mean colour of [C, H, W] pixels."""
    return picture.reshape(len(picture), -1).mean(axis=1).round().astype(int).tolist()


def in_memory(count: int, batch_seed: int = 0) -> Images:
    """Images whose pixels tell their index: the left half of image i holds it, the right half is 0."""
    pixels = np.zeros((count, 1, 2, 2), dtype=np.uint8)
    pixels[:, 0, :, 0] = (np.arange(count) % 255 + 1)[:, None]
    return Images("made", pixels, [f"{i + batch_seed * 1000:06d}.png" for i in range(count)], [], "digest")


# Where images come from


def test_a_flat_folder_is_read_in_the_order_of_names(tmp_path):
    put(tmp_path, "b.png", "a.jpg", "c.webp", "d.bmp", "e.JPEG", "f.gif", "g.tif", "h.ppm")
    images = load(tmp_path)
    assert images.names == ["a.jpg", "b.png", "c.webp", "d.bmp", "e.JPEG", "f.gif", "g.tif", "h.ppm"]
    assert images.pixels.shape == (8, 3, 16, 16)
    assert images.pixels.dtype == np.uint8


def test_nested_folders_are_read_whole(tmp_path):
    put(tmp_path, "one/a.png", "one/deep/er/b.png", "two/a.png", "top.png")
    assert load(tmp_path).names == ["one/a.png", "one/deep/er/b.png", "top.png", "two/a.png"]


def test_celeba_as_the_tutorial_lays_it_out_gives_the_tutorials_pixels(tmp_path):
    names = [f"img_align_celeba/{i:06d}.jpg" for i in range(1, 6)]
    put(tmp_path / "celeba", *names, size=(178, 218))
    images = load(tmp_path / "celeba", size=64)
    assert images.names == names
    for i, name in enumerate(names):
        assert np.array_equal(images.pixels[i], as_training_sees_it(tmp_path / "celeba" / name, 64))


def test_a_zip_gives_what_its_folder_does(tmp_path):
    folder = put(tmp_path / "photos", "x/a.png", "x/y/b.jpg", "c.webp")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.mkdir("x")
        for path in sorted(folder.rglob("*.*"), reverse=True):
            archive.write(path, path.relative_to(folder))
    unpacked, packed = load(folder), load(tmp_path / "photos.zip")
    assert packed.names == unpacked.names
    assert np.array_equal(packed.pixels, unpacked.pixels)
    assert packed.name == "photos"


def test_a_zips_junk_is_left_out(tmp_path, capsys):
    put(tmp_path, "a.png")
    content = (tmp_path / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in ("in/a.png", "__MACOSX/in/._a.png", "__MACOSX/in/a.png", "in/._b.png", "in/notes.txt", "list.csv"):
            archive.writestr(name, content)
    images = load(tmp_path / "z.zip")
    assert images.names == ["in/a.png"]
    assert images.skipped == []
    assert "left out as no pictures: 1 .txt, 1 .csv\n" in capsys.readouterr().out


def test_hidden_files_and_folders_and_other_files_are_left_out(tmp_path, capsys):
    put(tmp_path, "a.png", ".hidden.png", ".thumbnails/b.png", "__MACOSX/c.png")
    for name in ("labels.csv", "._a.png", ".DS_Store", "b.heic", "c.HEIF"):
        (tmp_path / name).write_text("a,b")
    images = load(tmp_path)
    assert images.names == ["a.png"]
    assert images.skipped == []
    said = capsys.readouterr().out
    assert set(said.removeprefix("left out as no pictures: ").strip().split(", ")) == {
        "1 .csv",
        "1 .heic (to be converted to JPEG first)",
        "1 .heif (to be converted to JPEG first)",
    }


def test_jpegs_and_pngs_by_their_rarer_names_are_read(tmp_path):
    for name, kind in (("a.jfif", "JPEG"), ("b.jpe", "JPEG"), ("c.apng", "PNG")):
        blot().save(tmp_path / name, format=kind)
    assert load(tmp_path).names == ["a.jfif", "b.jpe", "c.apng"]


@pytest.mark.parametrize("name", ["얼굴.png", "née à Zürich.png", "with space & 100%.png", "😀.png", "a.b.c.png"])
def test_names_in_any_script_are_kept_in_a_folder_and_in_a_zip(tmp_path, name):
    folder = put(tmp_path / "얼굴 모음", name)
    with zipfile.ZipFile(tmp_path / "얼굴.zip", "w") as archive:
        archive.write(folder / name, name)
    assert load(folder).names == load(tmp_path / "얼굴.zip").names == [name]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_of_several_lines_is_one_on_the_screen(tmp_path, capsys):
    folder = put(tmp_path / "two\nlines", "a.png")
    (folder / "b\n\x1b[2J\u2028.png").touch()
    (folder / "c.d\ne").touch()
    assert load(folder, progress=True).name == r"two\nlines"
    said = capsys.readouterr().out
    assert r"b\n\x1b[2J\u2028.png (" in said
    assert r"1 .d\ne" in said
    assert printable("née à 얼굴 👨‍👩‍👧.png") == "née à 얼굴 👨‍👩‍👧.png"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("content", ["picture", "broken"])
def test_a_name_that_is_not_utf_8_is_one_like_any_other(tmp_path, capsys, content):
    put(tmp_path, "a.png", "b.png")
    if content == "broken":
        (tmp_path / "b.png").write_bytes(b"no picture")
    os.rename(os.fsencode(tmp_path / "b.png"), os.fsencode(tmp_path) + b"/caf\xe9.png")  # noqa: PTH104
    images = load(tmp_path)
    assert len(images.heldout) == len(images) == (2 if content == "picture" else 1)


def test_the_first_few_in_the_order_of_names_with_a_limit(tmp_path):
    put(tmp_path, *(f"{i}.png" for i in range(9)))
    images = load(tmp_path, limit=4)
    assert images.names == ["0.png", "1.png", "2.png", "3.png"]
    assert len(load(tmp_path)) == 9


@pytest.mark.skipif(not (find_spec("python_avatars") and find_spec("resvg_py")), reason="drawing needs both packages")
def test_the_word_avatars_gives_the_drawn_faces():
    images = load("avatars", size=32, limit=6)
    assert images.name == "avatars"
    assert images.pixels.shape == (6, 3, 32, 32)
    assert len({image.tobytes() for image in images.pixels}) == 6


def test_a_folder_called_avatars_is_a_folder(tmp_path, monkeypatch):
    put(tmp_path / "avatars", "mine.png")
    monkeypatch.chdir(tmp_path)
    assert load("avatars").names == ["mine.png"]


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    put(tmp_path / "photos", "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("~/photos").names == ["a.png"]


def test_a_link_that_leads_back_up_is_followed_once(tmp_path):
    put(tmp_path / "photos", "in/a.png")
    (tmp_path / "photos" / "in" / "loop").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "self").symlink_to(tmp_path / "photos")
    assert load(tmp_path / "photos").names == ["in/a.png"]


def test_a_link_to_photos_elsewhere_is_followed(tmp_path):
    put(tmp_path / "elsewhere", "a.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "b.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "photos" / "dead.png").symlink_to(tmp_path / "nowhere.png")
    assert load(tmp_path / "photos").names == ["b.png", "link/a.png"]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_two_workers_read_what_one_process_does(tmp_path, kind):
    source = put(tmp_path / "photos", *(f"{i:03d}.png" for i in range(150)))
    (source / "070.png").write_bytes(b"broken")
    if kind == "zip":
        source = tmp_path / "photos.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in (tmp_path / "photos").iterdir():
                archive.write(path, path.name)
    alone, together = load(source), load(source, workers=2, cache=tmp_path / "other")
    assert together.names == alone.names
    assert together.digest == alone.digest
    assert [name for name, _ in together.skipped] == ["070.png"]


@pytest.mark.parametrize("progress", [True, False])
def test_every_image_has_its_own_name_with_or_without_a_bar(tmp_path, progress):
    put(tmp_path, "a.png", "b.png", "c.png", "d.png")
    (tmp_path / "c.png").write_bytes(b"broken")
    images = load(tmp_path, progress=progress)
    assert images.names == ["a.png", "b.png", "d.png"]
    assert [name for name, _ in images.skipped] == ["c.png"]


# Every kind of picture


def seen(path: Path, size: int = 16, nc: int = 3) -> np.ndarray:
    """One picture, by way of a whole load."""
    images = load(path.parent, size=size, nc=nc)
    assert images.skipped == []
    return images.pixels[images.names.index(path.name)]


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize(("width", "height"), [(16, 16), (40, 40), (17, 61), (61, 17), (33, 32), (100, 40), (20, 9)])
def test_resize_and_crop_are_the_tutorials(tmp_path, width, height, size):
    blot(width, height).save(tmp_path / "a.png")
    assert np.array_equal(seen(tmp_path / "a.png", size), as_training_sees_it(tmp_path / "a.png", size))


def test_shrinking_is_antialiased(tmp_path):
    stripes = np.zeros((128, 128, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    assert np.abs(seen(tmp_path / "a.png").astype(int) - 128).max() < 8


def test_grey_pictures_get_three_equal_channels(tmp_path):
    blot().convert("L").save(tmp_path / "a.png")
    picture = seen(tmp_path / "a.png")
    assert np.array_equal(picture[0], picture[1])
    assert np.array_equal(picture[0], picture[2])
    assert np.array_equal(picture, as_training_sees_it(tmp_path / "a.png"))


def test_black_and_white_pictures_come_out_black_and_white(tmp_path):
    Image.new("1", (16, 16), 1).save(tmp_path / "white.png")
    Image.new("1", (16, 16), 0).save(tmp_path / "black.png")
    assert colour(seen(tmp_path / "white.png")) == [255] * 3
    assert colour(seen(tmp_path / "black.png")) == [0] * 3


def test_colour_pictures_become_grey_by_their_brightness(tmp_path):
    Image.new("RGB", (20, 20), RED).save(tmp_path / "a.png")
    picture = seen(tmp_path / "a.png", nc=1)
    assert picture.shape == (1, 16, 16)
    assert colour(picture) == [76]


def half_and_half(mode: str, left: object, right: object) -> Image.Image:
    picture = Image.new(mode, (16, 16), left)
    picture.paste(right, (8, 0, 16, 16))
    return picture


@pytest.mark.parametrize("nc", [1, 3])
def test_transparent_parts_are_white_and_glassy_ones_half(tmp_path, nc):
    half_and_half("RGBA", (0, 0, 0, 0), (0, 0, 0, 128)).save(tmp_path / "a.png")
    picture = seen(tmp_path / "a.png", nc=nc)
    assert colour(picture[:, :, :8]) == [255] * nc
    assert colour(picture[:, :, 8:]) == [127] * nc


def test_alpha_that_hides_nothing_changes_nothing(tmp_path):
    picture = blot()
    picture.putalpha(255)
    picture.save(tmp_path / "a.png")
    assert np.array_equal(seen(tmp_path / "a.png"), as_training_sees_it(tmp_path / "a.png"))


def test_grey_with_alpha_is_laid_on_white(tmp_path):
    half_and_half("LA", (0, 0), (100, 255)).save(tmp_path / "a.png")
    picture = seen(tmp_path / "a.png")
    assert colour(picture[:, :, :8]) == [255] * 3
    assert colour(picture[:, :, 8:]) == [100] * 3


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palettes_keep_their_colours_and_their_transparency_is_white(tmp_path, suffix):
    picture = half_and_half("P", 0, 1)
    picture.putpalette([*GREEN, *BLUE])
    picture.save(tmp_path / f"plain.{suffix}")
    picture.save(tmp_path / f"holed.{suffix}", transparency=0)
    plain, holed = seen(tmp_path / f"plain.{suffix}"), seen(tmp_path / f"holed.{suffix}")
    assert colour(plain[:, :, :8]) == list(GREEN)
    assert colour(holed[:, :, :8]) == list(WHITE)
    assert colour(plain[:, :, 8:]) == colour(holed[:, :, 8:]) == list(BLUE)


def test_cmyk_jpegs_keep_their_colours(tmp_path):
    half_and_half("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)).save(tmp_path / "a.jpg", quality=95)
    picture = seen(tmp_path / "a.jpg").astype(int)
    assert np.abs(picture[:, :, :6] - np.reshape(RED, (3, 1, 1))).max() < 12
    assert np.abs(picture[:, :, 10:]).max() < 12


def test_16_bit_grey_keeps_its_range(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    picture = seen(tmp_path / "a.png").astype(int)
    assert np.abs(picture - ramp / 257).max() <= 1


def test_16_bit_grey_tiffs_keep_their_range(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "a.tif")
    assert np.abs(seen(tmp_path / "a.tif").astype(int) - ramp / 257).max() <= 1


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("float32", 0, 1),
        ("float32", 0, 200),
        ("float32", -1, 1),
        ("int32", 0, 255),
        ("int32", 0, 65535),
        ("int32", 0, 2**31 - 1),
        ("int32", -1000, 65535),
    ],
)
def test_tiffs_of_32_bits_a_pixel_keep_their_range(tmp_path, kind, low, high):
    ramp = np.linspace(low, high, 256).astype(kind).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "a.tif")
    assert np.abs(seen(tmp_path / "a.tif").astype(int) - np.arange(256).reshape(16, 16)).max() <= 1


def test_dark_floats_stay_dark_and_what_is_no_number_is_black_or_white(tmp_path):
    levels = np.full((16, 16), 0.25, np.float32)
    levels[:8, :8], levels[8:, :8], levels[:8, 8:] = np.nan, np.inf, -np.inf
    Image.fromarray(levels).save(tmp_path / "a.tif")
    picture = seen(tmp_path / "a.tif")[0]
    assert [picture[4, 4], picture[12, 4], picture[4, 12], picture[12, 12]] == [0, 255, 0, 63]


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert colour(seen(tmp_path / "a.gif")) == list(RED)


@pytest.mark.parametrize(("width", "height"), [(1, 2000), (2000, 1), (3, 500)])
def test_a_thin_strip_is_cropped_before_it_is_enlarged(tmp_path, monkeypatch, width, height):
    Image.new("RGB", (width, height), GREEN).save(tmp_path / "a.png")
    largest = []
    resize = Image.Image.resize

    def watched(self, size, *args, **kwargs):
        largest.append(size[0] * size[1])
        return resize(self, size, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", watched)
    assert colour(seen(tmp_path / "a.png", size=64)) == list(GREEN)
    assert max(largest, default=0) <= 4 * 64 * 64


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 3]), st.sampled_from(["RGB", "L", "RGBA", "P"]))
def test_square_has_its_shape_for_any_picture(width, height, nc, mode):
    picture = square(Image.new(mode, (width, height)), 16, nc)
    assert picture.shape == (nc, 16, 16)
    assert picture.dtype == np.uint8


# What cannot be read


def test_broken_files_are_skipped_counted_and_named(tmp_path, capsys):
    put(tmp_path, "good1.png", "good2.png", "cut.png", "cut.jpg", "cut.webp", size=(80, 80))
    for name in ("cut.png", "cut.jpg", "cut.webp"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    images = load(tmp_path, progress=True)
    assert images.names == ["good1.png", "good2.png"]
    assert {name for name, _ in images.skipped} == {"cut.png", "cut.jpg", "cut.webp", "empty.png", "page.jpg"}
    assert all(reason and "\n" not in reason for _, reason in images.skipped)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "skipped" in line]
    assert line.startswith("5 of 7 files")
    assert "cut.jpg" in line
    assert "2 more" in line


def test_skipped_files_are_named_at_every_start(tmp_path, capsys):
    put(tmp_path, "a.png")
    (tmp_path / "b.png").touch()
    load(tmp_path)
    capsys.readouterr()
    assert load(tmp_path, progress=True).skipped[0][0] == "b.png"
    assert "1 of 2 files" in capsys.readouterr().out
    load(tmp_path)  # a visitor's pictures, say: nothing of them is logged
    assert capsys.readouterr().out == ""


def test_a_picture_under_another_kinds_name_is_read(tmp_path):
    blot().save(tmp_path / "a.jpg", format="PNG")
    assert np.array_equal(seen(tmp_path / "a.jpg"), as_training_sees_it(tmp_path / "a.jpg"))


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.4\n", b"II*\0"])
def test_other_formats_under_a_pictures_name_are_skipped_unopened(tmp_path, content):
    put(tmp_path, "a.png")
    (tmp_path / "b.jpg").write_bytes(content)
    assert load(tmp_path).names == ["a.png"]


def black_png(side: int) -> bytes:
    """A whole PNG of so many black pixels, without ever holding them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    deflate, row = zlib.compressobj(1), bytes(1 + (side + 7) // 8)
    pixels = b"".join([*(deflate.compress(row) for _ in range(side)), deflate.flush()])
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("side", [30_000, 13_000])
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_picture_of_too_many_pixels_is_skipped_undecoded(tmp_path, monkeypatch, side, kind):
    source = put(tmp_path / "photos", "a.png")
    (source / "vast.png").write_bytes(black_png(side))
    if kind == "zip":
        source = zipped(tmp_path / "z.zip", {path.name: path.read_bytes() for path in source.iterdir()})
    decoded, decode = [], ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: decoded.append(self.size) or decode(self))
    images = load(source)
    assert images.names == ["a.png"]
    ((name, why),) = images.skipped
    assert name == "vast.png"
    assert "decompression bomb" in why
    assert set(decoded) == {(24, 24)}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    blot(seed=seed).save(file, "PNG")
    return file.getvalue()


WEBP = b"RIFF\xff\xff\xff\x7fWEBPVP8 "  # whose decoder reads all there is before it looks at any of it


def test_a_file_of_a_gigabyte_is_skipped_unread(tmp_path):
    put(tmp_path, "a.png")
    (tmp_path / "vast.webp").write_bytes(WEBP)
    os.truncate(tmp_path / "vast.webp", 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    images = load(tmp_path)
    assert images.names == ["a.png"]
    assert images.skipped == [("vast.webp", "it has 1,024 MiB, and no more than 256 are read")]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_a_file_in_a_zip_that_unpacks_to_too_much_is_skipped_packed(tmp_path, monkeypatch):
    monkeypatch.setattr("dcgan.data.sources.MAX_FILE", 4 * 2**20)
    source = zipped(tmp_path / "z.zip", {"a.png": png(), "vast.webp": WEBP + bytes(5 * 2**20)})
    assert source.stat().st_size < 2**14
    images = load(source)
    assert images.names == ["a.png"]
    assert images.skipped == [("vast.webp", "it has 5 MiB, and no more than 4 are read")]


def test_names_in_a_zip_that_climb_lead_nowhere(tmp_path):
    names = ["../../up.png", "/tmp/root.png", "C:\\up.png", "in/../../up2.png", "a.png"]
    (tmp_path / "in").mkdir()
    source = zipped(tmp_path / "in" / "z.zip", {name: png(i) for i, name in enumerate(names)})
    before = set(tmp_path.rglob("*"))
    images = load(source, cache=tmp_path / "cache")
    assert sorted(images.names) == sorted(names)
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
    assert {path.name for path in (tmp_path / "cache").rglob("*.*")} >= {"index.json", "pixels.u8"}
    assert not list((tmp_path / "cache").rglob("*.png"))


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_zips_within_are_left_closed_and_told_of(tmp_path, capsys, kind):
    inner = zipped(tmp_path / "inner.zip", {"b.png": png(1)}).read_bytes()
    files = {"a.png": png(), "inner.zip": inner, "notes.txt": b"", "more.zip": inner}
    for name, content in files.items():
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(content)
    images = load(tmp_path / "photos" if kind == "folder" else zipped(tmp_path / "z.zip", files))
    assert images.names == ["a.png"]
    assert "left out as no pictures: 2 .zip, 1 .txt\n" in capsys.readouterr().out


def test_files_that_are_gone_or_lead_in_circles_are_skipped_and_named(tmp_path, monkeypatch):
    put(tmp_path, "a.png", "gone.png", "going.png")
    (tmp_path / "dead.png").symlink_to("nowhere.png")
    (tmp_path / "ring.png").symlink_to("ring.png")
    stat = Path.stat

    def vanishing(self: Path, **options):
        if self.name == "gone.png":  # between the listing and the look at it
            self.unlink(missing_ok=True)
        found = stat(self, **options)
        if self.name == "going.png":  # between the look and the reading
            self.unlink()
        return found

    monkeypatch.setattr(Path, "stat", vanishing)
    images = load(tmp_path)
    assert images.names == ["a.png"]
    assert [name for name, _ in images.skipped] == ["dead.png", "going.png", "gone.png", "ring.png"]
    assert "No such file" in images.skipped[0][1]


def test_a_folder_that_cannot_be_read_is_told_of(tmp_path, monkeypatch, capsys):
    put(tmp_path, "a.png", "closed/b.png")
    scan = os.scandir

    def refusing(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert load(tmp_path).names == ["a.png"]
    assert "1 folder that cannot be read" in capsys.readouterr().out


def test_a_pipe_under_a_pictures_name_is_not_waited_for(tmp_path):
    put(tmp_path, "a.png")
    os.mkfifo(tmp_path / "b.png")
    assert load(tmp_path).names == ["a.png"]


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_zip_with_any_byte_changed_is_read_in_part_or_refused_in_one_line(place, value):
    with tempfile.TemporaryDirectory() as folder:
        path = zipped(Path(folder, "z.zip"), {"a.png": png(), "b.png": png(1), "c.txt": b"text"})
        content = bytearray(path.read_bytes())
        content[-(place % 400) - 1] = value  # the directory is at the end
        path.write_bytes(content)
        try:
            images = load(path, cache=Path(folder, "cache"))
            assert 1 <= len(images) <= 2
        except DataError as error:
            assert "\n" not in str(error)


sides = st.one_of(st.integers(1, 80), st.integers(1, 3_000))


@given(sides, st.integers(1, 40), st.booleans(), st.sampled_from([16, 32]), st.integers(0, 255))
def test_square_keeps_the_range_and_the_colour_at_any_aspect(longer, shorter, upright, size, level):
    width, height = (shorter, longer) if upright else (longer, shorter)
    picture = square(Image.new("RGB", (width, height), (level, 255 - level, 7)), size, 3)
    assert picture.shape == (3, size, size)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - np.reshape([level, 255 - level, 7], (3, 1, 1))).max() <= 1


def test_a_damaged_file_in_a_zip_is_skipped(tmp_path):
    put(tmp_path, "a.png", "b.png")
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.write(tmp_path / "a.png", "a.png")
        archive.write(tmp_path / "b.png", "b.png")
    content, inside = (tmp_path / "z.zip").read_bytes(), (tmp_path / "b.png").read_bytes()
    place = content.index(inside) + len(inside) // 2
    (tmp_path / "z.zip").write_bytes(content[:place] + b"\0\1\2\3" + content[place + 4 :])
    images = load(tmp_path / "z.zip")
    assert images.names == ["a.png"]
    assert [name for name, _ in images.skipped] == ["b.png"]


def refused(source: Path | str, **settings) -> str:
    """The one line with which a source is refused."""
    with pytest.raises(DataError) as caught:
        load(source, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_where_nothing_can_be_read_is_refused(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(b"no picture")
    message = refused(tmp_path)
    assert "none of the 3" in message
    assert str(tmp_path) in message
    assert refused(tmp_path) == message


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    message = refused(tmp_path)
    assert str(tmp_path) in message
    assert ".jpg" in message
    assert "nothing" in message


def test_a_folder_of_other_files_says_what_was_found(tmp_path):
    for name in ("a.txt", "b.txt", "c.heic", "README"):
        (tmp_path / name).write_text("")
    message = refused(tmp_path)
    assert "2 .txt" in message
    assert "1 .heic" in message
    assert "1 without ending" in message


def test_a_zip_of_other_files_says_what_was_found(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("data/labels.csv", "")
    assert "1 .csv" in refused(tmp_path / "z.zip")


def test_a_path_that_is_not_there_is_named(tmp_path):
    assert str(tmp_path / "none") in refused(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 cut short"])
def test_a_file_that_is_no_zip_is_named(tmp_path, content):
    (tmp_path / "photos.zip").write_bytes(content)
    assert str(tmp_path / "photos.zip") in refused(tmp_path / "photos.zip")


def test_fewer_images_than_a_batch_is_one_line_with_both_numbers(tmp_path):
    put(tmp_path, *(f"{i}.png" for i in range(10)))
    images = load(tmp_path)
    with pytest.raises(DataError) as caught:
        next(images.batches(64, seed=0))
    message = str(caught.value)
    assert "10 images" in message
    assert "64" in message
    assert "\n" not in message


def test_small_images_are_warned_of_once(tmp_path, capsys):
    put(tmp_path, "a.png", "b.png", "c.png", size=(20, 12))
    put(tmp_path / "large", "d.png", size=(20, 16))
    images = load(tmp_path)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert "3 of 4" in line
    assert "16 px" in line
    assert images.pixels.shape == (4, 3, 16, 16)


def test_large_enough_images_give_no_warning(tmp_path, capsys):
    put(tmp_path, "a.png", size=(16, 16))
    load(tmp_path)
    assert capsys.readouterr().out == ""


# The cache


@pytest.fixture
def no_decoding(monkeypatch) -> Callable[[], None]:
    """After a call of it, nothing can be decoded."""

    def forbid() -> None:
        monkeypatch.setattr(data, "square", lambda *_: pytest.fail("decoded again"))
        monkeypatch.setattr(data, "_pack", lambda *_: pytest.fail("packed again"))

    return forbid


def test_a_second_start_decodes_nothing(tmp_path, no_decoding):
    put(tmp_path, "a.png", "b.png")
    first = load(tmp_path)
    no_decoding()
    second = load(tmp_path)
    assert np.array_equal(second.pixels, first.pixels)
    assert (second.names, second.digest) == (first.names, first.digest)


def touch_later(path: Path) -> None:
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


def test_a_changed_file_is_decoded_again(tmp_path):
    put(tmp_path, "a.png", "b.png")
    first = load(tmp_path)
    Image.new("RGB", (24, 24), RED).save(tmp_path / "b.png")
    touch_later(tmp_path / "b.png")
    second = load(tmp_path)
    assert colour(second.pixels[1]) == list(RED)
    assert second.digest != first.digest


def test_an_added_or_removed_file_is_noticed(tmp_path):
    put(tmp_path, "a.png", "b.png")
    load(tmp_path)
    put(tmp_path, "c.png")
    assert load(tmp_path).names == ["a.png", "b.png", "c.png"]
    (tmp_path / "a.png").unlink()
    assert load(tmp_path).names == ["b.png", "c.png"]


def test_a_zip_that_was_replaced_is_read_again(tmp_path):
    put(tmp_path, "a.png")
    for content in ("one.png", "another.png"):
        with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
            archive.write(tmp_path / "a.png", content)
        touch_later(tmp_path / "z.zip")
        assert load(tmp_path / "z.zip").names == [content]


def test_other_settings_have_a_cache_of_their_own(tmp_path):
    put(tmp_path, "a.png", "b.png")
    shapes = [load(tmp_path, **s).pixels.shape for s in ({}, {"size": 32}, {"nc": 1}, {"limit": 1}, {})]
    assert shapes == [(2, 3, 16, 16), (2, 3, 32, 32), (2, 1, 16, 16), (1, 3, 16, 16), (2, 3, 16, 16)]


def test_the_same_pictures_have_the_same_digest_anywhere(tmp_path):
    one, other = put(tmp_path / "one", "a.png", "b.png"), put(tmp_path / "other", "a.png", "b.png")
    assert load(one).digest == load(other).digest
    assert load(one, size=32).digest != load(one).digest


def test_pixels_are_mapped_and_read_only(tmp_path):
    images = load(put(tmp_path, "a.png"))
    assert isinstance(images.pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images.pixels[0] = 0


def test_the_cache_lies_where_it_is_told_to(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "named"))
    assert cache_directory() == tmp_path / "named"
    monkeypatch.delenv("DCGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "dcgan"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "dcgan"


def test_two_links_to_one_folder_give_the_first_ones_names_on_any_disk(tmp_path, monkeypatch):
    put(tmp_path / "elsewhere", "a.png")
    (tmp_path / "photos").mkdir()
    for name in ("two", "one"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "elsewhere")
    walk = os.walk

    def backwards(*args, **kwargs):
        for folder, below, files in walk(*args, **kwargs):
            below.sort(reverse=True)
            yield folder, below, files

    monkeypatch.setattr(os, "walk", backwards)
    assert load(tmp_path / "photos").names == ["one/a.png"]


@pytest.mark.parametrize("letter", ["a", "얼"])
def test_a_folder_with_a_very_long_name_is_read(tmp_path, letter):
    name = (letter * 250).encode()[:240].decode()
    assert load(put(tmp_path / name, "a.png")).names == ["a.png"]


def test_a_disk_without_room_for_the_cache_is_refused_before_anything_is_decoded(tmp_path, monkeypatch, no_decoding):
    put(tmp_path / "photos", "a.png")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    message = refused(tmp_path / "photos", cache=tmp_path / "cache")
    assert "free" in message
    assert "DCGAN_CACHE" in message


def test_a_cache_that_cannot_be_written_is_one_line_that_says_what_to_set(tmp_path, monkeypatch):
    put(tmp_path / "photos", "a.png")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "file"))
    message = refused(tmp_path / "photos")
    assert str(tmp_path / "file") in message
    assert "DCGAN_CACHE" in message


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path, monkeypatch):
    put(tmp_path / "photos", "a.png")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "ascontiguousarray", full)
    message = refused(tmp_path / "photos", cache=tmp_path / "cache")
    assert "No space left" in message
    assert "DCGAN_CACHE" in message
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_start_that_was_cut_leaves_no_half_cache_in_use(tmp_path, monkeypatch):
    put(tmp_path / "photos", "a.png", "b.png")
    with monkeypatch.context() as patch:
        patch.setattr(data.json, "dumps", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            load(tmp_path / "photos", cache=tmp_path / "cache")
    assert load(tmp_path / "photos", cache=tmp_path / "cache").names == ["a.png", "b.png"]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGE = {
    "an index that is empty": lambda folder: os.truncate(folder / "index.json", 0),
    "an index that is cut": lambda folder: cut(folder / "index.json"),
    "an index that lacks its names": lambda folder: (folder / "index.json").write_text('{"skipped": []}'),
    "an index that is none": lambda folder: (folder / "index.json").write_text("[1, 2]"),
    "no index": lambda folder: (folder / "index.json").unlink(),
    "pixels that are cut": lambda folder: cut(folder / "pixels.u8"),
    "pixels that are empty": lambda folder: os.truncate(folder / "pixels.u8", 0),
    "no pixels": lambda folder: (folder / "pixels.u8").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    put(tmp_path / "photos", "a.png", "b.png")
    before = load(tmp_path / "photos", cache=tmp_path / "cache")
    pixels = before.pixels.copy()
    DAMAGE[damage](before.folder)
    again = load(tmp_path / "photos", cache=tmp_path / "cache")
    assert (again.names, again.digest, again.folder) == (before.names, before.digest, before.folder)
    assert np.array_equal(again.pixels, pixels)
    assert sorted(path.name for path in again.folder.iterdir()) == ["index.json", "pixels.u8"]


def test_a_damaged_cache_that_cannot_be_removed_is_one_line(tmp_path, monkeypatch):
    folder = load(put(tmp_path / "photos", "a.png"), cache=tmp_path / "cache").folder
    cut(folder / "pixels.u8")
    monkeypatch.setattr(data.shutil, "rmtree", lambda *_, **__: None)
    assert f"'{folder}' is damaged" in refused(tmp_path / "photos", cache=tmp_path / "cache")


def test_what_is_packed_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    sync, rename, done = os.fsync, Path.rename, []
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.fstat(file).st_size) or sync(file))
    monkeypatch.setattr(Path, "rename", lambda path, target: done.append("renamed") or rename(path, target))
    folder = load(put(tmp_path / "photos", "a.png"), cache=tmp_path / "cache").folder
    assert done == [3 * 16 * 16, (folder / "index.json").stat().st_size, "renamed"]


# The held-out tenth


def test_about_a_tenth_is_held_out():
    names = [f"{i:06d}.jpg" for i in range(1, 10_001)]
    assert 800 <= sum(map(is_heldout, names)) <= 1200


@given(st.text(st.characters(exclude_characters="/\0.", codec="utf-8"), min_size=1, max_size=20))
def test_held_out_depends_on_the_stem_alone(stem):
    assert is_heldout(f"a/b/{stem}.png") == is_heldout(f"{stem}.webp") == is_heldout(f"x/{stem}.jpg")


def test_held_out_and_training_are_all_images_once(tmp_path):
    images = in_memory(200)
    heldout = np.flatnonzero(images.heldout)
    assert sorted([*heldout, *images.training]) == list(range(200))
    assert len(heldout) > 0


def test_a_zip_and_a_folder_hold_out_the_same(tmp_path):
    names = [f"{i:02d}.png" for i in range(40)]
    put(tmp_path / "photos", *names)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in names:
            archive.write(tmp_path / "photos" / name, f"deep/er/{name}")
    assert load(tmp_path / "photos").heldout.tolist() == load(tmp_path / "z.zip").heldout.tolist()


# Batches


def indices(batch: torch.Tensor) -> list[int]:
    return (batch.flatten(1).max(dim=1).values.int() - 1).tolist()


def epoch(images: Images, batch_size: int, number: int = 0, drop_last: bool = False, seed: int = 0) -> list[int]:
    """Which images one epoch shows."""
    length = images.epoch_length(batch_size, drop_last)
    stream = images.batches(batch_size, seed, number * length, drop_last=drop_last)
    shown: list[int] = []
    while len(shown) < length:
        shown += indices(next(stream))
    return shown


counts, batch_sizes, epochs = st.integers(30, 200), st.integers(2, 20), st.integers(0, 3)


@given(counts, batch_sizes, epochs)
def test_an_epoch_shows_every_training_image_once_and_no_other(count, batch_size, number):
    images = in_memory(count)
    assert sorted(epoch(images, batch_size, number)) == images.training.tolist()


@given(counts, batch_sizes, epochs)
def test_without_the_last_batch_an_epoch_shows_whole_batches_and_none_twice(count, batch_size, number):
    images = in_memory(count)
    shown = epoch(images, batch_size, number, drop_last=True)
    assert len(shown) == len(images.training) // batch_size * batch_size
    assert max(Counter(shown).values()) == 1
    assert set(shown) <= set(images.training.tolist())


@given(counts, batch_sizes, st.integers(0, 30), st.booleans(), st.booleans())
def test_a_stream_taken_up_again_is_the_unbroken_one(count, batch_size, cut, flip, drop_last):
    images = in_memory(count)
    settings = {"batch_size": batch_size, "seed": 5, "flip": flip, "drop_last": drop_last}
    unbroken = list(islice(images.batches(**settings), cut + 12))
    resumed = islice(images.batches(**settings, seen=sum(map(len, unbroken[:cut]))), 12)
    assert all(torch.equal(a, b) for a, b in zip(unbroken[cut:], resumed, strict=True))


def test_the_order_follows_from_the_seed_and_changes_with_it_and_the_epoch():
    images = in_memory(100)
    assert epoch(images, 10) == epoch(images, 10)
    assert epoch(images, 10) != epoch(images, 10, seed=1)
    assert epoch(images, 10) != epoch(images, 10, number=1)
    assert epoch(images, 10) != images.training.tolist()


def test_the_order_leaves_torchs_default_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    next(in_memory(50).batches(8, seed=0, flip=True))
    assert torch.equal(torch.get_rng_state(), before)


def mirrored(images: Images, flip: bool) -> list[bool]:
    batch = next(images.batches(100, seed=0, flip=flip))
    return (batch[:, 0, 0, 1] > 0).tolist()


def test_flip_mirrors_about_half():
    images = in_memory(200)
    assert 30 <= sum(mirrored(images, flip=True)) <= 70
    assert not any(mirrored(images, flip=False))


def test_flip_shows_an_image_both_ways_over_time():
    images = in_memory(40)
    ways: dict[int, set[bool]] = {}
    for batch in islice(images.batches(8, seed=0, flip=True), 80):
        for index, turned in zip(indices(batch), (batch[:, 0, 0, 1] > 0).tolist(), strict=True):
            ways.setdefault(index, set()).add(turned)
    assert all(way == {True, False} for way in ways.values())


def test_a_batch_has_the_images_asked_for_in_order():
    batch = in_memory(20).batch(np.array([7, 3, 7]))
    assert indices(batch) == [7, 3, 7]
    assert batch.dtype == torch.uint8


def test_some_are_always_the_same_training_images_from_all_over_the_set():
    images = in_memory(200)
    shown = indices(images.some(20))
    assert shown == indices(images.some(20))
    assert len(set(shown) & set(images.training.tolist())) == 20
    assert max(shown) > 150
    assert sorted(indices(in_memory(30).some(64))) == in_memory(30).training.tolist()


def test_the_fingerprint_of_a_source_is_the_same_at_every_start(tmp_path):
    put(tmp_path, "a.png", "x/b.png")
    assert open_source(str(tmp_path)).fingerprint == open_source(str(tmp_path)).fingerprint


@pytest.mark.parametrize("names", [["b.png"], ["a.png", "b.png", "c.png"]])
def test_what_the_system_would_not_let_be_read_is_tried_again(tmp_path, monkeypatch, names):
    put(tmp_path / "photos", "a.png", "b.png", "c.png")

    def refuse():
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        failing(patch, names, refuse)
        for _ in range(2):
            if len(names) == 3:
                with pytest.raises(DataError, match=r"none of the 3 images .* Permission denied"):
                    load_images(str(tmp_path / "photos"), 16, workers=0, cache=tmp_path / "cache")
            else:
                assert len(load_images(str(tmp_path / "photos"), 16, workers=0, cache=tmp_path / "cache")) == 2
    for _ in range(2):
        images = load_images(str(tmp_path / "photos"), 16, workers=0, cache=tmp_path / "cache")
        assert (len(images), images.skipped) == (3, [])


def test_a_decoding_process_that_is_killed_is_one_line(tmp_path, monkeypatch):
    put(tmp_path / "photos", "a.png", "b.png")
    failing(monkeypatch, ["b.png"], lambda: os._exit(9))
    with pytest.raises(DataError, match=r"a process that decodes pictures was killed.* lower --workers"):
        load_images(str(tmp_path / "photos"), 16, workers=1, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_hidden_pictures_of_a_zip_are_left_out_as_of_a_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in ("a.png", ".hidden/b.png", "__MACOSX\\._a.png", "folder/.c.png"):
            file = io.BytesIO()
            blot().save(file, "PNG")
            archive.writestr(name, file.getvalue())
    assert open_source(str(tmp_path / "photos.zip")).names == ["a.png"]
