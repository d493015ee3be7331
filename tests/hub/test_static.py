"""The static page as files; tests/browser/test_static.py opens it."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import SpaceCard
from PIL import Image

from dcgan.checkpoint import load_checkpoint
from tests.demo_fixtures import FRAMES, MOMENTS
from tests.hub.conftest import Command, edit
from tests.hub_stub import tree

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured of a generator takes as much room with fewer faces, and less time."""
    monkeypatch.setattr("dcgan.latent.arithmetic.SEEDS", range(128))


@pytest.mark.usefixtures("maker")
def test_it_is_pushed_as_a_static_space_and_replaces_an_older_one(hub, run, tmp_path, command):
    old = {"ort.older.mjs": b"", "snapshots/99.webp": b"", "0/snapshots/99.webp": b"", "notes.md": b"mine"}
    repo = hub.add("spaces", "maker/page", old, sdk="static")
    arguments = ("--checkpoint", run, "--push")
    assert command("static", tmp_path / "a", *arguments, "maker/page") == (0, f"{hub.url}/spaces/maker/page\n")
    page = tree(tmp_path / "a")
    assert {"index.html", "static.js", "kernel.wasm", "0/checkpoint.json", "0/generator.safetensors"} <= set(page)
    assert {f"0/snapshots/{i}.webp" for i in range(len(FRAMES))} <= set(page)
    assert {name: data for name, data in repo.files.items() if name not in {".gitattributes", "notes.md"}} == page
    assert len(repo.commits) == 2
    command("static", tmp_path / "b", *arguments, "maker/new", "--private", "--title", "Mine")
    assert (hub.repos["spaces", "maker/new"].sdk, hub.repos["spaces", "maker/new"].private) == ("static", True)
    front = SpaceCard.load(tmp_path / "b" / "README.md").data
    assert (front.title, front.sdk, front.app_file) == ("Mine", "static", "index.html")


def test_the_page_of_the_shipped_faces_is_small(tmp_path: Path, command: Command) -> None:
    faces = load_checkpoint(ROOT / "checkpoints" / "faces")
    assert command("static", tmp_path / "out", "--checkpoint", faces.folder)[1].startswith("wrote")
    page = tree(tmp_path / "out")
    assert sum(map(len, page.values())) <= 20_000_000
    first = ("index.html", "kernel.wasm", "0/checkpoint.json", "0/generator.safetensors")
    assert sum(len(page[name]) for name in page if name in first or name.endswith((".js", ".css"))) <= 9_000_000
    frames = json.loads(page["0/checkpoint.json"])["replay"]["frames"]
    assert len([name for name in page if "snapshots/" in name]) == len(frames) <= 60
    assert frames[-1] == faces.snapshots[-1].images_seen


def test_the_time_machine_has_as_many_moments_as_fit(run, tmp_path, command, monkeypatch):
    command("static", tmp_path / "whole", "--checkpoint", run)
    page = tree(tmp_path / "whole")
    each = len(page["0/generator.safetensors"])
    checkpoint = sum(len(data) for name, data in page.items() if name.startswith("0/") and "moments" not in name)
    monkeypatch.setattr("dcgan.hub.static.ROOM", 0)
    for fit, kept in {3: [*MOMENTS], 2: [MOMENTS[0], MOMENTS[-1]], 0: []}.items():
        monkeypatch.setattr("dcgan.hub.static.MAX_SIZE", checkpoint + fit * each)
        assert command("static", tmp_path / str(fit), "--checkpoint", run)[0] == 0
        about = json.loads((tmp_path / str(fit) / "0" / "checkpoint.json").read_text())
        moments = sorted(int(file.stem) for file in (tmp_path / str(fit) / "0" / "moments").iterdir())
        assert about["summary"]["moments"] == moments == kept


@pytest.mark.parametrize(("source", "given", "reals"), [("avatars", False, 8), (None, False, 0), (None, True, 40)])
def test_real_images_are_published_where_they_are_drawn_or_given(
    run, photos, tmp_path, command, monkeypatch, source, given, reals
):
    if source:
        monkeypatch.setattr("dcgan.hub.static.MAX_REALS", reals)
    edit(run / "checkpoint", data={"source": source})
    flags = ["--dataroot", photos] if given else []
    assert command("static", tmp_path / "out", "--checkpoint", run, *flags)[0] == 0
    about = json.loads((tmp_path / "out" / "0" / "checkpoint.json").read_text())
    assert about.get("reals", {"count": 0})["count"] == reals
    if reals:
        with Image.open(tmp_path / "out" / "0" / "reals.webp") as sheet:
            assert sheet.size == (8 * 64, reals * 8)


def test_html_in_a_card_is_shown_and_not_obeyed(run: Path, tmp_path: Path, command: Command) -> None:
    text = "<script>alert(1)</script> [here](javascript:alert(1)) $title ${about}\n"
    (run / "checkpoint" / "README.md").write_text(text)
    assert command("static", tmp_path / "out", "--checkpoint", run)[0] == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    assert "$title ${about}" in page


def test_what_cannot_be_a_page_is_one_line_and_leaves_nothing(run: Path, tmp_path: Path, command: Command) -> None:
    def refusal(checkpoint: Path, *arguments: str) -> str:
        code, line = command("static", out, "--checkpoint", checkpoint, *arguments)
        assert (code, line[:8]) == (2, "static: ")
        return line

    out = tmp_path / "page"
    assert "no images at" in refusal(run, "--dataroot", "nothing")
    shutil.copytree(run, tmp_path / "broken")
    (tmp_path / "broken" / "checkpoint" / "directions.safetensors").write_bytes(b"x")
    assert "directions.safetensors" in refusal(tmp_path / "broken")
    assert not out.exists()
    assert "'maker/page' was not changed: you are not logged in" in refusal(run, "--push", "maker/page")
    assert (out / "index.html").is_file()  # the page stays
    assert "is there already: name a new folder" in refusal(run)
