"""What is found in folders and zips, whatever lies in them, and what is said where nothing is."""

import os
import resource
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFile

from dcgan import pictures
from dcgan.data import DataError
from dcgan.data.sources import printable
from dcgan.data.split import is_heldout
from dcgan.provenance import packet
from tests.data.pictures import blot, encoded, load, put, refused, zip_of, zipped

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")


def test_all_kinds_of_pictures_are_read_in_the_order_of_their_paths(tmp_path):
    put(tmp_path, "b.png", "a.jpg", "c.webp", "d.bmp", "e.JPEG", "f.gif", "g.tif", "h.ppm", "deep/er/i.png")
    for name, kind in (("j.jfif", "JPEG"), ("k.jpe", "JPEG"), ("l.apng", "PNG"), ("m.jpg", "PNG")):
        blot().save(tmp_path / name, format=kind)
    images = load(tmp_path)
    names = "a.jpg b.png c.webp d.bmp deep/er/i.png e.JPEG f.gif g.tif h.ppm j.jfif k.jpe l.apng m.jpg"
    assert images.names == names.split()
    assert (images.pixels.shape, images.pixels.dtype) == ((13, 3, 16, 16), np.uint8)


def test_a_zip_gives_what_its_folder_does_and_holds_out_the_same(tmp_path):
    folder = put(tmp_path / "photos", *(f"x/{i:02d}.png" for i in range(30)), "x/y/b.jpg", "c.webp")
    unpacked, packed = load(folder), load(zip_of(folder, tmp_path / "photos.zip"))
    assert (packed.names, packed.name, packed.digest) == (unpacked.names, "photos", unpacked.digest)
    assert packed.heldout.tolist() == unpacked.heldout.tolist()
    assert packed.heldout.any()


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_hidden_and_other_files_are_left_out_and_the_others_counted(tmp_path, capsys, kind):
    junk = "._a.png", ".hidden.png", ".thumbnails/b.png", "__MACOSX/in/._a.png", "__MACOSX/c.png", ".DS_Store"
    others = "labels.csv", "b.raw", "c.RAW", "inner.zip"
    folder = tmp_path / "photos"
    for name in ("in/a.png", *junk, *others):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded())
    images = load(folder if kind == "folder" else zip_of(folder, tmp_path / "z.zip"), progress=True)
    assert (images.names, images.skipped) == (["in/a.png"], [])
    line = capsys.readouterr().out.splitlines()[0]
    counted = {"2 .raw", "1 .csv", "1 .zip (an archive: unpack it)"}
    assert {*line.removeprefix("left out as no pictures: ").split(", ")} == counted


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_this_program_wrote_is_no_photo_and_named_in_one_line(tmp_path, capsys, kind):
    photos = put(tmp_path / "photos", "a.png", "in/b.png", "snapshots/of mine.png", "crops/1.png")
    put(photos, "run/state/1.png", "run/deep/2.png", "page/0/reals.webp")
    put(photos, "copy/snapshots/0000000640.webp", "copy/c.png")
    put(photos, "snapshots/0000000640.webp", "crops.png", "in/real_vs_fake.png", "in/training_images.png")
    for mark in ("run/state/settings.json", "copy/generator.safetensors", "page/kernel.wasm"):
        (photos / mark).touch()
    images = load(photos if kind == "folder" else zip_of(photos, tmp_path / "z.zip"), progress=True)
    assert images.names == ["a.png", "crops/1.png", "in/b.png", "snapshots/of mine.png"]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "wrote" in line or "left out" in line] == [
        "what this program wrote is not trained on: copy/, crops.png, in/real_vs_fake.png and 4 more"
    ]


def test_photos_beside_a_checkpoint_are_photos_and_a_run_alone_has_none(tmp_path):
    put(tmp_path / "beside", "a.png", "snapshots/0000000640.webp")
    put(tmp_path / "run", "progress.webp", "snapshots/0000000640.webp", "checkpoint/snapshots/0000000640.webp")
    for mark in ("beside/generator.safetensors", "run/checkpoint/generator.safetensors"):
        (tmp_path / mark).touch()
    assert load(tmp_path / "beside").names == ["a.png"]
    assert "what this program wrote" in refused(tmp_path / "run")


@pytest.mark.parametrize(("name", "kind"), [("a.png", "png"), ("a.jpg", "jpeg"), ("a.webp", "webp")])
def test_a_picture_that_a_generator_drew_is_skipped(tmp_path, name, kind):
    put(tmp_path, "b.png")
    (tmp_path / name).write_bytes(pictures.encoded(np.asarray(blot()), kind, packet()))
    assert load(tmp_path).skipped == [(name, "a DCGAN drew it")]


@pytest.mark.parametrize(
    "name", ["얼굴.png", "née à Zürich.png", "with space & 100%.png", "😀.png", "a.b.c.png", "얼" * 78 + ".png"]
)
def test_names_in_any_script_and_long_ones_are_kept(tmp_path, name):
    folder = put(tmp_path / Path(name).stem, name)
    assert load(folder).names == load(zip_of(folder, tmp_path / "얼굴.zip")).names == [name]


@on_linux
def test_a_name_of_several_lines_is_one_on_the_screen(tmp_path, capsys):
    folder = put(tmp_path / "two\nlines", "a.png")
    (folder / "b\n\x1b[2J\u2028.png").touch()
    (folder / "c.d\ne").touch()
    assert load(folder, progress=True).name == r"two\nlines"
    said = capsys.readouterr().out
    assert r"b\n\x1b[2J\u2028.png (" in said
    assert r"1 .d\ne" in said
    assert printable("née à 얼굴 👨‍👩‍👧.png") == "née à 얼굴 👨‍👩‍👧.png"


@on_linux
@pytest.mark.parametrize("content", [encoded(1), b"no picture"])
def test_a_name_that_is_not_utf_8_is_one_like_any_other(tmp_path, content):
    put(tmp_path, "a.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(content)
    images = load(tmp_path)
    assert len(images.heldout) == len(images) == 1 + (content != b"no picture")


def test_links_are_followed_once_and_in_the_order_of_names(tmp_path):
    put(tmp_path / "elsewhere", "a.png")
    photos = put(tmp_path / "photos", "in/c.png")
    for name, target in {"two": "elsewhere", "one": "elsewhere", "self": "photos", "in/up": "photos"}.items():
        (photos / name).symlink_to(tmp_path / target)
    (photos / "b.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (photos / "ring.png").symlink_to("ring.png")
    os.mkfifo(photos / "pipe.png")  # not waited for
    images = load(photos)
    assert images.names == ["b.png", "in/c.png", "one/a.png"]
    assert [name for name, _ in images.skipped] == ["ring.png"]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_two_workers_read_what_one_process_does(tmp_path, kind):
    source = put(tmp_path / "photos", *(f"{i:03d}.png" for i in range(150)))
    (source / "070.png").write_bytes(b"broken")
    source = source if kind == "folder" else zip_of(source, tmp_path / "z.zip")
    alone, together = load(source), load(source, workers=2, cache=tmp_path / "other")
    assert (together.names, together.digest) == (alone.names, alone.digest)
    assert [name for name, _ in together.skipped] == ["070.png"]


# What cannot be read


def test_broken_files_are_skipped_counted_and_named_at_every_start(tmp_path, capsys):
    put(tmp_path, "good1.png", "good2.png", "cut.png", "cut.jpg", "cut.webp", size=(80, 80))
    for name in ("cut.png", "cut.jpg", "cut.webp"):
        os.truncate(tmp_path / name, (tmp_path / name).stat().st_size // 2)
    (tmp_path / "empty.png").touch()
    (tmp_path / "script.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    for _ in range(2):
        images = load(tmp_path, progress=True)
        assert images.names == ["good1.png", "good2.png"]
        assert {name for name, _ in images.skipped} == {"cut.png", "cut.jpg", "cut.webp", "empty.png", "script.jpg"}
        assert all(why and "\n" not in why for _, why in images.skipped)
        [line] = [line for line in capsys.readouterr().out.splitlines() if "skipped" in line]
        assert line.startswith("5 of 7 files")
        assert "cut.jpg" in line and "2 more" in line


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_nothing_is_printed_without_progress(tmp_path, capfd, kind):
    """Names in a visitor's zip are nobody's business."""
    files = {"a.png": encoded(), "b.png": b"broken", "notes.Somebody Something": b"", "tiny.png": encoded(1)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    source = tmp_path if kind == "folder" else zipped(tmp_path / "z.zip", files)
    for _ in range(2):
        assert len(load(source, size=32, cache=tmp_path / ".cache", limit=3)) == 2
    assert refused(zipped(tmp_path / "other.zip", {"b.png": b"broken", "x.Somebody": b""}))
    assert tuple(capfd.readouterr()) == ("", "")


def black_png(side: int) -> bytes:
    """A whole PNG of so many black pixels, without ever holding them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    deflate, row = zlib.compressobj(1), bytes(1 + (side + 7) // 8)
    pixels = b"".join([*(deflate.compress(row) for _ in range(side)), deflate.flush()])
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [30_000, 13_000])  # an error of Pillow, and a warning
def test_a_picture_of_too_many_pixels_is_skipped_undecoded(tmp_path, monkeypatch, side):
    put(tmp_path, "a.png")
    (tmp_path / "vast.png").write_bytes(black_png(side))
    decoded, decode = [], ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: decoded.append(self.size) or decode(self))
    images = load(tmp_path)
    [(name, why)] = images.skipped
    assert (images.names, name, set(decoded)) == (["a.png"], "vast.png", {(24, 24)})
    assert "decompression bomb" in why


WEBP = b"RIFF\xff\xff\xff\x7fWEBPVP8 "  # its decoder reads all there is before it looks at any of it


def test_a_file_of_a_gigabyte_is_skipped_unread(tmp_path):
    (put(tmp_path, "a.png") / "vast.webp").write_bytes(WEBP)
    os.truncate(tmp_path / "vast.webp", 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert load(tmp_path).skipped == [("vast.webp", "it has 1,024 MiB, and no more than 256 are read")]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_a_file_in_a_zip_that_unpacks_to_too_much_is_skipped_packed(tmp_path, monkeypatch):
    monkeypatch.setattr("dcgan.data.sources.MAX_FILE", 4 * 2**20)
    source = zipped(tmp_path / "z.zip", {"a.png": encoded(), "vast.webp": WEBP + bytes(5 * 2**20)})
    assert load(source).skipped == [("vast.webp", "it has 5 MiB, and no more than 4 are read")]


def test_names_in_a_zip_that_climb_lead_nowhere(tmp_path):
    names = ["../../up.png", "/tmp/root.png", "C:\\up.png", "in/../../up2.png", "a.png"]
    (tmp_path / "in").mkdir()
    source = zipped(tmp_path / "in" / "z.zip", {name: encoded(i) for i, name in enumerate(names)})
    before = set(tmp_path.rglob("*"))
    assert sorted(load(source, cache=tmp_path / "cache").names) == sorted(names)
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
    assert not list((tmp_path / "cache").rglob("*.png"))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_zip_with_any_byte_changed_is_read_in_part_or_refused_in_one_line(place, value):
    with tempfile.TemporaryDirectory() as folder:
        path = zipped(Path(folder, "z.zip"), {"a.png": encoded(), "b.png": encoded(1), "c.txt": b"text"})
        content = bytearray(path.read_bytes())
        content[-(place % 400) - 1] = value  # the directory is at the end
        path.write_bytes(content)
        try:
            assert 1 <= len(load(path, cache=Path(folder, "cache"))) <= 2
        except DataError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_where_nothing_is_found_it_is_said_what_was_looked_for_and_what_is_there(tmp_path, kind):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "c.psd", "README"):
        (folder / name).touch()
    source = folder if kind == "folder" else zip_of(folder, tmp_path / "z.zip")
    message = refused(source)
    assert f"'{source}'" in message and ".jpg" in message
    assert "2 .txt" in message and "1 .psd" in message and "1 without ending" in message
    (tmp_path / "empty").mkdir()
    assert "found nothing" in refused(tmp_path / "empty")


@pytest.mark.parametrize("content", [None, b"", b"text", b"PK\3\4 cut short"])
def test_a_path_to_nothing_or_to_no_zip_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "photos.zip").write_bytes(content)
    assert f"'{tmp_path / 'photos.zip'}'" in refused(tmp_path / "photos.zip")


def test_about_a_tenth_is_held_out_and_depends_on_the_stem_alone():
    names = [f"{i:06d}.jpg" for i in range(1, 10_001)]
    assert 800 <= sum(map(is_heldout, names)) <= 1200
    for stem in (*names, "얼굴", "a b", "\udce9"):
        assert is_heldout(f"a/b/{stem}.png") == is_heldout(f"{stem}.webp")


@pytest.mark.parametrize(
    ("name", "advice"), [("photo.jpg", "give the folder"), ("photos.tar", "unpack it"), ("list.txt", "as a zip")]
)
def test_a_file_that_is_no_zip_is_told_what_to_give_instead(tmp_path, name, advice):
    (tmp_path / name).write_bytes(encoded(kind="JPEG"))
    message = refused(tmp_path / name)
    assert str(tmp_path / name) in message and advice in message
