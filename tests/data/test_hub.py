"""Data sets on the Hub, with the real clients against a stand-in for the Hub (tests/hub_stub.py)."""

import io
import json
import os
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from dcgan.data.cache import make_room
from dcgan.data.sources import open_source
from tests.data.pictures import encoded, load, refused, zip_bytes
from tests.hub_stub import READER, TOKEN, Fault, Hub
from tests.training.tiny import TINY_FLAGS, trained

# As UTKFace has them, one without its field for the origin.
STEMS = [f"{20 + i}_{i % 2}_{i % 5}_2017011116{i * 7919:07d}" for i in range(39)] + ["61_1_20170109142408075"]


def jpeg(seed: int) -> bytes:
    return encoded(seed, "JPEG")


PICTURES = {stem: jpeg(i) for i, stem in enumerate(STEMS)}


def tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def parquet(rows: list[dict], column: str = "image", declared: bool = True, **more) -> bytes:
    """Pictures as `datasets` stores them: {"bytes", "path"} in a column that the schema declares to be an Image."""
    struct = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table({**more, column: pyarrow.array(rows, struct)})
    if declared:
        kinds = {**{name: {"dtype": "int64", "_type": "Value"} for name in more}, column: {"_type": "Image"}}
        info = json.dumps({"info": {"features": kinds}})
        table = table.replace_schema_metadata({"huggingface": info})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, row_group_size=10)
    return file.getvalue()


def forms(pictures: dict[str, bytes]) -> dict[str, dict[str, bytes]]:
    """The same pictures in every form in which data sets are stored."""
    rows = [{"bytes": data, "path": f"{stem}.jpg"} for stem, data in pictures.items()]
    half = len(rows) // 2
    return {
        # UTKFace-Cropped: `__key__` is UTKFace/AGE_GENDER_RACE_DATE, the picture's field is jpg.chip.jpg.
        "webdataset": {"a.tar.gz": tar({f"UTKFace/{stem}.jpg.chip.jpg": data for stem, data in pictures.items()})},
        "zip": {"faces.zip": zip_bytes({f"in/{stem}.jpg": data for stem, data in reversed(pictures.items())})},
        "pictures": {f"faces/{stem}.jpg": data for stem, data in pictures.items()},
        "parquet": {
            f"data/train-0000{i}-of-00002.parquet": parquet(part) for i, part in enumerate((rows[:half], rows[half:]))
        },
    }


FORMS = forms(PICTURES)


@pytest.fixture
def faces(hub: Hub) -> Hub:
    """A Hub that has the same 40 pictures in every form, as faces/FORM."""
    for form, files in FORMS.items():
        hub.add("datasets", f"faces/{form}", {"README.md": b"# Faces\n", "preview.txt": b"", **files})
    return hub


def fetched(tmp_path: Path) -> list[str]:
    """What lies in the cache of data sets, but for locks."""
    return [path.name for path in (tmp_path / "cache" / "hub").rglob("*") if path.suffix != ".lock"]


# What is read


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_images_and_the_held_out_tenth_of_a_folder(faces, tmp_path, form):
    for stem, data in PICTURES.items():
        (tmp_path / f"{stem}.jpg").write_bytes(data)
    local, remote = load(str(tmp_path)), load(f"hf://datasets/faces/{form}")
    assert [Path(name).stem for name in remote.names] == [Path(name).stem for name in local.names] == sorted(PICTURES)
    assert np.array_equal(remote.pixels, local.pixels)
    assert np.array_equal(remote.heldout, local.heldout)
    assert 0 < remote.heldout.sum() < 10
    assert (remote.digest, remote.name, remote.skipped) == (local.digest, form, [])


@pytest.mark.parametrize("form", FORMS)
def test_a_limit_takes_the_first_without_the_rest(hub, form):
    ballast = np.random.default_rng(0).bytes(120_000)  # 14 MB in all, so that the rest is worth leaving
    files = forms({f"{i:04d}": jpeg(i) + ballast for i in range(120)})[form]
    hub.add("datasets", "faces/many", files)
    images = load("hf://datasets/faces/many", limit=5)
    assert [Path(name).stem for name in images.names] == [f"{i:04d}" for i in range(5)]
    assert sum(hub.sent.values()) < 0.85 * sum(map(len, files.values()))  # random access reads 5 MB ahead
    if form == "pictures":
        assert len(hub.sent) == 5
    assert len(load("hf://datasets/faces/many", limit=9)) == 9  # and is no hindrance to more of them later


def test_looking_a_source_up_fetches_nothing_and_nothing_is_fetched_twice(faces):
    source = open_source("hf://datasets/faces/webdataset")
    assert faces.sent == {}
    assert len(source.names) == 40
    sent = dict(faces.sent)
    assert load("hf://datasets/faces/webdataset").digest == load("hf://datasets/faces/webdataset", workers=2).digest
    assert len(load("hf://datasets/faces/webdataset", 32)) == 40
    assert faces.sent == sent


def test_of_many_that_load_the_same_one_fetches_and_the_zip_counts_as_used(faces, tmp_path):
    load("hf://datasets/faces/zip")
    once = sum(faces.sent.values())
    with ThreadPoolExecutor(3) as pool:
        assert len({images.digest for images in pool.map(load, ["hf://datasets/faces/webdataset"] * 3)}) == 1
    assert sum(faces.sent.values()) < once + 1.5 * len(FORMS["webdataset"]["a.tar.gz"])
    [zipped_faces] = (tmp_path / "cache" / "hub").glob("faces--zip-*.zip")
    os.utime(zipped_faces, (0, 0))
    load("hf://datasets/faces/zip")
    assert zipped_faces.stat().st_mtime > 0
    make_room(tmp_path / "cache", 10**12)
    assert fetched(tmp_path) == []


def test_a_data_set_is_kept_until_it_is_packed_however_small_the_cache(faces, tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CACHE_SIZE", "0.000001")
    assert len(load("hf://datasets/faces/zip", workers=1)) == 40
    assert len(load("hf://datasets/faces/pictures", workers=1)) == 40
    assert [name.partition("-")[0] for name in fetched(tmp_path)] == ["faces"]  # the second alone


def test_a_newer_commit_is_fetched_and_an_older_one_can_be_named(faces):
    repo = faces.repos["datasets", "faces/pictures"]
    old = repo.names["main"]
    load("hf://datasets/faces/pictures")
    repo.commit({**repo.files, "faces/new.jpg": jpeg(77)})
    assert len(load("hf://datasets/faces/pictures")) == 41
    assert len(load(f"hf://datasets/faces/pictures@{old}")) == 40


def test_a_file_a_folder_or_a_split_of_a_data_set_is_read(hub):
    some, other = ({f"{name}{i}.jpg": jpeg(i) for i in range(3)} for name in "ab")
    hub.add("datasets", "a/b", {"a.zip": zip_bytes(some), "b.zip": zip_bytes(other), "in/deep/c.jpg": jpeg(9)})
    assert len(load("hf://datasets/a/b")) == 6
    assert load("hf://datasets/a/b/b.zip").names == ["b0.jpg", "b1.jpg", "b2.jpg"]
    assert load("hf://datasets/a/b@main/in").names == ["in/deep/c.jpg"]
    parts = {split: zip_bytes({f"{split}.jpg": jpeg(1)}) for split in ("train", "test", "constrained")}
    hub.add("datasets", "a/split", {f"data/{split}-00000.zip": data for split, data in parts.items()})
    assert load("hf://datasets/a/split").names == ["train.jpg"]


def test_a_sample_of_a_webdataset_gives_one_image(hub):
    members = {}
    for key in ("x/001", "x/002"):
        members |= {f"{key}.json": b"{}", f"{key}.jpg": jpeg(1), f"{key}.mask.png": b"no", f"{key}.txt": b"a face"}
    members |= {"x/._003.jpg": b"left by a Mac", "x/004.png": jpeg(4)}
    hub.add("datasets", "a/b", {"a.tar": tar(members, "w")})
    assert load("hf://datasets/a/b").names == ["x/001.jpg", "x/002.jpg", "x/004.png"]


def test_equal_names_are_all_read_and_a_broken_picture_is_skipped(hub):
    zips = {f"{i}.zip": zip_bytes({"face.jpg": jpeg(i), "bad.jpg": b"no picture"}) for i in range(3)}
    hub.add("datasets", "a/b", zips)
    images = load("hf://datasets/a/b")
    assert len({image.tobytes() for image in images.pixels}) == 3
    assert {Path(name).stem for name in images.names} == {"face"}
    assert {Path(name).stem for name, _ in images.skipped} == {"bad"}


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("column", ["image", "img"])
def test_a_parquet_column_is_found_and_pictures_without_a_path_are_numbered(hub, column, declared):
    rows = [{"bytes": jpeg(i), "path": None} for i in range(12)] + [{"bytes": None, "path": None}]
    data = parquet(rows, column, declared=declared, label=list(range(13)))
    hub.add("datasets", "nielsr/CelebA-faces", {"data/train-00000-of-00001.parquet": data})
    images = load("hf://datasets/nielsr/CelebA-faces")
    assert images.names == [f"{i:06d}.png" for i in range(12)]
    assert load("hf://datasets/nielsr/CelebA-faces", limit=3).names == images.names[:3]


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_names_that_climb_lead_nowhere_and_a_file_too_large_is_left_out(hub, tmp_path, monkeypatch, form):
    monkeypatch.setattr("dcgan.data.hub.MAX_FILE", 10_000)
    members = {"../../up.jpg": jpeg(1), "/tmp/root.jpg": jpeg(2), "vast.jpg": bytes(10_001)}
    hub.add("datasets", "a/b", {"a.tar.gz": tar(members)} if form == "tar" else {"a.zip": zip_bytes(members)})
    images = load("hf://datasets/a/b")
    assert ({Path(name).stem for name in images.names}, images.skipped) == ({"up", "root"}, [])
    assert not list(tmp_path.rglob("*.jpg"))


# What can go wrong


@pytest.mark.parametrize(
    "source", ["hf://datasets/faces", "hf://faces/zip", "hf://datasets/../../etc", "hf://datasets/a/b@", "hf://"]
)
def test_an_address_that_cannot_be_is_refused_before_anything_is_sent(hub, source):
    assert "must read hf://datasets/OWNER/NAME" in refused(source)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none", "the Hub has no data set of that name, or it is private"),
        ("zip@v9", "has no such revision"),
        ("zip/other.zip", "no images in"),
        ("texts", "found other files only (2 .csv, 1 without ending)"),
    ],
)
def test_what_is_not_there_is_one_line(faces, tmp_path, source, message):
    faces.add("datasets", "faces/texts", {"a.csv": b"1", "b.csv": b"2"})
    assert message in refused(f"hf://datasets/faces/{source}")
    assert fetched(tmp_path) == []


@pytest.mark.parametrize("form", FORMS)
def test_gated_and_private_data_sets_are_for_those_who_may(faces, tmp_path, monkeypatch, form):
    faces.add("datasets", "maker/own", FORMS[form], private=True)
    assert "or it is private and you are not logged in" in refused("hf://datasets/maker/own")
    faces.repos["datasets", f"faces/{form}"].gated = True
    monkeypatch.setenv("HF_TOKEN", READER)
    assert "gated: ask for access" in refused(f"hf://datasets/faces/{form}")
    assert fetched(tmp_path) == []
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(load("hf://datasets/maker/own")) == 40
    assert set(faces.cdn_tokens) == {None}


def test_without_a_network_what_was_fetched_is_read(faces):
    online = load("hf://datasets/faces/webdataset")
    with faces.unreachable():
        assert load("hf://datasets/faces/webdataset").digest == online.digest
        assert "nor from there in the cache: the Hub cannot be reached" in refused("hf://datasets/faces/zip")


@pytest.mark.parametrize("form", FORMS)
def test_a_download_that_breaks_off_goes_on_or_is_one_line_and_leaves_nothing(faces, tmp_path, monkeypatch, form):
    monkeypatch.setattr("datasets.config.STREAMING_READ_RETRY_INTERVAL", 0)
    faces.faults = [Fault("/cdn/", cut=0)]
    assert "cannot be fetched" in refused(f"hf://datasets/faces/{form}")
    assert fetched(tmp_path) == []
    faces.faults = [Fault("/cdn/", times=1, cut=300)]
    assert len(load(f"hf://datasets/faces/{form}")) == 40
    if form != "pictures":
        faces.add("datasets", "a/half", {name: data[: len(data) // 2] for name, data in FORMS[form].items()})
        assert "cannot be fetched" in refused("hf://datasets/a/half")


def test_without_the_datasets_library_parquet_says_what_to_install(faces, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install datasets" in refused("hf://datasets/faces/parquet")
    assert fetched(tmp_path) == []
    assert len(load("hf://datasets/faces/webdataset")) == 40


def test_training_from_the_hub_names_it_in_the_checkpoint(faces, tmp_path):
    source = "hf://datasets/faces/webdataset"
    data = trained(tmp_path / "run", "--dataroot", source, "--limit=30", "--max-images=16", *TINY_FLAGS).data
    count = len(load(source, limit=30).training)
    assert (data["hub"], data["name"], data["count"]) == ("faces/webdataset", "webdataset", count)
