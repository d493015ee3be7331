"""The image cache, and the batches that come from it."""

import os
import shutil
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from select import select
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dcgan.data import Images
from dcgan.data.cache import cache_directory, make_room
from dcgan.files import alone
from tests.data.pictures import RED, blot, colour, load, put, refused, spoil, zip_of


def test_a_second_start_decodes_nothing(tmp_path):
    put(tmp_path, "a.png", "b.png")
    first = load(tmp_path)
    spoil(tmp_path / "a.png", tmp_path / "b.png")
    second = load(tmp_path)
    assert np.array_equal(second.pixels, first.pixels)
    assert (second.names, second.digest, second.folder) == (first.names, first.digest, first.folder)
    with pytest.raises(ValueError, match="read-only"):
        second.pixels[0] = 0


def test_a_cache_that_may_only_be_read_is_read(tmp_path):
    photos = put(tmp_path, "a.png", "b.png")
    folder = load(photos).folder
    lock = folder.with_name(f".{folder.name}.lock")
    lock.unlink()
    lock.mkdir()  # nothing can be written there
    assert load(photos).names == ["a.png", "b.png"]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_changed_an_added_and_a_removed_file_are_noticed(tmp_path, kind):
    photos = put(tmp_path / "photos", "a.png", "b.png")

    def now() -> Images:
        return load(photos if kind == "folder" else zip_of(photos, tmp_path / "z.zip"))

    first = now()
    Image.new("RGB", (25, 25), RED).save(photos / "b.png")
    assert colour(now().pixels[1]) == list(RED)
    assert now().digest != first.digest
    put(photos, "c.png")
    assert now().names == ["a.png", "b.png", "c.png"]
    (photos / "a.png").unlink()
    assert now().names == ["b.png", "c.png"]


def test_other_settings_have_a_cache_of_their_own(tmp_path):
    put(tmp_path, "a.png", "b.png")
    shapes = [load(tmp_path, **s).pixels.shape for s in ({}, {"size": 32}, {"nc": 1}, {"limit": 1}, {})]
    assert shapes == [(2, 3, 16, 16), (2, 3, 32, 32), (2, 1, 16, 16), (1, 3, 16, 16), (2, 3, 16, 16)]
    copy = put(tmp_path / "copy", "a.png", "b.png")
    assert load(tmp_path, limit=2).digest == load(copy).digest != load(copy, size=32).digest


def test_the_cache_lies_where_it_is_told_to_and_says_where(tmp_path, monkeypatch, capsys):
    load(put(tmp_path / "photos", "a.png"), cache=tmp_path / "here", progress=True)
    assert f"'{tmp_path / 'here'}'" in capsys.readouterr().out
    places = {"DCGAN_CACHE": "", "XDG_CACHE_HOME": "dcgan", "HOME": ".cache/dcgan"}  # the first that is set
    for variable in places:
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for variable, below in places.items():
        assert cache_directory() == tmp_path / variable / below
        monkeypatch.delenv(variable)


def test_small_images_are_warned_of_once(tmp_path, capsys):
    put(tmp_path, "a.png", "b.png", size=(20, 12))
    put(tmp_path / "large", "d.png", size=(20, 16))
    for said in ("2 of 3 images, smaller than 16 px", ""):
        load(tmp_path, progress=True)
        assert said in (out := capsys.readouterr().out)
        assert ("warning" in out) == bool(said)


# What could not be read for a reason that may pass


@pytest.fixture
def refusals(monkeypatch):
    """Names of files that the system does not let be read, each with its error."""
    refused, open_image = {}, Image.open

    def open_or_refuse(file, *args, **kwargs):
        if error := refused.get(Path(getattr(file, "name", file)).name):
            raise error
        return open_image(file, *args, **kwargs)

    monkeypatch.setattr(Image, "open", open_or_refuse)
    return refused


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize(
    "error",
    [PermissionError(13, "Permission denied"), FileNotFoundError(2, "gone"), OSError(5, "I/O error"), MemoryError()],
    ids=lambda error: type(error).__name__,
)
def test_all_is_decoded_again_once_what_may_pass_has_passed_and_not_before(tmp_path, refusals, kind, error):
    photos = put(tmp_path / "photos", "a.png", "b.png", "c.png", "d.png")
    spoil(photos / "d.png")  # for good
    source = photos if kind == "folder" else zip_of(photos, tmp_path / "z.zip")
    whole = load(source, cache=tmp_path / "whole")
    refusals["b.png"] = error
    for _ in range(3):
        images = load(source)
        assert (images.names, [name for name, _ in images.skipped]) == (["a.png", "c.png"], ["b.png", "d.png"])
        refusals |= dict.fromkeys(["a.png", "c.png", "d.png"], AssertionError("decoded again"))
    refusals.clear()
    for _ in range(2):
        images = load(source)
        assert (images.names, images.skipped, images.digest) == (whole.names, whole.skipped, whole.digest)
        assert np.array_equal(images.pixels, whole.pixels)
        refusals |= dict.fromkeys(["a.png", "b.png", "c.png", "d.png"], AssertionError("decoded again"))


def test_nothing_is_decoded_again_for_a_link_to_nowhere(tmp_path):
    photos = put(tmp_path / "photos", "a.png", "c.png")
    (photos / "b.png").symlink_to(tmp_path / "later.png")
    assert load(photos).names == ["a.png", "c.png"]
    spoil(photos / "a.png", photos / "c.png")
    images = load(photos)
    assert (images.names, [name for name, _ in images.skipped]) == (["a.png", "c.png"], ["b.png"])
    put(photos, "a.png", "c.png")
    blot().save(tmp_path / "later.png")
    assert load(photos).names == ["a.png", "b.png", "c.png"]


def test_nothing_is_decoded_again_for_a_folder_that_cannot_be_listed(tmp_path, monkeypatch, capsys):
    photos = put(tmp_path, "a.png", "closed/b.png")

    def refusing(call, parts):
        def refuse(path=".", *args, **kwargs):
            if not isinstance(path, int) and "closed" in Path(path).parts[parts]:
                raise PermissionError(13, "Permission denied")
            return call(path, *args, **kwargs)

        return refuse

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refusing(os.scandir, slice(-1, None)))
        patch.setattr(os, "stat", refusing(os.stat, slice(-1)))  # of what would be in it
        assert load(photos, progress=True).names == ["a.png"]
        assert "1 folder that cannot be read" in capsys.readouterr().out
        content = (photos / "a.png").read_bytes()
        spoil(photos / "a.png")
        assert load(photos).names == ["a.png"]
    (photos / "a.png").write_bytes(content)
    assert load(photos).names == ["a.png", "closed/b.png"]


def test_where_nothing_can_be_read_one_line_says_why_until_something_can(tmp_path, refusals):
    photos = put(tmp_path, "a.png", "b.png")
    refusals |= dict.fromkeys(["a.png", "b.png"], PermissionError(13, "Permission denied"))
    for _ in range(2):
        message = refused(photos)
        assert f"none of the 2 images in '{photos}' can be read: " in message and "Permission denied" in message
    refusals.clear()
    assert load(photos).names == ["a.png", "b.png"]


def test_a_decoding_process_that_is_killed_is_one_line(tmp_path, monkeypatch):
    put(tmp_path / "photos", "a.png")
    monkeypatch.setattr(Image, "open", lambda *_, **__: os._exit(9))
    assert "lower --workers" in refused(tmp_path / "photos", workers=1, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only there do processes inherit locks")
def test_a_process_that_outlives_a_killed_program_keeps_no_lock(tmp_path):
    reader, writer = os.pipe()
    program = os.fork()
    if program == 0:
        with alone(tmp_path / "lock"):
            if os.fork() == 0:  # as one that decodes
                os.write(writer, str(os.getpid()).encode())
                time.sleep(60)
            os._exit(0)
    os.close(writer)
    os.waitpid(program, 0)
    outliving = int(os.read(reader, 20))
    with alone(tmp_path / "lock"):
        assert not select([reader], [], [], 0)[0], "the lock was free only when the other had ended"
    os.kill(outliving, signal.SIGKILL)


def test_of_many_that_load_the_same_one_decodes(tmp_path, capsys):
    put(tmp_path, *(f"{i}.png" for i in range(40)))
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: load(tmp_path, progress=True), range(4)))
    assert len({images.digest for images in loaded}) == 1
    assert capsys.readouterr().out.count("packed in") == 1


# Room


@pytest.mark.parametrize("trouble", ["too little", "in the way", "full"])
def test_a_cache_that_cannot_be_written_is_one_line_that_says_what_to_set(tmp_path, monkeypatch, trouble):
    photos, cache = put(tmp_path / "photos", "a.png"), tmp_path / "cache"
    if trouble == "too little":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    elif trouble == "in the way":
        cache.write_text("a file")
    else:
        monkeypatch.setattr(os, "fsync", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    message = refused(photos, cache=cache)
    assert f"'{cache}'" in message and "DCGAN_CACHE" in message
    if cache.is_dir():
        assert not [path for path in cache.iterdir() if path.is_dir()]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGE = {
    "an index that is cut": lambda folder: cut(folder / "index.json"),
    "an index that lacks its names": lambda folder: (folder / "index.json").write_text('{"skipped": []}'),
    "no index": lambda folder: (folder / "index.json").unlink(),
    "pixels that are cut": lambda folder: cut(folder / "pixels.u8"),
    "no pixels": lambda folder: (folder / "pixels.u8").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    photos = put(tmp_path, "a.png", "b.png")
    before = load(photos)
    pixels = before.pixels.copy()
    DAMAGE[damage](before.folder)
    again = load(photos)
    assert (again.names, again.digest, again.folder) == (before.names, before.digest, before.folder)
    assert np.array_equal(again.pixels, pixels)


def test_the_cache_is_kept_under_its_size_and_what_was_used_longest_ago_goes_first(tmp_path, monkeypatch):
    def sets() -> list[str]:
        return sorted(path.name.partition("-")[0] for path in cache.iterdir() if path.is_dir() and path.name != "hub")

    cache, one = tmp_path / "cache", 3 * 16 * 16 + 200
    for name in ("old", "mid", "new", "old"):  # old is used again
        load(put(tmp_path / name, f"{name}.png"), cache=cache)
    mine = {cache / "mine" / "pixels.u8", cache / "hub" / "mine.zip", cache / "notes.txt"}
    zips = [cache / "hub" / f"owner--name{i}-0123456789ab-{'f' * 40}.zip" for i in range(2)]
    for path in (*mine, *zips):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(one))
    os.utime(zips[0], (0, 0))
    monkeypatch.setenv("DCGAN_CACHE_SIZE", f"{2.9 * one / 10**9:.12f}")
    last = load(put(tmp_path / "last", "last.png"), cache=cache)
    assert sets() == ["last", "mine", "old"]
    assert [path.exists() for path in zips] == [False, True]
    pixels = last.pixels.copy()
    monkeypatch.setenv("DCGAN_CACHE_SIZE", "0.000000001")
    make_room(cache, 0, keep=zips[1].name)
    assert sets() == ["mine"]
    assert all(path.exists() for path in (*mine, zips[1]))
    assert np.array_equal(last.pixels, pixels)  # removed, and still mapped


@pytest.mark.parametrize("size", ["much", "nan", "inf", "12 GB"])
def test_a_size_that_is_no_number_is_one_line(tmp_path, monkeypatch, size):
    monkeypatch.setenv("DCGAN_CACHE_SIZE", size)
    assert f"DCGAN_CACHE_SIZE must be a number of GB, such as 50, not '{size}'" in refused(put(tmp_path, "a.png"))


# Batches


def in_memory(count: int) -> Images:
    """Images whose pixels tell their index: the left half of image i holds it, the right half is 0."""
    pixels = np.zeros((count, 1, 2, 2), dtype=np.uint8)
    pixels[:, 0, :, 0] = (np.arange(count) % 255 + 1)[:, None]
    return Images("made", pixels, [f"{i:06d}.png" for i in range(count)], [], "digest")


def indices(batch: torch.Tensor) -> list[int]:
    return (batch.flatten(1).max(dim=1).values.int() - 1).tolist()


def epoch(images: Images, batch_size: int, number: int = 0, drop_last: bool = False, seed: int = 0) -> list[int]:
    """The images that one epoch shows."""
    length = images.epoch_length(batch_size, drop_last)
    stream = images.batches(batch_size, seed, number * length, drop_last=drop_last)
    shown: list[int] = []
    while len(shown) < length:
        shown += indices(next(stream))
    return shown


counts, batch_sizes = st.integers(30, 200), st.integers(2, 20)


@given(counts, batch_sizes, st.integers(0, 3))
def test_an_epoch_shows_every_training_image_once_and_no_other(count, batch_size, number):
    images = in_memory(count)
    assert sorted([*np.flatnonzero(images.heldout), *images.training]) == list(range(count))
    assert sorted(epoch(images, batch_size, number)) == images.training.tolist()
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


def test_the_order_follows_from_the_seed_and_the_epoch_alone():
    torch.manual_seed(0)
    images, before = in_memory(100), torch.get_rng_state()
    assert epoch(images, 10) == epoch(images, 10)
    assert epoch(images, 10) not in (epoch(images, 10, seed=1), epoch(images, 10, 1), images.training.tolist())
    assert torch.equal(torch.get_rng_state(), before)


def test_flip_shows_about_half_mirrored_and_every_image_both_ways_over_time():
    images = in_memory(40)
    ways: dict[int, list[bool]] = {}
    for batch in islice(images.batches(8, seed=0, flip=True), 160):
        for index, mirrored in zip(indices(batch), (batch[:, 0, 0, 1] > 0).tolist(), strict=True):
            ways.setdefault(index, []).append(mirrored)
    assert all(set(way) == {True, False} for way in ways.values())
    assert 0.4 < np.mean([mirrored for way in ways.values() for mirrored in way]) < 0.6
    assert not any((batch[:, 0, 0, 1] > 0).any() for batch in islice(images.batches(8, seed=0), 20))


def test_some_are_always_the_same_training_images_from_all_over_the_set():
    images = in_memory(200)
    shown = indices(images.some(20))
    assert shown == indices(images.some(20))
    assert len(set(shown) & set(images.training.tolist())) == 20
    assert max(shown) > 150
    assert sorted(indices(in_memory(30).some(64))) == in_memory(30).training.tolist()
