"""The checkpoint folder: whole or not there, and an error of one line for everything else."""

import ast
import json
import os
import pickle
import resource
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

from dcgan import checkpoint as module
from dcgan.checkpoint import (
    Checkpoint,
    CheckpointError,
    Snapshot,
    find_checkpoints,
    list_moments,
    list_snapshots,
    load_checkpoint,
    read_history,
    save_checkpoint,
    thin_history,
    thin_moments,
    thin_snapshots,
    write_history,
)
from dcgan.direction import Direction, save_directions
from dcgan.files import recover, writing
from dcgan.model import Discriminator, Generator, ModelConfig
from dcgan.sampling import sample

MODEL = {"image_size": 16, "nc": 3, "nz": 6, "ngf": 4, "ndf": 4, "d_norm": "batch"}


def networks(seed: int = 0) -> tuple[Generator, Discriminator]:
    """A small pair whose weights and BatchNorm statistics are all their own."""
    torch.manual_seed(seed)
    config = ModelConfig(**MODEL)
    generator, discriminator = Generator(config), Discriminator(config)
    with torch.no_grad():
        for _ in range(5):
            discriminator(generator(torch.randn(8, 6, 1, 1)) * 3)
    return generator.eval(), discriminator.eval()


def save(folder: Path, images_seen: int = 640, **changes) -> tuple[Generator, Discriminator]:
    generator, discriminator = networks(images_seen)
    config = {"name": "tiny", "model": MODEL, "images_seen": images_seen, **changes}
    history = [{"images_seen": images_seen, "loss_d": 1.5, "loss_g": 0.5}]
    snapshots = folder.parent / "made"
    snapshots.mkdir(exist_ok=True, parents=True)
    Image.new("RGB", (8, 8), "red").save(snapshots / f"{images_seen:010d}.webp")
    save_checkpoint(folder, generator, discriminator, config, history, snapshots, "# tiny")
    return generator, discriminator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "tiny")
    return tmp_path / "tiny"


def edit_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def refused(folder: Path) -> str:
    """The one line with which this checkpoint is refused."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


# What is written


def test_both_networks_come_back_rounded_to_fp16_in_eval_mode_and_frozen(tmp_path):
    generator, discriminator = save(tmp_path / "tiny")
    loaded = load_checkpoint(tmp_path / "tiny")
    for before, after in ((generator, loaded.generator), (discriminator, loaded.discriminator)):
        state = after.state_dict()
        assert any("running_var" in name for name in state)
        for name, value in before.state_dict().items():
            assert torch.equal(state[name], value.half().float() if value.is_floating_point() else value), name
        assert not after.training
        assert all(p.dtype == torch.float32 and not p.requires_grad for p in after.parameters())
    difference = sample(loaded.generator, range(32)).int() - sample(generator, range(32)).int()
    assert difference.abs().max() <= 1


def test_the_folder_holds_everything_and_no_pickle(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "README.md",
        "config.json",
        "discriminator.safetensors",
        "generator.safetensors",
        "history.jsonl",
        "snapshots/0000000640.webp",
    }
    for path in (folder / "generator.safetensors", folder / "discriminator.safetensors"):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert header["main.0.weight"]["dtype"] == "F16"


def test_history_snapshots_card_and_config_come_back_also_from_elsewhere(folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    loaded = load_checkpoint(tmp_path / "elsewhere")
    assert (loaded.name, loaded.images_seen, loaded.card) == ("tiny", 640, "# tiny")
    assert loaded.model == ModelConfig(**MODEL)
    assert loaded.history == [{"images_seen": 640, "loss_d": 1.5, "loss_g": 0.5}]
    assert [(s.images_seen, s.path.is_file()) for s in loaded.snapshots] == [(640, True)]
    assert loaded.config["versions"]["torch"] == torch.__version__


@pytest.mark.parametrize("name", ["faces", "avatars"])
def test_checkpoints_of_earlier_versions_open_with_all_that_they_have(name):
    checkpoint = open_all(Path(__file__).parents[1] / "checkpoints" / name)
    assert len(checkpoint.directions) > 5
    assert len(checkpoint.history) == 2_000
    assert len(checkpoint.snapshots) > 20
    for moment in checkpoint.moments:  # in int8
        assert not torch.equal(sample(checkpoint.generator_at(moment), [3]), sample(checkpoint.generator, [3]))


def test_a_spectral_discriminator_comes_back(tmp_path):
    model = ModelConfig(**{**MODEL, "d_norm": "spectral"})
    torch.manual_seed(0)
    generator, discriminator = Generator(model), Discriminator(model)
    config = {"model": {**MODEL, "d_norm": "spectral"}, "images_seen": 1}
    save_checkpoint(tmp_path / "s", generator, discriminator, config, [], tmp_path / "none", "")
    images = torch.rand(4, 3, 16, 16)
    loaded = load_checkpoint(tmp_path / "s").discriminator
    torch.testing.assert_close(loaded(images), discriminator.eval()(images), atol=1e-2, rtol=1e-2)


# Atomic


def fail_at(monkeypatch: pytest.MonkeyPatch, target: object, name: str, call: int, error: BaseException) -> None:
    """Make the n-th call of a function fail."""
    real, count = getattr(target, name), 0

    def wrapped(*args, **kwargs):
        nonlocal count
        count += 1
        if count == call:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(target, name, wrapped)


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("target", "name", "call", "error"),
    [
        (module, "save_file", 1, FULL),
        (module, "save_file", 2, FULL),
        (module.shutil, "copyfile", 1, KeyboardInterrupt()),
        (module.json, "dumps", 2, FULL),
        (Path, "rename", 1, FULL),
        (Path, "rename", 2, FULL),
        (Path, "rename", 2, KeyboardInterrupt()),
    ],
)
def test_a_save_that_fails_leaves_the_old_checkpoint_whole(folder, monkeypatch, target, name, call, error):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        fail_at(patch, target, name, call, error)
        with pytest.raises(type(error)):
            save(folder, images_seen=1280)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["made", "tiny"]
    assert load_checkpoint(folder).images_seen == 640


def test_a_first_save_that_fails_leaves_nothing(tmp_path, monkeypatch):
    fail_at(monkeypatch, module, "save_file", 2, FULL)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path / "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_replacement_is_undone_if_it_was_cut_between_its_moves_and_else_tidied(folder):
    folder.rename(folder.with_name("tiny.old"))
    for _ in range(2):
        recover(folder)
        assert load_checkpoint(folder).images_seen == 640
        assert not folder.with_name("tiny.old").exists()
        (folder.with_name("tiny.old") / "snapshots").mkdir(parents=True)


def test_a_later_save_replaces_the_whole_folder_and_what_a_killed_one_left(folder):
    (folder / "stale.txt").write_text("from an older version")
    folder.rename(folder.with_name("tiny.old"))
    folder.with_name("tiny.new").mkdir()
    (folder.with_name("tiny.new") / "generator.safetensors").write_bytes(b"half")
    save(folder, images_seen=1280)
    assert load_checkpoint(folder).images_seen == 1280
    assert not (folder / "stale.txt").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["made", "tiny"]


def test_writing_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "rows"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), writing(path) as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# What cannot be read


def test_what_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "none", tmp_path / "model.pt"):
        assert f"no checkpoint at '{path}'" in refused(path)


DAMAGED = {
    "empty": b"",
    "cut": b'{"format": 1, "mod',
    "list": b"[]",
    "null": b"null",
    "text": b'"format"',
    "not utf-8": b"\xff\xfe{}",
    "deep": b"[" * 100_000,
    "no model": b'{"format": 1}',
    "no format": json.dumps({"model": MODEL}).encode(),
    "model is a list": b'{"format": 1, "model": [1]}',
    "model is null": b'{"format": 1, "model": null}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_config_is_one_line_that_names_it(folder, content):
    (folder / "config.json").write_bytes(content)
    assert str(folder / "config.json") in refused(folder)


@pytest.mark.parametrize("wrong", [{"image_size": 60}, {"image_size": "64"}, {"nz": -1}, {"d_norm": 3}], ids=str)
def test_an_impossible_model_is_one_line_and_in_a_newer_format_asks_for_an_update(folder, wrong):
    edit_config(folder, model={**MODEL, **wrong})
    assert str(folder / "config.json") in refused(folder)
    edit_config(folder, format=2)
    assert "update" in refused(folder)


def test_fields_of_the_model_that_are_unknown_here_are_passed_over(folder):
    edit_config(folder, model={**MODEL, "comment": "x"})
    assert load_checkpoint(folder).model == ModelConfig(**MODEL)


def test_weights_that_are_missing_of_another_shape_or_network_are_named(folder):
    path = folder / "generator.safetensors"
    edit_config(folder, model={**MODEL, "ngf": 8})
    assert str(path) in refused(folder)
    edit_config(folder, model=MODEL)
    (folder / "discriminator.safetensors").replace(path)
    assert str(path) in refused(folder)
    path.unlink()
    assert str(path) in refused(folder)


@pytest.mark.parametrize("name", ["main.0.weight", "main.1.running_var"])
def test_weights_that_are_not_finite_are_named(tmp_path, name):
    generator, discriminator = networks()
    with torch.no_grad():
        generator.state_dict()[name].view(-1)[0] = float("nan")
    config = {"model": MODEL, "images_seen": 1}
    save_checkpoint(tmp_path / "nan", generator, discriminator, config, [], tmp_path / "none", "")
    assert "finite" in refused(tmp_path / "nan")


def test_only_the_config_and_the_generator_are_needed(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in ("config.json", "generator.safetensors"):
            path.unlink()
    (folder / "snapshots").rmdir()
    loaded = load_checkpoint(folder)
    assert (loaded.history, loaded.snapshots, loaded.moments, loaded.directions, loaded.card) == ([], [], [], (), "")
    with pytest.raises(CheckpointError, match=r"discriminator\.safetensors' is missing"):
        _ = loaded.discriminator


# Where they are


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder of two checkpoints and a run, beside things that are none."""
    for name in ("beta", "alpha", "run/checkpoint"):
        save(tmp_path / "house" / name)
    (tmp_path / "house" / "empty").mkdir()
    (tmp_path / "house" / "notes.txt").write_text("")
    return tmp_path / "house"


def test_a_checkpoint_a_run_or_a_folder_of_them_is_found(house):
    run = house / "run" / "checkpoint"
    assert load_checkpoint(house / "run").folder == run.resolve()
    assert find_checkpoints(house / "alpha") == [house / "alpha"]
    assert find_checkpoints(house / "run") == [run]
    assert find_checkpoints(house) == [house / "alpha", house / "beta", run]
    for name in ("empty", "notes.txt", "nowhere"):
        assert find_checkpoints(house / name) == []


# History and snapshots


def test_history_comes_back_as_written(tmp_path):
    rows = [{"images_seen": i, "loss_g": i / 7} for i in range(20)]
    write_history(tmp_path / "h", rows)
    assert read_history(tmp_path / "h") == rows
    assert read_history(tmp_path / "none") == []


def test_a_saved_checkpoint_has_at_most_2000_rows_and_100_snapshots_up_to_the_last(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    for i in range(130):
        (made / f"{i * 500:010d}.webp").write_bytes(b"frame")
    history = [{"images_seen": 64 * (i + 1), "loss_d": 1.0} for i in range(5_001)]
    save_checkpoint(tmp_path / "a", *networks(), {"model": MODEL, "images_seen": 1}, history, made, "")
    checkpoint = load_checkpoint(tmp_path / "a")
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


@given(st.integers(0, 500), st.integers(10, 100))
def test_thinned_snapshots_keep_the_start_and_the_last(count, limit):
    shots = [Snapshot(i, Path(str(i))) for i in range(count)]
    thinned = thin_snapshots(shots, limit)
    assert len(thinned) == min(count, limit)
    assert len(set(thinned)) == len(thinned)
    assert thinned == sorted(thinned, key=lambda s: s.images_seen)
    assert thinned[: limit // 10] == shots[: limit // 10]
    assert thinned[-1:] == shots[-1:]


@given(st.integers(1, 200), st.integers(2, 20))
def test_moments_thinned_as_they_come_are_spread_over_the_whole_course(count, limit):
    kept: list[Snapshot] = []
    for i in range(count):
        kept = thin_moments([*kept, Snapshot(25_000 * i, Path(str(i)))], limit)
    assert len(kept) == min(count, limit)
    assert kept[0].images_seen == 0
    assert kept[-1].images_seen == 25_000 * (count - 1)
    gaps = [b.images_seen - a.images_seen for a, b in pairwise(kept[:-1])]
    assert all(b >= a / 2 for a, b in pairwise(gaps)), "early moments lie closer together"


def test_the_generators_of_earlier_moments_come_along(tmp_path):
    first, discriminator = networks(1)
    last, _ = networks(2)
    (tmp_path / "generators").mkdir()
    module.save_net(first, tmp_path / "generators" / "0000000500.safetensors")
    config = {"model": MODEL, "images_seen": 1000}
    moments = list_moments(tmp_path / "generators")
    save_checkpoint(tmp_path / "a", last, discriminator, config, [], tmp_path, "", moments)
    checkpoint = load_checkpoint(tmp_path / "a")
    assert [moment.images_seen for moment in checkpoint.moments] == [500]
    then = checkpoint.generator_at(checkpoint.moments[0])
    assert (sample(then, [3]).float() - sample(first, [3]).float()).abs().max() <= 1
    assert not torch.equal(sample(then, [3]), sample(checkpoint.generator, [3]))


def test_int8_steps_that_do_not_fit_take_no_memory(tmp_path):
    generator, _ = networks(1)
    state = generator.state_dict()
    state["main.0.weight"], state["main.0.weight.step"] = torch.ones(1, 200_000), torch.ones(200_000, 1)
    save_file(state, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="damaged"):
        module.load_net(Generator, generator.config, tmp_path / "b.safetensors")


def test_snapshots_are_listed_by_images_seen_and_strangers_left_out(tmp_path):
    for name in ("0000000900.webp", "0000010000.webp", "00.webp", "grid.webp", "0000000005.webp.tmp", "²³.webp"):
        (tmp_path / name).touch()
    assert [s.images_seen for s in list_snapshots(tmp_path)] == [0, 900, 10_000]
    assert list_snapshots(tmp_path / "none") == []


# No pickles


READERS = {"pickle", "dill", "joblib", "shelve", "marshal"}


def sources() -> list[Path]:
    root = Path(__file__).parents[1]
    return [*sorted((root / "dcgan").rglob("*.py")), root / "train.py"]


def test_nothing_is_read_in_a_way_that_could_run_a_pickle():
    loads = 0
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert not {"pickle", "dill", "joblib", "shelve", "marshal"} & {alias.name for alias in node.names}, (
                    where
                )
            if isinstance(node, ast.Call):
                name, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert name not in ("np.load", "numpy.load", "torch.jit.load"), where
                assert "allow_pickle" not in keywords, where
                if name == "torch.load":
                    loads += 1
                    assert keywords.get("weights_only") == "True", where
    assert loads


# What a stranger may have made


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


EVERY_FILE = [
    *("config.json", "generator.safetensors", "discriminator.safetensors", "directions.safetensors", "history.jsonl"),
    *("snapshots/0000000640.webp", "generators/0000000320.safetensors", "README.md"),
]


def open_all(folder: Path) -> Checkpoint:
    """A checkpoint with everything read that it may have."""
    found = load_checkpoint(folder)
    for moment in found.moments:
        found.generator_at(moment)
    _ = found.discriminator, found.directions, found.history, found.snapshots, found.name, found.data, found.hub
    return found


@pytest.fixture
def full(folder: Path) -> Path:
    """A checkpoint with every file that one may have."""
    (folder / "generators").mkdir()
    shutil.copyfile(folder / "generator.safetensors", folder / "generators" / "0000000320.safetensors")
    vector = torch.zeros(6).index_fill(0, torch.tensor(0), 1.0)
    save_directions(
        folder / "directions.safetensors", (Direction("age", "number", vector, -2.0, 2.0),), networks(640)[0]
    )
    open_all(folder)
    return folder


def outcome(folder: Path) -> str:
    """ "" where all of it opens, else the one line with which it is refused. Any other error fails the test."""
    try:
        open_all(folder)
    except CheckpointError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1_000
        return str(error)
    return ""


@pytest.mark.parametrize("name", EVERY_FILE)
@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_under_any_name_is_never_run(full, tmp_path, name, kind):
    trap = Trap(tmp_path / "sprung")
    if kind == "pickle":
        (full / name).write_bytes(pickle.dumps(trap))
    else:
        torch.save({"main.0.weight": trap}, full / name)
    refused = outcome(full)
    assert name in refused or name in ("history.jsonl", "snapshots/0000000640.webp", "README.md")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", [name for name in EVERY_FILE if name.endswith(".safetensors")])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_weights_cut_anywhere_or_with_any_bit_flipped_are_refused(full, name, damage):
    whole = (full / name).read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    random = np.random.default_rng(0)
    for place in (0, 7, 8, header - 1, header, len(whole) - 1, *random.integers(0, len(whole), 30).tolist()):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (full / name).write_bytes(whole[:place] if damage == "cut" else damaged)
        said = outcome(full)
        assert name in said or (name == "directions.safetensors" and damage == "flip"), place


def test_weights_without_a_fingerprint_as_older_ones_are_open(folder):
    path = folder / "generator.safetensors"
    save_file(load_file(path), path)
    assert outcome(folder) == ""


HUGE = {**MODEL, "image_size": 256, "nz": 4096, "ngf": 4096, "ndf": 4096}


def test_a_config_of_huge_networks_takes_no_memory_where_there_are_no_such_weights(folder):
    edit_config(folder, model=HUGE)  # 7.5 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert str(folder / "generator.safetensors") in refused(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


@pytest.mark.parametrize("name", ["config.json", "history.jsonl"])
def test_a_gigabyte_of_json_is_not_read(folder, name):
    os.truncate(folder / name, 2**30)
    started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (name in outcome(folder)) == (name == "config.json")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - started < 100 * 1024


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["format", "model", *module.KINDS]), json_values)
def test_any_value_in_a_config_opens_or_is_one_line(folder, key, value):
    before = (folder / "config.json").read_text()
    try:
        edit_config(folder, **{key: value})
        outcome(folder)
    finally:
        (folder / "config.json").write_text(before)


@pytest.mark.parametrize("number", ["9" * 5_000, "1e999", "-1e999", "NaN", '"' + "x" * 100_000 + '\\n"'])
@pytest.mark.parametrize("key", ["format", "images_seen", "name", "nz"])
def test_numbers_and_texts_beyond_measure_are_one_line_at_most(folder, key, number):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model": MODEL | {"nz": "HERE"}} if key == "nz" else {key: "HERE"}
    (folder / "config.json").write_text(json.dumps(config).replace('"HERE"', number))
    outcome(folder)


@pytest.mark.parametrize(
    "line", ["[" * 100_000, "7", "[1]", "null", "{}", '{"images_seen": "x"}', f'{{"images_seen": {9**400}}}']
)
def test_a_line_that_is_no_row_of_figures_ends_a_history(tmp_path, line):
    (tmp_path / "h").write_text('{"images_seen": 1}\n' + line + '\n{"images_seen": 2}\n')
    assert read_history(tmp_path / "h") == [{"images_seen": 1}]


def relink(path: Path, target: Path, relative: bool = False) -> None:
    """Move a file or folder away and leave a link to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    path.symlink_to(os.path.relpath(target, path.parent) if relative else target)


@pytest.mark.parametrize("name", [*EVERY_FILE, "snapshots", "generators"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_checkpoint_with_a_link_that_leaves_it_is_refused_whatever_the_file(full, tmp_path, name, relative):
    relink(full / name, tmp_path / "elsewhere" / Path(name).name, relative)
    message = refused(full)
    assert "link out of the checkpoint" in message
    assert name in message


def test_a_link_through_another_link_or_into_a_folder_with_the_hubs_names_is_refused(full, tmp_path):
    relink(full / "README.md", tmp_path / "elsewhere" / "README.md")
    (full / "README.md").rename(full / "within")
    (full / "README.md").symlink_to("within")
    assert "README.md" in refused(full)
    commit = tmp_path / "models--o--n" / "snapshots" / "c0ffee"
    shutil.copytree(full, commit, symlinks=True)
    assert "README.md" in refused(commit)
    (tmp_path / "models--o--n" / "blobs").symlink_to(tmp_path / "elsewhere")
    (commit / "README.md").unlink()
    (commit / "README.md").symlink_to("../../blobs/README.md")
    assert "README.md" in refused(commit)


def test_links_inside_a_checkpoint_to_a_checkpoint_and_in_the_hubs_cache_are_followed(full, tmp_path):
    relink(full / "README.md", full / "card.md")
    (tmp_path / "link").symlink_to(full)
    assert load_checkpoint(tmp_path / "link").card == "# tiny"
    commit = tmp_path / "models--o--n" / "snapshots" / "c0ffee"
    shutil.copytree(full, commit)
    for i, name in enumerate(EVERY_FILE):
        relink(commit / name, tmp_path / "models--o--n" / "blobs" / str(i), relative=True)
    assert outcome(commit) == ""
    assert len(load_checkpoint(commit).snapshots) == 1


def test_the_card_is_text_of_a_moderate_size(folder):
    assert load_checkpoint(folder).card == "# tiny"
    for content in (b"\xff", b"x" * (module.MAX_TEXT + 1)):
        (folder / "README.md").write_bytes(content)
        assert load_checkpoint(folder).card == ""
    (folder / "README.md").unlink()
    assert load_checkpoint(folder).card == ""
