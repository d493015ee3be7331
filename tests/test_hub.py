"""Checkpoints on the Hub and Spaces, with the real client against a stand-in for the Hub (tests/hub_stub.py)."""

import json
import math
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from gradio_client import Client
from httpx import HTTPError
from huggingface_hub import ModelCard, SpaceCard
from PIL import Image

from dcgan import CheckpointError, load_checkpoint, sample
from dcgan.demo.studio import Studio
from dcgan.direction import save_directions
from dcgan.hub.push import main
from dcgan.hub.space import problems
from tests.demo_fixtures import DIRECTIONS, FRAMES, MOMENTS, make_checkpoint
from tests.hub_stub import READER, TOKEN, Fault, Hub

WORKER = ("worker.js", "generator.js", "kernel.wasm")

ROOT = Path(__file__).parent.parent
FILES = [
    *("config.json", "discriminator.safetensors", "generator.safetensors", "directions.safetensors"),
    *("history.jsonl", "README.md"),
]
SNAPSHOTS = [f"snapshots/{seen:010d}.webp" for seen in FRAMES]
GENERATORS = [f"generators/{seen:010d}.safetensors" for seen in MOMENTS]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_checkpoint(tmp_path_factory.mktemp("made") / "people", moments=MOMENTS)
    save_directions(folder / "directions.safetensors", DIRECTIONS, load_checkpoint(folder).generator)
    return folder.parent


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A run folder, with a checkpoint and what else a run leaves."""
    shutil.copytree(made / "people", tmp_path / "run" / "checkpoint")
    (tmp_path / "run" / "state").mkdir()
    (tmp_path / "run" / "state" / "state.pt").write_bytes(b"not for others")
    return tmp_path / "run"


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged in as the user `maker`."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)


# The client's own way to upload bytes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """python -m dcgan.hub.push, as its exit code and what it says on stderr or, when all is well, on stdout."""

    def call(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        return code, out if code == 0 else [line for line in err.splitlines() if line.startswith("hub: ")][-1]

    return call


def edit(checkpoint: Path, **parts: dict) -> None:
    """Change parts of a config.json."""
    config = json.loads((checkpoint / "config.json").read_text())
    for part, values in parts.items():
        config[part] = {**config[part], **values} if part in config else values
    (checkpoint / "config.json").write_text(json.dumps(config))


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(source: str, **options: object) -> str:
    """The line with which `source` cannot be opened."""
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(source, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# To the Hub and back


@pytest.mark.usefixtures("maker")
def test_a_pushed_checkpoint_comes_back_byte_for_byte(hub: Hub, run: Path, command: Command) -> None:
    before = tree(run)
    code, said = command("push", run, "maker/faces")
    assert (code, said) == (0, f"{hub.url}/maker/faces\n")
    assert tree(run) == before
    local = tree(run / "checkpoint")
    back = tree(load_checkpoint("maker/faces").folder)
    assert sorted(back) == sorted([*FILES, *SNAPSHOTS, *GENERATORS])
    assert {n: d for n, d in back.items() if n != "README.md"} == {n: d for n, d in local.items() if n != "README.md"}
    assert back["README.md"].endswith(local["README.md"])  # below a front matter
    # What has come back and is pushed again is the same to the last byte, card included.
    pushed = dict(hub.repos["models", "maker/faces"].files)
    command("push", load_checkpoint("maker/faces").folder, "maker/again")
    assert hub.repos["models", "maker/again"].files == pushed


@pytest.mark.usefixtures("maker")
def test_a_push_is_one_commit_with_the_weights_in_lfs(hub: Hub, run: Path, command: Command) -> None:
    command("push", run, "maker/faces")
    repo = hub.repos["models", "maker/faces"]
    assert len(repo.commits) == 2  # the one that made it, and this one
    uploaded = {path.removeprefix("/lfs/") for method, path in hub.requests if method == "PUT"}
    assert {name for name, data in repo.files.items() if name.endswith(("safetensors", "webp"))} == {
        name for name, data in repo.files.items() if hub.oid(data) in uploaded
    }


def test_faces_from_the_hub_are_those_of_the_folder(hub: Hub, run: Path) -> None:
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    local, remote = (load_checkpoint(source) for source in (run, "maker/faces"))
    assert torch.equal(sample(local.generator, range(8)), sample(remote.generator, range(8)))
    assert remote.name == "people"
    assert [s.images_seen for s in remote.snapshots] == list(FRAMES)
    assert len(remote.history) == 40


def test_both_networks_of_a_revision_are_those_of_the_folder(hub: Hub, run: Path) -> None:
    repo = hub.add("models", "maker/faces", tree(run / "checkpoint"))
    for source, options in ((str(run), {}), ("maker/faces", {"revision": repo.names["main"]})):
        opened, checkpoint = load_checkpoint(source, **options), load_checkpoint(run)
        generator, discriminator = opened.generator, opened.discriminator
        assert not generator.training
        assert not discriminator.training
        for net, same in ((generator, checkpoint.generator), (discriminator, checkpoint.discriminator)):
            assert type(net) is type(same)
            assert all(
                torch.equal(a, b) for a, b in zip(net.state_dict().values(), same.state_dict().values(), strict=True)
            )


@pytest.mark.usefixtures("maker")
def test_a_later_push_replaces_what_is_ours_and_leaves_the_rest(hub: Hub, run: Path, command: Command) -> None:
    command("push", run, "maker/faces")
    repo = hub.repos["models", "maker/faces"]
    repo.commit({**repo.files, "notes.txt": b"by hand", "samples/a.webp": b"by hand"})
    (run / "checkpoint" / SNAPSHOTS[1]).unlink()
    (run / "checkpoint" / "snapshots" / "0000030000.webp").write_bytes(b"new")
    assert command("push", run, "maker/faces")[0] == 0
    names = set(repo.files)
    assert SNAPSHOTS[1] not in names
    assert {"snapshots/0000030000.webp", "notes.txt", "samples/a.webp", *FILES} <= names


@pytest.mark.usefixtures("maker")
def test_a_private_model_is_opened_by_its_owner_only(
    hub: Hub, run: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("push", run, "maker/secret", "--private")
    assert load_checkpoint("maker/secret").images_seen == 20_000
    shutil.rmtree(os.environ["DCGAN_CACHE"], ignore_errors=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(run / "empty"))
    monkeypatch.setenv("HF_TOKEN", READER)
    assert "has no model of that name, or it is private" in refusal("maker/secret")
    monkeypatch.delenv("HF_TOKEN")
    assert "you are not logged in" in refusal("maker/secret")
    assert load_checkpoint("maker/secret", token=TOKEN).images_seen == 20_000


def test_a_revision_is_the_checkpoint_as_it_was(hub: Hub, run: Path) -> None:
    files = tree(run / "checkpoint")
    repo = hub.add("models", "maker/faces", files)
    first = repo.names["v1"] = repo.names["main"]
    newer = json.loads(files["config.json"]) | {"images_seen": 30_000}
    repo.commit({**files, "config.json": json.dumps(newer).encode()})
    assert load_checkpoint("maker/faces").images_seen == 30_000
    for revision in ("v1", first):
        assert load_checkpoint(f"maker/faces@{revision}").images_seen == 20_000
        assert load_checkpoint("maker/faces", revision=revision).images_seen == 20_000
    assert refusal("maker/faces@v9").endswith("has no such revision on the Hub")


def test_a_folder_comes_before_the_hub(hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    assert load_checkpoint("run/checkpoint").folder == (run / "checkpoint").resolve()
    assert "no config.json" in refusal("run/state")
    assert hub.requests == []


def test_the_demo_opens_a_model_on_the_hub(hub: Hub, run: Path) -> None:
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    studio = Studio("maker/faces")
    assert studio.checkpoints.names == ["people"]
    assert np.array_equal(studio.face(3), sample(load_checkpoint(run).generator, [3]).numpy()[0])


# The card


@pytest.mark.usefixtures("maker")
def test_the_card_says_all_that_the_hub_reads(hub: Hub, run: Path, command: Command) -> None:
    metrics = {"fid": 12.5, "kid": 0.01, "swd": math.nan}
    edit(run / "checkpoint", data={"hub": "py97/UTKFace-Cropped@main/x.tar"}, metrics=metrics)
    (run / "checkpoint" / "README.md").write_text('---\ntags: [mine]\n---\n# Faces\nload_checkpoint("PATH")\n')
    command("push", run, "maker/faces")
    card = ModelCard(hub.repos["models", "maker/faces"].files["README.md"].decode())
    assert card.data.to_dict() == {
        "tags": ["mine"],
        "library_name": "dcgan",
        "pipeline_tag": "unconditional-image-generation",
        "datasets": ["py97/UTKFace-Cropped"],
        "license": "other",
        "license_name": "terms-of-the-data",
        "metrics": ["fid", "kid"],
        "model-index": [
            {
                "name": "people",
                "results": [
                    {
                        "task": {"type": "unconditional-image-generation"},
                        "dataset": {"name": "people set", "type": "py97/UTKFace-Cropped"},
                        "metrics": [{"type": "fid", "value": 12.5}, {"type": "kid", "value": 0.01}],
                    }
                ],
            }
        ],
    }
    assert card.text.strip() == '# Faces\nload_checkpoint("maker/faces")'


@pytest.mark.usefixtures("maker")
@pytest.mark.parametrize(
    ("terms", "flag", "written", "expected"),
    [
        ("cc-by-nc-4.0", None, None, ("cc-by-nc-4.0", None)),
        ("ask me first", None, None, ("other", "terms-of-the-data")),
        (None, None, None, ("other", "terms-of-the-data")),
        ("ask me first", None, "apache-2.0", ("apache-2.0", None)),
        ("ask me first", "mit", "apache-2.0", ("mit", None)),
    ],
)
def test_the_licence_is_the_flags_then_the_authors_then_the_datas(
    hub: Hub, run: Path, command: Command, terms: str, flag: str, written: str, expected: tuple
) -> None:
    edit(run / "checkpoint", data={"license": terms})
    if written:
        (run / "checkpoint" / "README.md").write_text(f"---\nlicense: {written}\n---\n# Faces\n")
    command("push", run, "maker/faces", *(["--license", flag] if flag else []))
    card = ModelCard(hub.repos["models", "maker/faces"].files["README.md"].decode())
    assert (card.data.license, card.data.license_name) == expected


@pytest.mark.usefixtures("maker")
def test_a_checkpoint_without_a_card_gets_one(hub: Hub, run: Path, command: Command) -> None:
    (run / "checkpoint" / "README.md").unlink()
    assert command("push", run, "maker/faces")[0] == 0
    card = ModelCard(hub.repos["models", "maker/faces"].files["README.md"].decode())
    assert card.data.library_name == "dcgan"
    assert card.text.strip() == "# people"


# What can go wrong on the way there


@pytest.mark.parametrize(
    ("token", "repo", "faults", "said"),
    [
        (None, "maker/faces", [], "you are not logged in to the Hub: `hf auth login`, or set HF_TOKEN"),
        ("hf_wrong", "maker/faces", [], "does not know your token"),
        (READER, "maker/faces", [], "your token may not do that there"),
        (TOKEN, "maker/faces", [Fault("/create", status=429)], "patience after too many requests"),
        (TOKEN, "maker/faces", [Fault("/commit/", status=503)], "the Hub itself is in trouble (status 503)"),
        (TOKEN, "maker/faces", [Fault("^/lfs/", status=403)], "Error while uploading"),
    ],
)
def test_a_push_that_fails_is_one_line_and_leaves_nothing(
    hub: Hub,
    run: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    repo: str,
    faults: list[Fault],
    said: str,
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.faults = faults
    code, line = command("push", run, repo)
    assert code == 2
    assert line.startswith(f"hub: '{repo}' was not changed: ")
    assert said in line
    assert "signature" not in line
    left = hub.repos.get(("models", repo))
    assert left is None or list(left.files) == [".gitattributes"]


@pytest.mark.usefixtures("maker")
def test_a_push_without_a_network_is_one_line(hub: Hub, run: Path, command: Command) -> None:
    with hub.unreachable():
        code, line = command("push", run, "maker/faces")
    assert code == 2
    assert "the Hub cannot be reached" in line


@pytest.mark.usefixtures("maker")
def test_a_card_that_the_hub_does_not_take_is_one_line(hub: Hub, run: Path, command: Command) -> None:
    (run / "checkpoint" / "README.md").write_text("---\nlicense: [1, 2]\n---\n")
    code, line = command("push", run, "maker/faces")
    assert code == 2
    assert '"license" must be a string' in line


@pytest.mark.parametrize("arguments", [("push", "RUN", "faces"), ("push", "RUN", "a/b/c"), ("space", "../x"), ()])
def test_a_name_that_cannot_be_is_refused_before_anything_is_asked(
    hub: Hub, run: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main([str(run) if a == "RUN" else a for a in arguments])
    assert raised.value.code == 2
    assert hub.requests == []


@pytest.mark.usefixtures("maker")
def test_a_run_without_a_checkpoint_is_one_line(hub: Hub, tmp_path: Path, command: Command) -> None:
    code, line = command("push", tmp_path, "maker/faces")
    assert code == 2
    assert "no checkpoint at" in line
    assert hub.repos == {}


# What can go wrong on the way back


def test_a_typo_is_answered_with_both_places(hub: Hub) -> None:
    line = refusal("checkpoints/fases")
    assert "no checkpoint at 'checkpoints/fases': there is no such folder here, and the Hub has no model" in line


@pytest.mark.parametrize(("token", "said"), [(None, "ask for access on its page"), (READER, "ask for access")])
def test_a_gated_model_says_where_to_ask(
    hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch, token: str | None, said: str
) -> None:
    hub.add("models", "maker/faces", tree(run / "checkpoint"), gated=True)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    assert said in refusal("maker/faces")


@pytest.mark.parametrize(("status", "said"), [(429, "patience"), (500, "in trouble"), (403, "forbids")])
def test_a_hub_in_trouble_is_one_line(hub: Hub, run: Path, status: int, said: str) -> None:
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    hub.faults = [Fault("/api/", status=status)]
    assert said in refusal("maker/faces")


def test_a_wrong_token_is_one_line(hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    line = refusal("maker/faces")
    assert "does not know your token" in line
    assert "hf_wrong" not in line


def test_without_a_network_what_is_in_the_cache_is_opened(hub: Hub, run: Path) -> None:
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    online = load_checkpoint("maker/faces")
    with hub.unreachable():
        offline = load_checkpoint("maker/faces")
        assert tree(offline.folder) == tree(online.folder)
        assert "the Hub cannot be reached, and its cache has no whole model of that name" in refusal("maker/other")


def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    hub.faults = [Fault("/cdn/", times=3, cut=50_000)]
    checkpoint = load_checkpoint("maker/faces")
    assert tree(checkpoint.folder) == tree(run / "checkpoint")
    weights = (run / "checkpoint" / "generator.safetensors").read_bytes()
    assert hub.sent[hub.oid(weights)] == len(weights)


def test_a_download_that_never_ends_leaves_nothing_that_is_taken_for_whole(hub: Hub, run: Path) -> None:
    files = tree(run / "checkpoint")
    hub.add("models", "maker/faces", files)
    hub.faults = [Fault(f"/cdn/{hub.oid(files['generator.safetensors'])}", cut=0)]
    assert "no checkpoint at 'maker/faces'" in refusal("maker/faces")
    with hub.unreachable():
        assert "the Hub cannot be reached" in refusal("maker/faces")
    hub.faults = []
    assert tree(load_checkpoint("maker/faces").folder) == files


def test_a_model_of_another_program_is_refused(hub: Hub) -> None:
    hub.add("models", "some/bert", {"config.json": b'{"architectures": ["Bert"]}', "model.safetensors": b"x" * 99})
    line = refusal("some/bert")
    assert line == "'some/bert' on the Hub is no checkpoint of this program: it has no generator.safetensors"
    assert not any("model.safetensors" in path for _, path in hub.requests)


def test_pickles_are_refused_and_never_fetched(hub: Hub, run: Path) -> None:
    config = (run / "checkpoint" / "config.json").read_bytes()
    hub.add("models", "old/gan", {"config.json": config, "netG.pth": b"cos\nsystem\n", "pytorch_model.bin": b"x"})
    line = refusal("old/gan")
    assert "pickles (netG.pth, pytorch_model.bin) are never read" in line
    assert not any("/resolve/" in path and path.endswith((".pth", ".bin")) for _, path in hub.requests)


def test_weights_that_are_damaged_on_the_hub_are_one_line(hub: Hub, run: Path) -> None:
    files = tree(run / "checkpoint")
    hub.add("models", "maker/faces", {**files, "generator.safetensors": files["generator.safetensors"][:1000]})
    assert "is damaged" in refusal("maker/faces")


@pytest.mark.parametrize("name", ["snapshots/../../../../../evil.webp", "../evil/README.md", "/evil.webp"])
def test_no_name_from_the_hub_leads_out_of_the_cache(hub: Hub, run: Path, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    hub.add("models", "maker/faces", {**tree(run / "checkpoint"), name: b"evil"})
    try:
        load_checkpoint("maker/faces")
    except CheckpointError as error:
        assert "\n" not in str(error)
    new = {path for path in tmp_path.rglob("*") if path not in before and "hub-cache" not in path.parts}
    assert new == set()
    assert not list((tmp_path / "hub-cache").rglob("evil.webp"))


def test_a_token_goes_to_the_hub_and_no_further(hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("models", "maker/faces", tree(run / "checkpoint"), private=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    load_checkpoint("maker/faces")
    assert len(hub.cdn_tokens) >= 6
    assert set(hub.cdn_tokens) == {None}


def test_only_what_needs_the_client_imports_it() -> None:
    """Training and the rest run without it: they import it, if at all, where they use it."""
    eager = re.compile(r"^(from|import) (huggingface_hub|dcgan\.(hub\.(?!pull)|data\.hub))\b", re.MULTILINE)
    users = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("dcgan/**/*.py") if eager.search(path.read_text())}
    assert {name for name in users if not name.startswith("dcgan/hub/")} == {"dcgan/hub_errors.py", "dcgan/data/hub.py"}


# A Space


def test_a_space_holds_what_the_demo_needs_and_nothing_else(run: Path, tmp_path: Path, command: Command) -> None:
    assert command("space", "maker/demo", "--checkpoint", run, "--out", tmp_path / "space")[0] == 0
    names = set(tree(tmp_path / "space"))
    ours = {"app.py", "LICENSE", "README.md", "requirements.txt", "thumbnail.jpg"}
    assert {name for name in names if "/" not in name} == ours
    assert {f"checkpoints/0-people/{name}" for name in [*FILES, *SNAPSHOTS, *GENERATORS]} == {
        name for name in names if name.startswith("checkpoints/")
    }
    code = {name for name in names if name.startswith("dcgan/")}
    assert {"dcgan/__init__.py", "dcgan/demo/studio.py", "dcgan/demo/tabs/explore.py", "dcgan/data/hub.py"} <= code
    assert {f"dcgan/demo/explorer/{name}" for name in ("explorer.js", *WORKER)} <= code
    assert not {"dcgan/training/loop.py", "dcgan/training/losses.py", "train.py"} & names
    assert "datasets>=" in (tmp_path / "space" / "requirements.txt").read_text()


def test_the_front_matter_of_a_space_is_complete(hub: Hub, run: Path, tmp_path: Path, command: Command) -> None:
    edit(run / "checkpoint", data={"hub": "py97/UTKFace-Cropped"})
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    command("space", "maker/demo", "--checkpoint", "maker/faces", "--title", "Mine", "--out", tmp_path / "space")
    front = SpaceCard((tmp_path / "space" / "README.md").read_text()).data.to_dict()
    assert front["title"] == "Mine"
    assert front["models"] == front["preload_from_hub"] == ["maker/faces"]
    assert front["datasets"] == ["py97/UTKFace-Cropped"]
    assert front["thumbnail"] == "https://huggingface.co/spaces/maker/demo/resolve/main/thumbnail.jpg"
    assert front["sdk"] == "gradio"
    assert problems(tmp_path / "space") == []
    assert not (tmp_path / "space" / "checkpoints").exists()


def test_a_revision_of_a_model_goes_along(hub: Hub, run: Path, tmp_path: Path, command: Command) -> None:
    sha = hub.add("models", "maker/faces", tree(run / "checkpoint")).names["main"]
    command("space", "maker/demo", "--checkpoint", f"maker/faces@{sha}", "--out", tmp_path / "space")
    assert (tmp_path / "space" / "checkpoints" / "0-people" / "generator.safetensors").is_file()
    assert "models" not in SpaceCard((tmp_path / "space" / "README.md").read_text()).data.to_dict()


def test_a_folder_of_checkpoints_makes_a_space_of_them_all(made: Path, tmp_path: Path, command: Command) -> None:
    for name, written in (("a", "../../climber"), ("b", "people"), ("c", "people")):
        shutil.copytree(made / "people", tmp_path / "all" / name)
        config = json.loads((made / "people" / "config.json").read_text()) | {"name": written}
        (tmp_path / "all" / name / "config.json").write_text(json.dumps(config))
    command("space", "maker/demo", "--checkpoint", tmp_path / "all", "--out", tmp_path / "deep" / "er" / "space")
    found = {path.parent.name for path in tmp_path.rglob("generator.safetensors") if "all" not in path.parts}
    assert found == {"0-climber", "1-people", "2-people"}
    assert len(Studio(tmp_path / "deep" / "er" / "space" / "checkpoints").checkpoints.names) == 3


@pytest.mark.usefixtures("maker")
def test_a_space_is_uploaded_in_one_commit_and_replaces_an_older_one(hub: Hub, run: Path, command: Command) -> None:
    old = {"dcgan/gone.py": b"", "checkpoints/old/config.json": b"{}", "notes.md": b"mine"}
    repo = hub.add("spaces", "maker/demo", old, sdk="gradio")
    code, said = command("space", "maker/demo", "--checkpoint", run)
    assert (code, said) == (0, f"{hub.url}/spaces/maker/demo\n")
    assert len(repo.commits) == 2
    assert "notes.md" in repo.files
    assert not {"dcgan/gone.py", "checkpoints/old/config.json"} & set(repo.files)
    assert "checkpoints/0-people/generator.safetensors" in repo.files
    command("space", "maker/new", "--checkpoint", run, "--private")
    assert (hub.repos["spaces", "maker/new"].sdk, hub.repos["spaces", "maker/new"].private) == ("gradio", True)


@pytest.mark.parametrize("there", ["folder", "file"])
def test_a_space_is_not_written_over_anything(run: Path, tmp_path: Path, command: Command, there: str) -> None:
    out = tmp_path / "out"
    if there == "folder":
        out.mkdir()
        (out / "precious.txt").write_text("x")
    else:
        out.write_text("x")
    code, line = command("space", "maker/demo", "--checkpoint", run, "--out", out)
    assert code == 2
    assert "is there already" in line
    assert (out / "precious.txt" if there == "folder" else out).read_text() == "x"


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_errors_are_one_line_when_it_runs_as_a_module_too(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint", str(run), "--title", "\n", "--out", str(tmp_path / "space")]
    monkeypatch.setattr("sys.argv", ["hub", "space", "maker/demo", *arguments])
    with pytest.raises(SystemExit) as raised:
        runpy.run_module("dcgan.hub.push", run_name="__main__")
    assert raised.value.code == 2
    assert capsys.readouterr().err.startswith("hub: the Hub would not take this Space: title must not be")
    assert not (tmp_path / "space").exists()


@pytest.mark.usefixtures("maker")
def test_a_private_model_is_not_preloaded(hub: Hub, run: Path, tmp_path: Path, command: Command) -> None:
    hub.add("models", "maker/own", tree(run / "checkpoint"), private=True)
    command("space", "maker/demo", "--checkpoint", "maker/own", "--out", tmp_path / "space")
    front = SpaceCard((tmp_path / "space" / "README.md").read_text()).data.to_dict()
    assert (front["models"], front.get("preload_from_hub")) == (["maker/own"], None)


def test_a_space_of_nothing_is_one_line(tmp_path: Path, command: Command) -> None:
    code, line = command("space", "maker/demo", "--checkpoint", tmp_path, "--out", tmp_path / "space")
    assert code == 2
    assert "no checkpoint at" in line
    assert not (tmp_path / "space").exists()


FRONT = SpaceCard((ROOT / "README.md").read_text()).data.to_dict()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"sdk": "streamlit"}, "sdk must not be 'streamlit'"),
        ({"sdk_version": "5.0.0"}, "sdk_version is not the gradio"),
        ({"python_version": 3.10}, "python_version must not be 3.1"),
        ({"python_version": None}, "python_version is missing"),
        ({"app_file": "main.py"}, "app_file is not there"),
        ({"colorFrom": "teal"}, "colorFrom must not be 'teal'"),
        ({"short_description": "x" * 61}, "short_description must not be"),
        ({"license": "My Own"}, "license must not be 'My Own'"),
        ({"thumbnail": "thumbnail.jpg"}, "thumbnail must not be"),
        ({"thumbnail": "https://example.org/a.jpg"}, None),
        ({"models": ["faces"]}, "models must not be 'faces'"),
        ({"datasets": ["py97/UTKFace-Cropped@main"]}, "datasets must not be"),
        ({"preload_from_hub": ["maker/faces generator.safetensors,config.json"]}, None),
        ({"preload_from_hub": [f"maker/faces config.json {'a' * 40}"]}, None),
        ({"preload_from_hub": ["maker/faces config.json main"]}, "preload_from_hub must not be"),
    ],
)
def test_what_the_hub_would_not_take_is_named(tmp_path: Path, change: dict, said: str | None) -> None:
    front = {key: value for key, value in {**FRONT, **change}.items() if value is not None}
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump(front)}---\n")
    for name in ("requirements.txt", "app.py"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    wrong = problems(tmp_path)
    assert wrong == [] if said is None else len(wrong) == 1 and said in wrong[0], wrong


def test_a_large_file_outside_lfs_is_named(run: Path, tmp_path: Path, command: Command) -> None:
    with (run / "checkpoint" / "history.jsonl").open("ab") as file:
        file.truncate(10_000_001)
    code, line = command("space", "maker/demo", "--checkpoint", run, "--out", tmp_path / "space")
    assert code == 2
    assert "history.jsonl is larger than 10 MB" in line
    assert not (tmp_path / "space").exists()


def test_a_space_starts_by_itself_and_streams_its_reals(
    hub: Hub, run: Path, photos: Path, tmp_path: Path, command: Command
) -> None:
    edit(run / "checkpoint", data={"hub": "some/photos"})
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    hub.add("datasets", "some/photos", tree(photos))
    command("space", "maker/demo", "--checkpoint", "maker/faces", "--out", tmp_path / "space")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "SYSTEM": "spaces",
        "SPACE_ID": "maker/demo",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(tmp_path / "served"),
        "HF_HOME": str(tmp_path / "home"),
    }
    with (tmp_path / "log").open("w") as log:
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=tmp_path / "space", env=environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 600

        def awaited(answer: Callable[[], Any]) -> Any:
            """The answer, once there is one."""
            while time.monotonic() < deadline and app.poll() is None:
                with suppress(OSError, ValueError, HTTPError):
                    if (found := answer()) is not None:
                        return found
                time.sleep(0.2)
            raise AssertionError((tmp_path / "log").read_text())

        client = awaited(lambda: Client(f"http://127.0.0.1:{port}", verbose=False))
        (about,) = client.predict(api_name="/checkpoints")
        assert (about["name"], about["images_seen"]) == ("people", 20_000)
        real, _, note = awaited(
            lambda: got if "at hand" in (got := client.predict(api_name="/real_vs_fake"))[2] else None
        )
        assert "40 pictures at hand" in note
        with Image.open(real) as grid:
            assert grid.size == (512, 320)
    finally:
        app.terminate()
        app.wait()


def test_the_workflow_mirrors_the_repository_to_a_space(hub: Hub, tmp_path: Path) -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "space.yml").read_text())
    (job,) = workflow["jobs"].values()
    upload = job["steps"][-1]
    for name in ("README.md", "app.py", "dcgan/demo/studio.py", "docs/faces.webp", ".github/workflows/space.yml"):
        (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / "clone" / name)
    (tmp_path / "clone" / ".git").mkdir()
    (tmp_path / "clone" / ".git" / "config").write_text("secret")
    repo = hub.add("spaces", "maker/demo", {"dcgan/gone.py": b""}, sdk="gradio")
    assert set(upload["env"]) == {"SPACE", "HF_TOKEN"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    about = {"PATH": path, "SPACE": "maker/demo", "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", upload["run"]],
        cwd=tmp_path / "clone",
        env={**os.environ, **about},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(repo.files) == [".gitattributes", "README.md", "app.py", "dcgan/demo/studio.py", "docs/faces.webp"]
