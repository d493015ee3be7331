"""A Gradio Space: what is written, what is uploaded, and that its app starts from the folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from gradio_client import Client
from huggingface_hub import SpaceCard

from dcgan.checkpoint import find_checkpoints, load_checkpoint
from dcgan.data import DataError
from dcgan.demo.real_images import RealImages
from tests.demo_fixtures import PATIENT, program
from tests.hub.conftest import Command, edit
from tests.hub_stub import TOKEN, Fault, Hub, tree

ROOT = Path(__file__).parents[2]


def front_matter(space: Path) -> dict:
    return SpaceCard.load(space / "README.md").data.to_dict()


def test_a_space_holds_what_the_demo_needs_and_nothing_else(run: Path, tmp_path: Path, command: Command) -> None:
    space = tmp_path / "deep" / "er" / "space"
    assert command("space", "maker/demo", "--checkpoint", run, "--out", space)[0] == 0
    names = set(tree(space))
    assert {name.partition("/")[0] for name in names} == {
        *("app.py", "checkpoints", "dcgan", "LICENSE", "README.md", "requirements.txt", "thumbnail.jpg")
    }
    assert set(tree(space / "checkpoints")) == {f"0-people/{name}" for name in tree(run / "checkpoint")}
    program = {f"dcgan/{name}" for name in tree(ROOT / "dcgan") if not name.endswith(".pyc")}
    assert {name for name in names if name.startswith("dcgan/")} == {
        name for name in program if not name.startswith("dcgan/training/")
    }
    assert "datasets>=" in (space / "requirements.txt").read_text()


def test_a_space_of_a_model_on_the_hub_downloads_it_and_starts(hub, run, tmp_path, command):
    edit(run / "checkpoint", data={"hub": "py97/UTKFace-Cropped@main"})
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    space = tmp_path / "space"
    command("space", "maker/demo", "--checkpoint", "maker/faces", "--title", "Mine", "--out", space)
    front = front_matter(space)
    assert front["title"] == "Mine"
    assert front["models"] == front["preload_from_hub"] == ["maker/faces"]
    assert front["datasets"] == ["py97/UTKFace-Cropped"]
    assert front["thumbnail"] == "https://huggingface.co/spaces/maker/demo/resolve/main/thumbnail.jpg"
    assert not (space / "checkpoints").exists()

    environment = {"GRADIO_TEMP_DIR": str(tmp_path / "served"), "HF_HOME": str(tmp_path / "home")}
    environment |= {"SYSTEM": "spaces", "SPACE_ID": "maker/demo"}
    with program(tmp_path / "log", folder=space, ready="Running on", **environment) as app:
        (about_it,) = Client(app.url, verbose=False, httpx_kwargs=PATIENT).predict(api_name="/checkpoints")
    assert (about_it["name"], about_it["images_seen"]) == ("people", 20_000)


def test_a_space_streams_its_real_images_and_elsewhere_no_request_is_sent(hub, run, photos, monkeypatch):
    monkeypatch.setattr("dcgan.demo.real_images.PATIENCE", 120)
    edit(run / "checkpoint", data={"hub": "hf://datasets/some/photos"})
    hub.add("datasets", "some/photos", tree(photos))
    checkpoint, images = load_checkpoint(run), RealImages(None)
    with pytest.raises(DataError, match="not on this machine"):
        images.get(checkpoint)
    assert hub.requests == []
    monkeypatch.setenv("SPACE_ID", "maker/demo")
    with hub.unreachable(), pytest.raises(DataError, match="the Hub cannot be reached"):
        images.get(checkpoint)
    assert len(images.get(checkpoint)) == 40


@pytest.mark.usefixtures("maker")
def test_a_private_model_is_not_preloaded_and_a_revision_is_copied(hub, run, tmp_path, command):
    sha = hub.add("models", "maker/own", tree(run / "checkpoint"), private=True).names["main"]
    command("space", "maker/demo", "--checkpoint", "maker/own", "--out", tmp_path / "a")
    front = front_matter(tmp_path / "a")
    assert front["models"] == ["maker/own"]
    assert "preload_from_hub" not in front
    command("space", "maker/demo", "--checkpoint", f"maker/own@{sha}", "--out", tmp_path / "b")
    assert (tmp_path / "b" / "checkpoints" / "0-people" / "generator.safetensors").is_file()
    assert "models" not in front_matter(tmp_path / "b")


def test_a_folder_of_checkpoints_makes_a_space_of_them_all(made: Path, tmp_path: Path, command: Command) -> None:
    for folder, name in (("a", "../../climber"), ("b", "people"), ("c", "people")):
        shutil.copytree(made, tmp_path / "all" / folder)
        config = json.loads((made / "config.json").read_text()) | {"name": name}
        (tmp_path / "all" / folder / "config.json").write_text(json.dumps(config))
    command("space", "maker/demo", "--checkpoint", tmp_path / "all", "--out", tmp_path / "space")
    found = find_checkpoints(tmp_path / "space" / "checkpoints")
    assert [folder.name for folder in found] == ["0-climber", "1-people", "2-people"]
    assert [load_checkpoint(folder).images_seen for folder in found] == [20_000] * 3


@pytest.mark.usefixtures("maker")
def test_a_space_is_uploaded_in_one_commit_and_replaces_an_older_one(hub: Hub, run: Path, command: Command) -> None:
    old = {"dcgan/gone.py": b"", "checkpoints/old/config.json": b"{}", "notes.md": b"mine"}
    repo = hub.add("spaces", "maker/demo", old, sdk="gradio")
    assert command("space", "maker/demo", "--checkpoint", run) == (0, f"{hub.url}/spaces/maker/demo\n")
    assert len(repo.commits) == 2
    assert {"notes.md", "app.py", "checkpoints/0-people/generator.safetensors"} <= set(repo.files)
    assert not {"dcgan/gone.py", "checkpoints/old/config.json"} & set(repo.files)
    command("space", "maker/new", "--checkpoint", run, "--private")
    assert (hub.repos["spaces", "maker/new"].sdk, hub.repos["spaces", "maker/new"].private) == ("gradio", True)


@pytest.mark.usefixtures("maker")
def test_a_space_has_the_hardware_that_was_asked_for(hub: Hub, run: Path, command: Command) -> None:
    for _ in range(2):  # made, and there already
        assert command("space", "maker/zero", "--checkpoint", run, "--hardware", "zero-a10g")[0] == 0
        assert hub.repos["spaces", "maker/zero"].hardware == "zero-a10g"
        hub.repos["spaces", "maker/zero"].hardware = None
    front = SpaceCard(hub.repos["spaces", "maker/zero"].files["README.md"].decode()).data.to_dict()
    assert (front["suggested_hardware"], front["python_version"]) == ("zero-a10g", "3.12")


@pytest.mark.usefixtures("maker")
@pytest.mark.parametrize("status", [402, 403])
def test_hardware_that_an_account_cannot_have_is_one_line_with_the_free_ways(hub, run, command, status):
    hub.faults = [Fault("repos/create", status=status)]
    code, line = command("space", "maker/demo", "--checkpoint", run)
    assert (code, "\n" in line) == (2, False)
    assert f"dcgan static OUT --checkpoint {run} --push maker/demo" in line
    assert f"dcgan space maker/demo --checkpoint {run} --hardware zero-a10g" in line


def test_what_cannot_be_a_space_is_one_line_and_leaves_nothing(run: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    with pytest.raises(SystemExit):
        command("space", "maker/demo", "--out", out, "--checkpoint", run, "--title", " ")
    assert not out.exists()
    file = out / "precious.txt"
    out.mkdir()
    file.write_text("x")
    for there in (out, file):
        code, line = command("space", "maker/demo", "--out", there, "--checkpoint", run)
        assert (code, line) == (2, f"space: '{there}' is there already: name a new folder")
    assert file.read_text() == "x"


def test_the_workflow_mirrors_the_repository_to_a_space(hub: Hub, tmp_path: Path) -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "space.yml").read_text())
    static, upload = [step for step in workflow["jobs"]["mirror"]["steps"] if "env" in step]
    assert static["env"] == upload["env"]
    assert set(upload["env"]) == {"SPACE", "HF_TOKEN"}
    assert (static["if"], upload["if"]) == ("vars.SPACE_KIND == 'static'", "vars.SPACE_KIND != 'static'")
    assert "dcgan static page --push" in static["run"]
    clone = tmp_path / "clone"
    for name in ("README.md", "app.py", "dcgan/model.py", ".github/workflows/space.yml", ".git/config"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("---\ntitle: Faces\n---\n")
    repo = hub.add("spaces", "maker/demo", {"dcgan/gone.py": b""}, sdk="gradio")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    about = {"PATH": path, "SPACE": "maker/demo", "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home")}
    shell = ["bash", "-euo", "pipefail", "-c", upload["run"]]
    subprocess.run(shell, cwd=clone, env={**os.environ, **about}, capture_output=True, check=True)
    assert sorted(repo.files) == [".gitattributes", "README.md", "app.py", "dcgan/model.py"]
