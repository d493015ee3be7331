"""Resuming on photos that were renamed, moved, added, removed, or there twice: none changes sides."""

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from safetensors.numpy import load

from dcgan.data.split import is_heldout
from tests.data.pictures import blot
from tests.training.tiny import TINY_FLAGS as TINY
from tests.training.tiny import identical, state, trained


@pytest.fixture
def begun(tmp_path, photos) -> tuple[Path, Path]:
    """A run and the photos that it was begun on, which a test may change."""
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    trained(tmp_path / "run", "--dataroot", folder, "--max-images=16", *TINY)
    return tmp_path / "run", folder


def division(run: Path) -> dict[int, bool]:
    """Of each picture of a run, by its key, whether it is held out."""
    saved = load((run / "state" / "images.safetensors").read_bytes())
    return dict(zip(saved["keys"].tolist(), saved["heldout"].tolist(), strict=True))


def rename(photos: Path, name: Callable[[int], str]) -> None:
    for i, photo in enumerate(sorted(photos.iterdir())):
        new = photos / f"{name(i)}{photo.suffix}"
        new.parent.mkdir(exist_ok=True)
        photo.rename(new)


RENAMED = {
    "in the same order": lambda i: f"holiday {i:03d}",
    "in another order": lambda i: f"holiday {(i * 17) % 40:03d}",
    "in folders of their own": lambda i: f"{i}/thumbnail",
}


@pytest.mark.parametrize("way", RENAMED)
def test_photos_under_other_names_go_on_bit_for_bit(begun, tmp_path, way):
    run, photos = begun
    before, whole = division(run), Path(shutil.copytree(run, tmp_path / "whole"))
    trained(whole, "--resume", "--max-images=48")
    rename(photos, RENAMED[way])
    trained(run, "--resume", "--max-images=48")
    assert division(run) == before
    assert identical(state(run), state(whole))


def test_photos_that_come_and_go_change_a_run_only_where_that_is_allowed(begun, capsys, refusal):
    run, photos = begun
    before = division(run)
    for i in range(30):
        blot(24, 28, seed=1000 + i).save(photos / f"0 new {i}.png")
    for photo in sorted(photos.iterdir())[-2:]:
        photo.unlink()
    line = refusal("train", "--out", run, "--resume")
    assert "30 added, 2 removed" in line and "--changed-data ok" in line
    assert division(run) == before
    assert trained(run, "--resume", "--changed-data=ok", "--max-images=48").images_seen == 48
    assert "the data changed: 30 added, 2 removed" in capsys.readouterr().out
    after = division(run)
    assert after.items() >= before.items()
    assert len(after) == len(before) + 30
    trained(run, "--resume", "--max-images=56")  # that is the data now


def test_photos_that_are_gone_for_a_while_return_to_their_side(tmp_path, capsys):
    photos, away, run = tmp_path / "photos", tmp_path / "away", tmp_path / "run"
    for folder, kind in ((photos, "png"), (away, "jpg")):  # which sides the copies have is decided by the originals
        folder.mkdir()
        for i in range(40):
            blot(48, 48, seed=i).save(folder / f"{i}.{kind}")
    move = {True: lambda kind: [shutil.move(path, photos) for path in away.glob(f"*.{kind}")]}
    move[False] = lambda kind: [shutil.move(path, away) for path in photos.glob(f"*.{kind}")]
    move[True]("jpg")
    trained(run, "--dataroot", photos, "--max-images=8", *TINY)
    before = division(run)
    for moves in (((False, "jpg"),), ((False, "png"), (True, "jpg"))):
        for here, kind in moves:
            move[here](kind)
        trained(run, "--resume", "--changed-data=ok", "--max-images=16")
        assert division(run) == before
    assert "the data changed: 40 added, 40 removed" in capsys.readouterr().out


def test_a_run_of_an_earlier_version_keeps_its_division_by_name(begun, capsys, refusal):
    run, photos = begun
    path, names = run / "state" / "settings.json", [photo.name for photo in photos.iterdir()]
    settings = json.loads(path.read_text())
    for name in ("split", "keep_duplicates", "heldout"):
        del settings["data"][name]
    settings["data"]["count"] = 40 - sum(map(is_heldout, names))
    path.write_text(json.dumps(settings))
    (run / "state" / "images.safetensors").unlink()
    trained(run, "--resume", "--max-images=24")
    saved = json.loads(path.read_text())["data"]
    assert (saved["split"], saved["heldout"]) == (None, sum(map(is_heldout, names)))
    rename(photos, lambda i: f"{i:03d} of other names")
    assert "the data changed" in refusal("train", "--out", run, "--resume", "--max-images=32")
    trained(run, "--resume", "--max-images=32", "--changed-data=ok")
    assert "names that were held out stay so" in capsys.readouterr().out


def test_photos_that_are_gone_are_asked_for(begun, tmp_path, refusal):
    run, photos = begun
    photos.rename(tmp_path / "elsewhere")
    line = refusal("train", "--out", run, "--resume")
    assert f"'{photos}'" in line and "--dataroot" in line
    trained(run, "--resume", "--dataroot", tmp_path / "elsewhere", "--max-images=24")


@pytest.mark.parametrize("flags", [[], ["--keep-duplicates"]])
def test_a_picture_twice_is_trained_on_once_unless_both_are_wanted(tmp_path, photos, capsys, refusal, flags):
    folder, run = Path(shutil.copytree(photos, tmp_path / "photos")), tmp_path / "run"
    for i, photo in enumerate(sorted(folder.iterdir())[:5]):
        shutil.copy(photo, folder / f"again {i}{photo.suffix}")
    data = trained(run, "--dataroot", folder, "--max-images=8", *TINY, *flags).data
    said = capsys.readouterr().out
    assert "5 images show the same as others" in said and "duplicates.txt" in said
    assert data["count"] + data["heldout"] == (45 if flags else 40)
    assert f"{data['count']} images to train on, {data['heldout']} held out to measure with" in said
    trained(run, "--resume", "--max-images=16")
    if not flags:
        assert "--keep-duplicates was False" in refusal("train", "--out", run, "--resume", "--keep-duplicates")


@pytest.mark.skipif(not (find_spec("python_avatars") and find_spec("resvg_py")), reason="drawing needs both packages")
def test_a_folder_called_avatars_is_trained_on_only_where_it_is_named(tmp_path, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photos, tmp_path / "avatars")
    for out, named, name in (("a", [], "drawn faces"), ("b", ["--dataroot", "avatars"], "avatars")):
        trained(out, "--limit=30", "--max-images=8", *TINY, *named)
        checkpoint = trained(out, "--resume", "--max-images=16")
        assert (checkpoint.data["name"], checkpoint.is_drawn) == (name, not named)
        assert ("Pablo Stanley" in str(checkpoint.data["license"])) == (not named)
