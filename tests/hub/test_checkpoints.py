"""Checkpoints on the Hub: the real client against a stand-in for the Hub (tests/hub_stub.py)."""

import json
import math
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from dcgan import CheckpointError, Discriminator, Generator, load_checkpoint
from dcgan.checkpoint import FILES
from dcgan.hub.pull import from_pretrained
from dcgan.model import fingerprint
from tests.demo_fixtures import FRAMES, MOMENTS
from tests.hub.conftest import Command, edit
from tests.hub_stub import READER, TOKEN, Fault, Hub, oid, tree

NAMES = {
    *(name for name in FILES if "*" not in name),
    *(f"snapshots/{seen:010d}.webp" for seen in FRAMES),
    *(f"generators/{seen:010d}.safetensors" for seen in MOMENTS),
}


def refusal(source: str) -> str:
    """The line with which `source` cannot be opened."""
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(source)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# To the Hub and back


@pytest.mark.usefixtures("maker")
def test_a_pushed_checkpoint_comes_back_byte_for_byte(hub: Hub, run: Path, command: Command) -> None:
    before = tree(run)
    assert command("push", run, "maker/faces") == (0, f"{hub.url}/maker/faces\n")
    assert tree(run) == before
    local, back = tree(run / "checkpoint"), tree(load_checkpoint("maker/faces").folder)
    assert set(back) == NAMES
    assert back.pop("README.md").endswith(local.pop("README.md"))  # below a front matter
    assert back == local
    command("push", "maker/faces", "maker/again")
    assert hub.repos["models", "maker/again"].files == hub.repos["models", "maker/faces"].files


@pytest.mark.usefixtures("maker")
def test_a_push_is_one_commit_that_replaces_an_older_checkpoint(hub: Hub, run: Path, command: Command) -> None:
    older = {"snapshots/0000000009.webp": b"", "directions.safetensors": b"", "notes.txt": b"", "samples/a.webp": b""}
    repo = hub.add("models", "maker/faces", older)
    (run / "checkpoint" / "directions.safetensors").unlink()
    assert command("push", run, "maker/faces")[0] == 0
    assert len(repo.commits) == 2
    assert set(repo.files) == NAMES - {"directions.safetensors"} | {".gitattributes", "notes.txt", "samples/a.webp"}


@pytest.mark.usefixtures("maker")
def test_no_link_that_leaves_the_folder_is_pushed(hub, run, tmp_path, command):
    (tmp_path / "secret").write_bytes(b"secret of this machine")
    (run / "checkpoint" / "snapshots" / "0000000007.webp").symlink_to(tmp_path / "secret")
    code, line = command("push", run, "maker/faces")
    assert (code, "is a link out of the checkpoint" in line, hub.requests) == (2, True, [])


def test_a_private_model_is_opened_by_its_owner_only(hub, run, monkeypatch, command):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    command("push", run, "maker/secret", "--private")
    monkeypatch.setenv("HF_TOKEN", READER)
    assert "has no model of that name, or it is private" in refusal("maker/secret")
    monkeypatch.delenv("HF_TOKEN")
    assert "you are not logged in" in refusal("maker/secret")
    assert load_checkpoint("maker/secret", token=TOKEN).images_seen == 20_000
    assert set(hub.cdn_tokens) == {None}  # a token goes to the Hub and no further


def test_a_revision_is_the_checkpoint_as_it_was(hub: Hub, run: Path) -> None:
    files = tree(run / "checkpoint")
    repo = hub.add("models", "maker/faces", files)
    first = repo.names["v1"] = repo.names["main"]
    newer = json.loads(files["config.json"]) | {"images_seen": 30_000}
    repo.commit({**files, "config.json": json.dumps(newer).encode()})
    assert load_checkpoint("maker/faces").images_seen == 30_000
    assert load_checkpoint("maker/faces@v1").images_seen == 20_000
    assert load_checkpoint("maker/faces", revision=first).images_seen == 20_000
    for kind in (Generator, Discriminator):
        local, remote = from_pretrained(kind, run), from_pretrained(kind, "maker/faces@v1")
        assert type(remote) is kind
        assert fingerprint(remote) == fingerprint(local)
    assert refusal("maker/faces@v9").endswith("has no such revision on the Hub")


def test_without_a_network_what_is_in_the_cache_is_opened(hub: Hub, run: Path) -> None:
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    online = load_checkpoint("maker/faces")
    with hub.unreachable():
        assert tree(load_checkpoint("maker/faces").folder) == tree(online.folder)
        assert "the Hub cannot be reached, and its cache has no whole model of that name" in refusal("maker/other")


def test_a_connection_that_breaks_off_is_as_no_network(hub: Hub, run: Path) -> None:
    hub.add("models", "maker/faces", tree(run / "checkpoint"))
    online = load_checkpoint("maker/faces")
    hub.faults.append(Fault("maker/", silent=True))
    assert tree(load_checkpoint("maker/faces").folder) == tree(online.folder)
    assert "the Hub cannot be reached" in refusal("maker/other")


# The card


@pytest.mark.usefixtures("maker")
def test_the_card_says_all_that_the_hub_reads(hub: Hub, run: Path, command: Command) -> None:
    metrics = {"fid": 12.5, "kid": 0.01, "swd": math.nan}
    edit(run / "checkpoint", data={"hub": "py97/UTKFace-Cropped@main/x.tar"}, metrics=metrics)
    (run / "checkpoint" / "README.md").write_text('---\ntags: [mine]\n---\n# Faces\nload_checkpoint("PATH")\n')
    command("push", run, "maker/faces")
    card = ModelCard(hub.repos["models", "maker/faces"].files["README.md"].decode())
    result = {
        "task": {"type": "unconditional-image-generation"},
        "dataset": {"name": "people set", "type": "py97/UTKFace-Cropped"},
        "metrics": [{"type": "fid", "value": 12.5}, {"type": "kid", "value": 0.01}],
    }
    assert card.data.to_dict() == {
        "tags": ["mine"],
        "library_name": "dcgan",
        "pipeline_tag": "unconditional-image-generation",
        "datasets": ["py97/UTKFace-Cropped"],
        "license": "other",
        "license_name": "terms-of-the-data",
        "metrics": ["fid", "kid"],
        "model-index": [{"name": "people", "results": [result]}],
    }
    assert card.text.strip() == '# Faces\nload_checkpoint("maker/faces")'


@pytest.mark.usefixtures("maker")
@pytest.mark.parametrize(
    ("terms", "flags", "card", "expected"),
    [
        ("cc-by-nc-4.0", [], "", ("cc-by-nc-4.0", None)),
        ("ask me first", [], "", ("other", "terms-of-the-data")),
        (None, [], "", ("other", "terms-of-the-data")),
        ("ask me first", [], "---\nlicense: apache-2.0\n---\n", ("apache-2.0", None)),
        ("ask me first", ["--license", "mit"], "---\nlicense: apache-2.0\n---\n", ("mit", None)),
    ],
)
def test_the_licence_is_the_flags_then_the_authors_then_the_datas(hub, run, command, terms, flags, card, expected):
    edit(run / "checkpoint", data={"license": terms})
    (run / "checkpoint" / "README.md").write_text(card)
    command("push", run, "maker/faces", *flags)
    pushed = ModelCard(hub.repos["models", "maker/faces"].files["README.md"].decode())
    assert (pushed.data.license, pushed.data.license_name) == expected


# What can go wrong


@pytest.mark.parametrize(
    ("token", "fault", "message"),
    [
        (None, None, "you are not logged in to the Hub: `hf auth login`, or set HF_TOKEN"),
        ("hf_wrong", None, "does not know your token"),
        (READER, None, "your token may not do that there"),
        (TOKEN, Fault("/create", status=429), "patience after too many requests"),
        (TOKEN, Fault("/commit/", status=503), "the Hub itself is in trouble (status 503)"),
        (TOKEN, Fault("^/lfs/", status=403), "Error while uploading"),
    ],
)
def test_a_push_that_fails_is_one_line_and_leaves_nothing(hub, run, command, monkeypatch, token, fault, message):
    monkeypatch.setenv("HF_TOKEN", token or "")
    hub.faults = [fault] if fault else []
    code, line = command("push", run, "maker/faces")
    assert code == 2
    assert line.startswith("push: 'maker/faces' was not changed: ")
    assert message in line
    assert "signature" not in line
    assert all(list(repo.files) == [".gitattributes"] for repo in hub.repos.values())


@pytest.mark.usefixtures("maker")
def test_what_cannot_be_pushed_is_one_line(hub: Hub, run: Path, command: Command) -> None:
    with hub.unreachable():
        assert "the Hub cannot be reached" in command("push", run, "maker/faces")[1]
    assert "no checkpoint at" in command("push", run / "state", "maker/faces")[1]
    for arguments in (("push", run, "faces"), ("push", run, "a/b/c"), ("space", "../x")):
        with pytest.raises(SystemExit):
            command(*arguments)
    assert hub.requests == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(run / "nowhere"))
        for arguments in (("push", run, "maker/faces"), ("space", "maker/demo", "--checkpoint", run)):
            assert "temporary files cannot be written" in command(*arguments)[1]
    for odd in ("[1, 2]", "a: b: c", "1: 2", "!!python/object:os.system x", "&a [*a]", "model-index: [5]"):
        (run / "checkpoint" / "README.md").write_text(f"---\n{odd}\n---\n")
        assert "the front matter of" in command("push", run, "maker/faces")[1], odd
    assert hub.requests == []
    (run / "checkpoint" / "README.md").write_text("---\nlicense: [1, 2]\n---\n")
    assert '"license" must be a string' in command("push", run, "maker/faces")[1]


@pytest.mark.parametrize(
    ("about", "token", "fault", "message"),
    [
        ({"gated": True}, None, None, "ask for access on its page"),
        ({"gated": True}, READER, None, "ask for access on its page"),
        ({}, "hf_wrong", None, "does not know your token"),
        ({}, None, 500, "in trouble"),
    ],
)
def test_a_hub_that_refuses_is_one_line(hub, run, monkeypatch, about, token, fault, message):
    hub.add("models", "maker/faces", tree(run / "checkpoint"), **about)
    hub.faults = [Fault("/api/", status=fault)] if fault else []
    monkeypatch.setenv("HF_TOKEN", token or "")
    assert message in (line := refusal("maker/faces"))
    assert "hf_" not in line.replace("hf auth", "")


def test_a_folder_comes_before_the_hub_and_a_typo_is_answered_with_both(hub, run, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert load_checkpoint("run/checkpoint").folder == (run / "checkpoint").resolve()
    assert "no config.json" in refusal("run/state")
    assert hub.requests == []
    assert "there is no such folder here, and the Hub has no model" in refusal("run/chekpoint")


def test_a_download_that_breaks_off_goes_on_and_half_of_one_never_opens(hub: Hub, run: Path) -> None:
    files = tree(run / "checkpoint")
    hub.add("models", "maker/faces", files)
    hub.faults = [Fault(f"/cdn/{oid(files['generator.safetensors'])}", cut=0)]
    assert "no checkpoint at 'maker/faces'" in refusal("maker/faces")
    with hub.unreachable():
        assert "the Hub cannot be reached" in refusal("maker/faces")
    hub.faults = [Fault("/cdn/", times=3, cut=50_000)]
    assert tree(load_checkpoint("maker/faces").folder) == files


def test_pickles_are_refused_and_never_fetched(hub: Hub, run: Path) -> None:
    config = (run / "checkpoint" / "config.json").read_bytes()
    hub.add("models", "old/gan", {"config.json": config, "netG.pth": b"cos\nsystem\n"})
    assert refusal("old/gan").startswith("'old/gan' on the Hub is no checkpoint of this program: it has no generator")
    assert not any(path.endswith(".pth") for _, path in hub.requests)
