"""Data sets on the Hub, with the real clients against a stand-in for the Hub (tests/hub_stub.py)."""

import io
import json
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

import train
from dcgan.data.images import Images, is_heldout, load_images
from dcgan.data.sources import DataError, open_source
from dcgan.demo import real_vs_fake as comparison
from dcgan.demo.sentences import spelled
from dcgan.demo.studio import Studio
from tests.demo_fixtures import make_checkpoint
from tests.hub_stub import READER, TOKEN, Fault, Hub

# As UTKFace has them, one without its field for the origin.
STEMS = [f"{20 + i}_{i % 2}_{i % 5}_2017011116{i * 7919:07d}" for i in range(39)] + ["61_1_20170109142408075"]


def jpeg(seed: int, side: int = 24) -> bytes:
    file = io.BytesIO()
    coarse = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8))
    coarse.resize((side, side)).save(file, "JPEG")
    return file.getvalue()


PICTURES = {stem: jpeg(i) for i, stem in enumerate(STEMS)}


def tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def parquet(rows: list[dict], column: str = "image", rows_a_group: int = 10, declared: bool = True, **more) -> bytes:
    """Pictures as `datasets` stores them: {"bytes", "path"} in a column that the schema declares to be an Image."""
    struct = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table({**more, column: pyarrow.array(rows, struct)})
    if declared:
        kinds = {**{name: {"dtype": "int64", "_type": "Value"} for name in more}, column: {"_type": "Image"}}
        info = json.dumps({"info": {"features": kinds}})
        table = table.replace_schema_metadata({"huggingface": info})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, row_group_size=rows_a_group)
    return file.getvalue()


def webdataset() -> bytes:
    """UTKFace-Cropped: `__key__` is UTKFace/AGE_GENDER_RACE_DATE, the picture's field is jpg.chip.jpg."""
    return tar({f"UTKFace/{stem}.jpg.chip.jpg": data for stem, data in PICTURES.items()})


FORMS: dict[str, Callable[[], dict[str, bytes]]] = {
    "webdataset": lambda: {"UTKFace.tar.gz": webdataset()},
    "zip": lambda: {"faces.zip": zipped({f"in/{stem}.jpg": data for stem, data in PICTURES.items()})},
    "pictures": lambda: {f"faces/{stem}.jpg": data for stem, data in PICTURES.items()},
    "parquet": lambda: {
        f"data/train-0000{part}-of-00002.parquet": parquet(
            [{"bytes": data, "path": f"{stem}.jpg"} for stem, data in list(PICTURES.items())[part * 20 :][:20]]
        )
        for part in (0, 1)
    },
}


@pytest.fixture
def faces(hub: Hub) -> Hub:
    """A Hub that has the same 40 pictures in every form, as faces/FORM."""
    for form, files in FORMS.items():
        hub.add("datasets", f"faces/{form}", {"README.md": b"# Faces\n", "preview.txt": b"", **files()})
    return hub


def load(source: str, **settings) -> Images:
    return load_images(source, 16, **{"workers": 0, "progress": False, **settings})


def refusal(source: str, **settings) -> str:
    with pytest.raises(DataError) as raised:
        load(source, **settings)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def fetched(tmp_path: Path) -> list[str]:
    """What lies in the cache of data sets."""
    return [path.name for path in (tmp_path / "cache" / "hub").rglob("*")]


# What is read


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_images_and_the_held_out_tenth_of_a_folder(faces: Hub, tmp_path: Path, form: str) -> None:
    for stem, data in PICTURES.items():
        (tmp_path / f"{stem}.jpg").write_bytes(data)
    local, remote = load(str(tmp_path)), load(f"hf://datasets/faces/{form}")
    assert [Path(name).stem for name in remote.names] == [Path(name).stem for name in local.names] == sorted(PICTURES)
    assert np.array_equal(remote.pixels, local.pixels)
    assert np.array_equal(remote.heldout, local.heldout)
    assert 0 < remote.heldout.sum() < 10
    assert remote.digest == local.digest
    assert (remote.name, remote.skipped) == (form, [])


def test_held_out_is_the_same_for_a_webdataset_key_and_for_a_zip_of_other_files(faces: Hub) -> None:
    names = load("hf://datasets/faces/webdataset").names
    assert [is_heldout(name) for name in names] == [is_heldout(f"{stem}.webp") for stem in sorted(PICTURES)]


@pytest.mark.parametrize("form", FORMS)
def test_a_limit_takes_the_first_without_the_rest(hub: Hub, form: str) -> None:
    ballast = np.random.default_rng(0).bytes(120_000)  # 14 MB in all, so that the rest is worth leaving
    many = {f"{i:04d}": jpeg(i) + ballast for i in range(120)}
    files = {
        "webdataset": lambda: {"a.tar": tar({f"{k}.jpg": d for k, d in many.items()}, "w")},
        "zip": lambda: {"a.zip": zipped({f"{k}.jpg": d for k, d in reversed(many.items())})},
        "pictures": lambda: {f"{k}.jpg": d for k, d in many.items()},
        "parquet": lambda: {"a.parquet": parquet([{"bytes": d, "path": f"{k}.jpg"} for k, d in many.items()])},
    }[form]()
    hub.add("datasets", "faces/many", files)
    images = load("hf://datasets/faces/many", limit=5)
    assert images.names == [f"{i:04d}.jpg" for i in range(5)]
    assert sum(hub.sent.values()) < 0.85 * sum(map(len, files.values()))  # random access reads 5 MB ahead
    if form == "pictures":
        assert len(hub.sent) == 5
    assert len(load("hf://datasets/faces/many", limit=9)) == 9  # and is no hindrance to more of them later


def test_what_was_fetched_is_not_fetched_again(faces: Hub) -> None:
    first = load("hf://datasets/faces/webdataset")
    sent = dict(faces.sent)
    again = load("hf://datasets/faces/webdataset")
    other_size = load_images("hf://datasets/faces/webdataset", 32, workers=0, progress=False)
    assert faces.sent == sent
    assert again.digest == first.digest
    assert len(other_size) == 40


def test_a_newer_commit_is_fetched_and_an_older_one_can_be_named(faces: Hub) -> None:
    repo = faces.repos["datasets", "faces/pictures"]
    old = repo.names["main"]
    load("hf://datasets/faces/pictures")
    repo.commit({**repo.files, "faces/new.jpg": jpeg(77)})
    assert len(load("hf://datasets/faces/pictures")) == 41
    assert len(load(f"hf://datasets/faces/pictures@{old}")) == 40


def test_a_file_or_a_folder_of_a_data_set_can_be_named(hub: Hub) -> None:
    some, other = ({f"{name}{i}.jpg": jpeg(i) for i in range(3)} for name in "ab")
    hub.add("datasets", "a/b", {"a.zip": zipped(some), "b.zip": zipped(other), "in/deep/c.jpg": jpeg(9)})
    assert len(load("hf://datasets/a/b")) == 6
    assert load("hf://datasets/a/b/b.zip").names == ["b0.jpg", "b1.jpg", "b2.jpg"]
    assert load("hf://datasets/a/b@main/in").names == ["in/deep/c.jpg"]


def test_of_several_splits_the_one_to_train_on_is_read(hub: Hub) -> None:
    parts = {split: zipped({f"{split}.jpg": jpeg(1)}) for split in ("train", "test", "constrained")}
    hub.add("datasets", "a/b", {f"data/{split}-00000.zip": data for split, data in parts.items()})
    assert load("hf://datasets/a/b").names == ["train.jpg"]


def test_a_sample_of_a_webdataset_gives_one_image(hub: Hub) -> None:
    members = {}
    for key in ("x/001", "x/002"):
        members |= {f"{key}.json": b"{}", f"{key}.jpg": jpeg(1), f"{key}.mask.png": b"no", f"{key}.txt": b"a face"}
    members |= {"x/._003.jpg": b"left by a Mac", "../../climber.jpg": jpeg(2)}
    hub.add("datasets", "a/b", {"a.tar": tar(members, "w")})
    images = load("hf://datasets/a/b")
    assert sorted(images.names) == ["../../climber.jpg", "x/001.jpg", "x/002.jpg"]  # names alone: nothing is unpacked


def test_equal_names_in_several_files_are_all_read(hub: Hub) -> None:
    hub.add("datasets", "a/b", {f"{i}.zip": zipped({"face.jpg": jpeg(i)}) for i in range(3)})
    images = load("hf://datasets/a/b")
    assert len({image.tobytes() for image in images.pixels}) == 3
    assert {Path(name).stem for name in images.names} == {"face"}


def test_a_broken_picture_is_skipped_and_named(hub: Hub) -> None:
    hub.add("datasets", "a/b", {"a.zip": zipped({"good.jpg": jpeg(1), "bad.jpg": b"no picture"})})
    images = load("hf://datasets/a/b")
    assert (images.names, [name for name, _ in images.skipped]) == (["good.jpg"], ["bad.jpg"])


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("column", ["image", "img"])
def test_a_parquet_column_is_found_and_pictures_without_a_path_are_numbered(
    hub: Hub, column: str, declared: bool
) -> None:
    rows = [{"bytes": jpeg(i), "path": None} for i in range(12)] + [{"bytes": None, "path": None}]
    data = parquet(rows, column, declared=declared, label=list(range(13)))
    hub.add("datasets", "nielsr/CelebA-faces", {"data/train-00000-of-00001.parquet": data})
    images = load("hf://datasets/nielsr/CelebA-faces")
    assert images.names == [f"{i:06d}.png" for i in range(12)]
    assert load("hf://datasets/nielsr/CelebA-faces", limit=3).names == images.names[:3]


def test_workers_read_what_one_process_does(faces: Hub, tmp_path: Path) -> None:
    alone = load("hf://datasets/faces/webdataset")
    together = load("hf://datasets/faces/webdataset", workers=2, cache=tmp_path / "other")
    assert together.digest == alone.digest


# What can go wrong


@pytest.mark.parametrize(
    "source", ["hf://datasets/faces", "hf://faces/zip", "hf://datasets/../../etc", "hf://datasets/a/b@", "hf://"]
)
def test_an_address_that_cannot_be_is_refused_before_anything_is_asked(hub: Hub, source: str) -> None:
    assert "must read hf://datasets/OWNER/NAME" in refusal(source)
    assert hub.requests == []


def test_no_such_data_set_revision_or_file_is_one_line(faces: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the Hub has no data set of that name, or it is private" in refusal("hf://datasets/faces/none")
    assert "has no such revision" in refusal("hf://datasets/faces/zip@v9")
    assert "no images in" in refusal("hf://datasets/faces/zip/other.zip")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not know your token" in refusal("hf://datasets/faces/zip")


def test_a_data_set_without_pictures_says_what_is_there(hub: Hub, tmp_path: Path) -> None:
    hub.add("datasets", "a/texts", {"a.csv": b"1", "b.csv": b"2"})
    assert "found other files only (2 .csv, 1 without ending)" in refusal("hf://datasets/a/texts")
    assert fetched(tmp_path) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_gated_data_set_says_where_to_ask(
    faces: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    faces.repos["datasets", f"faces/{form}"].gated = True
    monkeypatch.setenv("HF_TOKEN", READER)
    assert "gated: ask for access" in refusal(f"hf://datasets/faces/{form}")
    assert fetched(tmp_path) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_private_data_set_is_read_by_its_owner(hub: Hub, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    hub.add("datasets", "maker/own", FORMS[form](), private=True)
    assert "or it is private and you are not logged in" in refusal("hf://datasets/maker/own")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(load("hf://datasets/maker/own")) == 40
    assert set(hub.cdn_tokens) == {None}


def test_without_a_network_what_was_fetched_is_read(faces: Hub) -> None:
    online = load("hf://datasets/faces/webdataset")
    with faces.unreachable():
        assert load("hf://datasets/faces/webdataset").digest == online.digest
        assert "nor from there in the cache: the Hub cannot be reached" in refusal("hf://datasets/faces/zip")


@pytest.mark.parametrize("form", ["webdataset", "zip", "parquet"])
def test_a_download_that_breaks_off_goes_on(hub: Hub, form: str) -> None:
    hub.add("datasets", "faces/one", FORMS[form]())
    hub.faults = [Fault("/cdn/", times=1, cut=3_000)]
    assert len(load("hf://datasets/faces/one")) == 40


@pytest.mark.parametrize("form", FORMS)
def test_a_download_that_never_ends_is_one_line_and_leaves_nothing(
    faces: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr("datasets.config.STREAMING_READ_RETRY_INTERVAL", 0)
    faces.faults = [Fault("/cdn/", cut=0)]
    assert "cannot be fetched" in refusal(f"hf://datasets/faces/{form}")
    assert fetched(tmp_path) == []
    faces.faults = []
    assert len(load(f"hf://datasets/faces/{form}")) == 40


@pytest.mark.parametrize("form", ["webdataset", "zip", "parquet"])
def test_half_a_file_on_the_hub_is_one_line_and_leaves_nothing(hub: Hub, tmp_path: Path, form: str) -> None:
    hub.add("datasets", "faces/half", {name: data[: len(data) // 2] for name, data in FORMS[form]().items()})
    assert "cannot be fetched" in refusal("hf://datasets/faces/half")
    assert fetched(tmp_path) == []


@pytest.mark.parametrize(("status", "said"), [(429, "patience"), (503, "in trouble")])
def test_a_hub_in_trouble_is_one_line_or_what_was_fetched(faces: Hub, status: int, said: str) -> None:
    load("hf://datasets/faces/zip")
    faces.faults = [Fault("/api/|/resolve/", status=status)]
    assert said in refusal("hf://datasets/faces/pictures")
    assert len(load("hf://datasets/faces/zip")) == 40


def test_without_the_datasets_library_parquet_says_what_to_install(
    faces: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install datasets" in refusal("hf://datasets/faces/parquet")
    assert fetched(tmp_path) == []
    assert len(load("hf://datasets/faces/webdataset")) == 40


def test_without_the_hubs_client_the_address_says_what_to_install(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dcgan.data.hub", None)
    assert "pip install huggingface-hub" in refusal("hf://datasets/faces/zip")


# Who reads it


def test_training_from_the_hub_names_it_in_the_checkpoint(faces: Hub, tmp_path: Path) -> None:
    source = "hf://datasets/faces/webdataset"
    small = ["--image-size=16", "--ngf=4", "--ndf=4", "--batch-size=8", "--max-images=16", "--workers=0", "--ngpu=0"]
    assert train.main(["--dataroot", source, "--limit", "30", "--out", str(tmp_path / "run"), *small]) == 0
    config = json.loads((tmp_path / "run" / "checkpoint" / "config.json").read_text())
    assert config["data"]["hub"] == "faces/webdataset"
    assert config["data"]["name"] == "webdataset"
    assert config["data"]["count"] == 30 - sum(is_heldout(stem) for stem in STEMS[:30])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("made") / "people")


@pytest.fixture
def people(checkpoint: Path, tmp_path: Path, faces: Hub) -> Path:
    """A checkpoint whose data is on the Hub."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "people"))
    config = json.loads((folder / "config.json").read_text())
    config["data"]["hub"] = "hf://datasets/faces/webdataset"  # as someone might write it
    (folder / "config.json").write_text(json.dumps(config))
    faces.requests.clear()
    return folder


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcgan.demo.real_images.PATIENCE", 120)
    monkeypatch.setattr("dcgan.demo.real_images.STREAMED", 30)


@pytest.mark.usefixtures("patient")
def test_a_space_streams_its_reals_and_keeps_them(faces: Hub, people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "maker/demo")
    pair = comparison.real_vs_fake(Studio(people))
    assert "30 pictures at hand" in spelled(pair.note)
    assert pair.real is not None
    sent = dict(faces.sent)
    assert sent
    assert np.array_equal(comparison.real_vs_fake(Studio(people)).real, pair.real)
    assert faces.sent == sent


@pytest.mark.usefixtures("patient")
def test_a_space_tries_again_once_the_hub_is_back(faces: Hub, people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "maker/demo")
    monkeypatch.setattr("dcgan.demo.real_images.DRAWN", 4)
    studio = Studio(people)
    with faces.unreachable():
        assert "the Hub cannot be reached" in spelled(comparison.real_vs_fake(studio).note)
    assert "30 pictures at hand" in spelled(comparison.real_vs_fake(studio).note)


@pytest.mark.usefixtures("patient")
def test_elsewhere_the_demo_asks_nothing_of_the_network(
    faces: Hub, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcgan.demo.real_images.DRAWN", 4)
    assert "--dataroot" in spelled(comparison.real_vs_fake(Studio(people)).note)
    assert faces.requests == []


@pytest.mark.usefixtures("patient")
def test_a_dataroot_on_the_hub_is_looked_up_at_once_and_read_when_needed(faces: Hub, people: Path) -> None:
    with pytest.raises(DataError, match="no data set of that name"):
        Studio(people, "hf://datasets/faces/none")
    studio = Studio(people, "hf://datasets/faces/zip")
    assert faces.sent == {}
    assert "30 pictures at hand" in spelled(comparison.real_vs_fake(studio).note)


def test_looking_a_source_up_fetches_nothing(faces: Hub, tmp_path: Path) -> None:
    source = open_source("hf://datasets/faces/webdataset")
    assert faces.sent == {}
    assert len(source.names) == 40
    shutil.rmtree(tmp_path / "cache")


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_file_too_large_to_be_a_picture_is_not_fetched_into_memory(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr("dcgan.data.hub.MAX_FILE", 10_000)
    members = {"face.jpg": jpeg(1), "vast.jpg": bytes(10_001)}
    hub.add("datasets", "a/b", {"a.tar.gz": tar(members)} if form == "tar" else {"a.zip": zipped(members)})
    images = load("hf://datasets/a/b")
    assert (images.names, images.skipped) == (["face.jpg"], [])


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_names_on_the_hub_that_climb_lead_nowhere(hub: Hub, tmp_path: Path, form: str) -> None:
    members = {"../../up.jpg": jpeg(1), "/tmp/root.jpg": jpeg(2)}
    hub.add("datasets", "a/b", {"a.tar.gz": tar(members)} if form == "tar" else {"a.zip": zipped(members)})
    assert len(load("hf://datasets/a/b")) == 2
    assert not list(tmp_path.rglob("*.jpg"))
