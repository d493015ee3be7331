"""The checkpoint folder: whole or not there, and an error of one line for everything else."""

import ast
import json
import os
import pickle
import re
import resource
import shutil
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from dcgan import checkpoint as module
from dcgan.checkpoint import CheckpointError, find_checkpoints, load_checkpoint, save_net
from dcgan.course import Snapshot, list_moments, list_snapshots, read_history, thin_history, thin_moments
from dcgan.direction import Direction, save_directions
from dcgan.files import beside, recover, writing
from dcgan.sampling import sample
from tests.tiny import TINY, networks, save

ROOT = Path(__file__).parents[1]
MODEL = asdict(TINY)
ROW = {"images_seen": 640, "loss_d": 1.5, "loss_g": 0.5}
EVERY_FILE = (
    *("config.json", "generator.safetensors", "discriminator.safetensors", "directions.safetensors", "history.jsonl"),
    *("snapshots/0000000640.webp", "generators/0000000320.safetensors", "README.md"),
)
AGE = Direction("age", "number", torch.eye(6)[0], -2.0, 2.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint with every file that one may have."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "0000000640.webp").write_bytes(b"frame")
    save_net(networks(seed=1)[0], made / "0000000320.safetensors")
    checkpoint = save(tmp_path / "tiny", history=[ROW], snapshots=made, moments=list_moments(made))
    save_directions(checkpoint.folder / "directions.safetensors", (AGE,), checkpoint.generator)
    return checkpoint.folder


def edit_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def error_of(folder: Path) -> str:
    """ "" where all that a checkpoint may have opens, else the one line with which it is refused."""
    try:
        found = load_checkpoint(folder)
        _ = found.discriminator, found.directions, found.history, found.snapshots, found.card, found.name, found.hub
        for moment in found.moments:
            found.generator_at(moment)
    except CheckpointError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1_000
        return str(error)
    return ""


# What is written


@pytest.mark.parametrize("d_norm", ["batch", "spectral"])
def test_both_networks_come_back_rounded_to_fp16_in_eval_mode_and_frozen(tmp_path, d_norm):
    nets = networks(replace(TINY, d_norm=d_norm))
    loaded = save(tmp_path / "tiny", nets)
    for before, after in zip(nets, (loaded.generator, loaded.discriminator), strict=True):
        state = after.state_dict()
        for name, value in before.state_dict().items():
            assert torch.equal(state[name], value.half().float() if value.is_floating_point() else value), name
        assert not after.training
        assert all(p.dtype == torch.float32 and not p.requires_grad for p in after.parameters())
    assert (sample(loaded.generator, range(32)).int() - sample(nets[0], range(32)).int()).abs().max() <= 1


def test_the_folder_holds_everything_wherever_it_is(folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    loaded = load_checkpoint(tmp_path / "elsewhere")
    assert {p.relative_to(loaded.folder).as_posix() for p in loaded.folder.rglob("*") if p.is_file()} == {*EVERY_FILE}
    assert (loaded.name, loaded.images_seen, loaded.card, loaded.model) == ("tiny", 640, "# tiny", TINY)
    assert loaded.history == [ROW]
    assert [direction.name for direction in loaded.directions] == ["age"]
    assert [(s.images_seen, s.path.read_bytes()) for s in loaded.snapshots] == [(640, b"frame")]
    assert [moment.images_seen for moment in loaded.moments] == [320]
    then, first = loaded.generator_at(loaded.moments[0]), networks(seed=1)[0]
    assert (sample(then, [3]).int() - sample(first, [3]).int()).abs().max() <= 1
    assert loaded.config["versions"]["torch"] == torch.__version__
    content = (loaded.folder / "generator.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["main.0.weight"]["dtype"] == "F16"


@pytest.mark.parametrize("name", ["faces", "avatars"])
def test_checkpoints_of_earlier_versions_open_with_all_that_they_have(name):
    assert error_of(ROOT / "checkpoints" / name) == ""
    checkpoint = load_checkpoint(ROOT / "checkpoints" / name)
    assert len(checkpoint.directions) > 5
    assert len(checkpoint.history) == 2_000
    assert len(checkpoint.snapshots) > 20
    for moment in checkpoint.moments:  # in int8
        assert not torch.equal(sample(checkpoint.generator_at(moment), [3]), sample(checkpoint.generator, [3]))


def test_weights_without_a_fingerprint_as_older_ones_and_fields_that_are_unknown_here_open(folder):
    path = folder / "generator.safetensors"
    save_file(load_file(path), path)
    edit_config(folder, model={**MODEL, "comment": "x"})
    assert error_of(folder) == ""
    assert load_checkpoint(folder).model == TINY


def test_only_the_config_and_the_generator_are_needed(folder):
    for name in EVERY_FILE:
        if name not in ("config.json", "generator.safetensors"):
            (folder / name).unlink()
    loaded = load_checkpoint(folder)
    assert (loaded.history, loaded.snapshots, loaded.moments, loaded.directions, loaded.card) == ([], [], [], (), "")
    assert "discriminator.safetensors' is missing" in error_of(folder)


# Atomic


def fail_at(monkeypatch: pytest.MonkeyPatch, target: object, name: str, call: int, error: BaseException) -> None:
    """Make the n-th call of a function fail."""
    real, calls = getattr(target, name), iter(range(1, 1_000))

    def wrapped(*args, **kwargs):
        if next(calls) == call:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(target, name, wrapped)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
@pytest.mark.parametrize(
    ("target", "name", "call"),
    [(module, "save_file", 1), (module, "save_file", 2), (json, "dumps", 2), (Path, "rename", 1), (Path, "rename", 2)],
)
def test_a_save_that_fails_leaves_the_old_one_or_nothing(tmp_path, monkeypatch, target, name, call, error, there):
    if there:
        save(tmp_path / "tiny", history=[ROW])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    fail_at(monkeypatch, target, name, call if there else 1, error)
    with pytest.raises(type(error)):
        save(tmp_path / "tiny", networks(seed=2), history=[ROW])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"] * there


def test_a_replacement_is_undone_if_it_was_cut_between_its_moves_and_else_tidied(folder):
    old = beside(folder, ".old")
    folder.rename(old)
    for _ in range(2):
        recover(folder)
        assert error_of(folder) == ""
        assert not old.exists()
        (old / "snapshots").mkdir(parents=True)


@pytest.mark.parametrize("suffix", [".old", ".new", ".tmp"])
def test_what_lies_beside_under_a_similar_name_is_the_users_and_stays(folder, tmp_path, suffix):
    mine = [folder.with_name(f"tiny{suffix}"), tmp_path / f"notes.txt{suffix}"]
    for path in mine:
        path.mkdir()
        (path / "photo.jpg").write_bytes(b"mine")
    save(folder)
    recover(folder)
    with writing(tmp_path / "notes.txt") as path:
        path.write_text("whole")
    assert [(path / "photo.jpg").read_bytes() for path in mine] == [b"mine", b"mine"]
    assert (tmp_path / "notes.txt").read_text() == "whole"


def test_a_later_save_replaces_the_whole_folder_and_what_a_killed_one_left(folder):
    (folder / "stale.txt").write_text("from an older version")
    folder.rename(beside(folder, ".old"))
    beside(folder, ".new").mkdir()
    (beside(folder, ".new") / "generator.safetensors").write_bytes(b"half")
    assert save(folder, images_seen=1280).images_seen == 1280
    assert not (folder / "stale.txt").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["made", "tiny"]


# Where they are


def test_a_checkpoint_a_run_or_a_folder_of_them_is_found_and_what_is_none_is_named(tmp_path):
    for name in ("beta", "alpha", "run/checkpoint"):
        save(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("")
    run = tmp_path / "run" / "checkpoint"
    assert load_checkpoint(tmp_path / "run").folder == run.resolve()
    assert find_checkpoints(tmp_path / "alpha") == [tmp_path / "alpha"]
    assert find_checkpoints(tmp_path / "run") == [run]
    assert find_checkpoints(tmp_path) == [tmp_path / "alpha", tmp_path / "beta", run]
    for name in ("empty", "notes.txt", "nowhere"):
        assert find_checkpoints(tmp_path / name) == []
        assert f"no checkpoint at '{tmp_path / name}'" in error_of(tmp_path / name)


def test_what_is_given_in_place_of_a_checkpoint_is_named_with_the_way_to_one(folder, tmp_path):
    weights = tmp_path / "the tutorial's"
    weights.mkdir()
    for name in ("netD_epoch_4.pth", "netG_epoch_4.pth"):
        (weights / name).write_bytes(b"PK")
    for path in (weights, weights / "netG_epoch_4.pth"):
        line = error_of(path)
        assert "netG_epoch_4.pth" in line.partition("python -m dcgan import")[2]
    assert f"give its folder, '{folder}'" in error_of(folder / "generator.safetensors")


def test_a_byte_order_mark_in_any_text_is_no_part_of_it(folder):
    for name in ("config.json", "README.md", "history.jsonl"):
        (folder / name).write_text((folder / name).read_text(), encoding="utf-8-sig")
    checkpoint = load_checkpoint(folder)
    assert checkpoint.card.startswith("#")
    assert checkpoint.history


# History and snapshots


def test_a_saved_checkpoint_has_at_most_2000_rows_and_100_snapshots_up_to_the_last(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    for i in range(130):
        (made / f"{i * 500:010d}.webp").write_bytes(b"frame")
    history = [{"images_seen": 64 * (i + 1), "loss_d": 1.0} for i in range(5_001)]
    checkpoint = save(tmp_path / "a", history=history, snapshots=made)
    assert len(checkpoint.history) == 2_000
    assert checkpoint.history[-1] == {"images_seen": 64 * 5_001, "loss_d": 1.0}
    assert len(checkpoint.snapshots) == 100
    assert [checkpoint.snapshots[i].images_seen for i in (0, -1)] == [0, 129 * 500]


@given(st.integers(1, 120), st.integers(1, 40))
def test_a_thinned_history_is_in_order_and_keeps_the_mean(count, limit):
    rows = [{"images_seen": i, "loss_d": float(i % 5)} | ({"fid": 9.0} if i == 3 else {}) for i in range(count)]
    thinned = thin_history(rows, limit)
    assert len(thinned) == min(count, limit)
    seen = [row["images_seen"] for row in thinned]
    assert seen == sorted(set(seen))
    assert seen[-1] == count - 1
    weights = [after - before for before, after in pairwise([-1, *seen])]
    mean = sum(w * row["loss_d"] for w, row in zip(weights, thinned, strict=True)) / count
    assert mean == pytest.approx(sum(row["loss_d"] for row in rows) / count, abs=1e-4)
    assert [row["fid"] for row in thinned if "fid" in row] == [9.0] * (count > 3)


@given(st.integers(1, 200), st.integers(2, 20))
def test_moments_thinned_as_they_come_are_spread_over_the_whole_course(count, limit):
    kept: list[Snapshot] = []
    for i in range(count):
        kept = thin_moments([*kept, Snapshot(25_000 * i, Path(str(i)))], limit)
    assert len(kept) == min(count, limit)
    assert (kept[0].images_seen, kept[-1].images_seen) == (0, 25_000 * (count - 1))
    gaps = [b.images_seen - a.images_seen for a, b in pairwise(kept[:-1])]
    assert all(b >= a / 2 for a, b in pairwise(gaps)), "early moments lie closer together"


def test_snapshots_are_listed_by_images_seen_and_strangers_left_out(tmp_path):
    for name in ("0000000900.webp", "0000010000.webp", "00.webp", "grid.webp", "0000000005.webp.tmp", "²³.webp"):
        (tmp_path / name).touch()
    assert [s.images_seen for s in list_snapshots(tmp_path)] == [0, 900, 10_000]
    assert list_snapshots(tmp_path / "none") == []


@pytest.mark.parametrize(
    "line", ["[" * 100_000, "7", "[1]", "null", "{}", '{"images_seen": "x"}', f'{{"images_seen": {9**400}}}', '{"ima']
)
def test_a_line_that_is_no_row_of_figures_ends_a_history(tmp_path, line):
    (tmp_path / "h").write_text('{"images_seen": 1}\n' + line + '\n{"images_seen": 2}\n')
    assert read_history(tmp_path / "h") == [{"images_seen": 1}]


# What is damaged, or made by a stranger


IMPOSSIBLE = [{"image_size": 60}, {"image_size": "64"}, {"nz": -1}, {"nz": "x\n" * 50_000}, {"d_norm": 3}]
IMMENSE = json.dumps({"format": 1, "model": MODEL, "images_seen": "HERE"})
DAMAGED = [
    b"",
    b'{"format": 1, "mod',
    b"[]",
    b'"format"',
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"format": 1}',
    b'{"model": {}}',
    *(IMMENSE.replace('"HERE"', number).encode() for number in ("9" * 5_000, "1e999", "NaN")),
]


@pytest.mark.parametrize(
    "content",
    [*DAMAGED, *(json.dumps({"format": 1, "model": {**MODEL, **wrong}}).encode() for wrong in IMPOSSIBLE)],
)
def test_a_damaged_config_or_an_impossible_model_is_one_line_that_names_it(folder, content):
    (folder / "config.json").write_bytes(content)
    assert str(folder / "config.json") in error_of(folder)


def test_a_whole_number_of_seconds_is_as_good_as_a_fraction(folder):
    edit_config(folder, data={"every": 2})
    assert load_checkpoint(folder).every == 2


def test_a_newer_format_asks_for_an_update(folder):
    edit_config(folder, format=2, model={"shape": "of a later version"})
    assert "update" in error_of(folder)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["format", "model", *module.KINDS]), json_values)
def test_any_value_in_a_config_opens_or_is_one_line(folder, key, value):
    before = (folder / "config.json").read_text()
    try:
        edit_config(folder, **{key: value})
        error_of(folder)
    finally:
        (folder / "config.json").write_text(before)


def test_weights_that_are_missing_of_another_shape_or_network_are_named(folder):
    path = folder / "generator.safetensors"
    edit_config(folder, model={**MODEL, "ngf": 8})
    assert str(path) in error_of(folder)
    edit_config(folder, model=MODEL)
    (folder / "discriminator.safetensors").replace(path)
    assert str(path) in error_of(folder)
    path.unlink()
    assert str(path) in error_of(folder)


@pytest.mark.parametrize("name", ["main.0.weight", "main.1.running_var"])
def test_weights_that_are_not_finite_are_named(tmp_path, name):
    generator, discriminator = networks()
    generator.state_dict()[name].view(-1)[0] = float("nan")
    with pytest.raises(CheckpointError, match="not finite"):
        save(tmp_path / "nan", (generator, discriminator))


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", EVERY_FILE)
@pytest.mark.parametrize("write", [lambda trap, path: path.write_bytes(pickle.dumps(trap)), torch.save])
def test_a_pickle_under_any_name_is_never_run(folder, tmp_path, name, write):
    write(Trap(tmp_path / "sprung"), folder / name)
    error = error_of(folder)
    assert name in error or name in ("history.jsonl", "snapshots/0000000640.webp", "README.md")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", [name for name in EVERY_FILE if name.endswith(".safetensors")])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_weights_cut_anywhere_or_with_any_bit_flipped_are_refused(folder, name, damage):
    whole = (folder / name).read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    random = np.random.default_rng(0)
    for place in (0, 7, 8, header - 1, header, len(whole) - 1, *random.integers(0, len(whole), 30).tolist()):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (folder / name).write_bytes(whole[:place] if damage == "cut" else damaged)
        assert name in error_of(folder) or (name == "directions.safetensors" and damage == "flip"), place


def test_nothing_is_read_in_a_way_that_could_run_a_pickle():
    nodes = [node for path in (ROOT / "dcgan").rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    imports = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not [line for line in imports if re.search(r"\b(pickle|dill|joblib|shelve|marshal)\b", line)]
    calls = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    assert not [call for call in calls if call.startswith(("np.load(", "torch.jit.load(")) or "allow_pickle" in call]
    loads = [call for call in calls if call.startswith("torch.load(")]
    assert loads
    assert all("weights_only=True" in call for call in loads)


def huge_model(folder: Path) -> None:
    edit_config(folder, model={**MODEL, "image_size": 256, "nz": 4096, "ngf": 4096, "ndf": 4096})  # 7.5 GB


def huge_steps(folder: Path) -> None:
    state = load_file(folder / "generator.safetensors")
    state["main.0.weight"], state["main.0.weight.step"] = torch.ones(1, 200_000), torch.ones(200_000, 1)  # 160 GB
    save_file(state, folder / "generator.safetensors")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (huge_model, "generator.safetensors"),
        (huge_steps, "generator.safetensors"),
        (lambda folder: os.truncate(folder / "config.json", 2**30), "config.json"),
        (lambda folder: os.truncate(folder / "history.jsonl", 2**30), ""),
        (lambda folder: os.truncate(folder / "README.md", 2**30), ""),
    ],
)
def test_huge_files_and_shapes_take_no_memory(folder, damage, named):
    damage(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = error_of(folder)
    assert named in error if named else not error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_a_card_that_is_no_text_is_empty(folder):
    (folder / "README.md").write_bytes(b"\xff")
    assert load_checkpoint(folder).card == ""


# Links


def relink(path: Path, target: Path, relative: bool = False) -> None:
    """Move a file or folder away and leave a link to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    path.symlink_to(os.path.relpath(target, path.parent) if relative else target)


@pytest.mark.parametrize("name", [*EVERY_FILE, "snapshots", "generators"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_checkpoint_with_a_link_that_leaves_it_is_refused_whatever_the_file(folder, tmp_path, name, relative):
    relink(folder / name, tmp_path / "elsewhere" / Path(name).name, relative)
    error = error_of(folder)
    assert "link out of the checkpoint" in error
    assert name in error


def test_a_link_through_another_link_or_into_a_folder_with_the_hubs_names_is_refused(folder, tmp_path):
    relink(folder / "README.md", tmp_path / "elsewhere" / "README.md")
    (folder / "README.md").rename(folder / "within")
    (folder / "README.md").symlink_to("within")
    assert "README.md" in error_of(folder)
    commit = tmp_path / "models--o--n" / "snapshots" / "c0ffee"
    shutil.copytree(folder, commit, symlinks=True)
    assert "README.md" in error_of(commit)
    (tmp_path / "models--o--n" / "blobs").symlink_to(tmp_path / "elsewhere")
    (commit / "README.md").unlink()
    (commit / "README.md").symlink_to("../../blobs/README.md")
    assert "README.md" in error_of(commit)


def test_links_inside_a_checkpoint_to_a_checkpoint_and_in_the_hubs_cache_are_followed(folder, tmp_path):
    relink(folder / "README.md", folder / "card.md")
    (tmp_path / "link").symlink_to(folder)
    assert load_checkpoint(tmp_path / "link").card == "# tiny"
    commit = tmp_path / "models--o--n" / "snapshots" / "c0ffee"
    shutil.copytree(folder, commit)
    for i, name in enumerate(EVERY_FILE):
        relink(commit / name, tmp_path / "models--o--n" / "blobs" / str(i), relative=True)
    assert error_of(commit) == ""
    assert len(load_checkpoint(commit).snapshots) == 1
