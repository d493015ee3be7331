"""The run folder: going on after any kind of end, full disks, damage, and two trainings at once."""

import copy
import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from dcgan import checkpoint
from dcgan.checkpoint import load_checkpoint
from dcgan.training import figures, loop, schedule
from dcgan.training import run as run_folder
from dcgan.training.networks import Networks
from dcgan.training.resume import TrainingError, restore
from dcgan.training.signals import ending_well
from tests.training.tiny import (
    TINY,
    TINY_FLAGS,
    contents,
    identical,
    leftovers,
    rows,
    same_end,
    seen,
    settings,
    state,
    train_tiny,
    trained,
)

ROOT = Path(__file__).parents[2]

# Killed and stopped

UNBROKEN = ["--recipe", "best", "--ema", "100", "--max-images", "112", "--tick", "32", *TINY_FLAGS]

# A process that forks, once for each way to die, a child that trains until then.
DRIVER = """
import json, os, signal, sys
from pathlib import Path
import torch, train
from dcgan.training import figures, step

figures.labelled = figures.loss_plot = lambda *_: None
torch.optim.Adam([torch.zeros(1)])  # imports much, here and not in each child

def at(number, act, call, counts=lambda: True):
    "The call, but for the number-th one that counts: before that, `act`."
    count = 0
    def counted(*args):
        nonlocal count
        count += counts()
        if count == number:
            act(*args)
        return call(*args)
    return counted

def half(value, file):
    file.write(b"PK half of it")
    file.flush()
    die()

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

argv, deaths = json.loads(sys.argv[1]), json.loads(sys.argv[2])
codes = {}
for name, (kind, number, run) in deaths.items():
    saved = (Path(run) / "state" / "state.pt").exists
    child = os.fork()
    if not child:
        code = 99
        try:
            if kind == "step":
                step.adversarial_step = at(number, die, step.adversarial_step)
            if kind == "signal":
                step.adversarial_step = at(6, lambda *_: os.kill(os.getpid(), number), step.adversarial_step)
            if kind == "move":
                moves = at(number, die, lambda move, *args: move(*args), saved)
                rename, replace = Path.rename, Path.replace
                Path.rename, Path.replace = lambda *args: moves(rename, *args), lambda *args: moves(replace, *args)
            if kind == "state":
                torch.save = at(1, half, torch.save, saved)
            code = train.main([*argv, "--out", run])
        finally:
            os._exit(code)
    codes[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(codes))
"""

# Seven moves make a save: the snapshot, the moment, the history, the checkpoint's history, the old checkpoint away, the
# new one in its place, and the state.
KILLED = {
    "before the first save": ("step", 3),
    "in a step after a save": ("step", 7),
    **{f"before move {n} of the second save": ("move", n) for n in range(1, 8)},
    "while writing the state": ("state", 0),
}
STOPPED = {"Ctrl-C": ("signal", int(signal.SIGINT)), "SIGTERM": ("signal", int(signal.SIGTERM))}


@pytest.fixture(scope="module")
def unbroken(photos, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("unbroken") / "run"
    trained(run, "--dataroot", photos, *UNBROKEN)
    return run


@pytest.fixture(scope="module")
def broken(unbroken, photos, tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """Runs that came to each of these ends, and the exit codes of their processes."""
    folder = tmp_path_factory.mktemp("broken")
    deaths = {name: [*how, str(folder / name / "run")] for name, how in {**KILLED, **STOPPED}.items()}
    argv = ["--dataroot", str(photos), *UNBROKEN]
    process = [sys.executable, "-c", DRIVER, json.dumps(argv), json.dumps(deaths)]
    done = subprocess.run(process, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=1200)
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("end", KILLED)
def test_a_killed_run_goes_on_to_where_an_unbroken_one_ends_bit_for_bit(broken, unbroken, end):
    folder, codes = broken
    assert codes[end] == -signal.SIGKILL
    trained(folder / end / "run", "--resume")
    assert same_end(folder / end / "run", unbroken)


@pytest.mark.parametrize("end", STOPPED)
def test_a_stopped_run_saves_exits_with_0_and_goes_on_bit_for_bit(broken, unbroken, end):
    folder, codes = broken
    run = folder / end / "run"
    assert codes[end] == 0
    assert seen(run) == 6 * 8
    assert (run / "progress.webp").is_file() == (end == "Ctrl-C"), "after SIGTERM there is no time for figures"
    assert leftovers(run) == []
    trained(run, "--resume")
    assert identical(state(run), state(unbroken))
    assert rows(run) == rows(unbroken)
    for name in ("generator.safetensors", "discriminator.safetensors", "history.jsonl", "config.json"):
        assert (run / "checkpoint" / name).read_bytes() == (unbroken / "checkpoint" / name).read_bytes()


def test_a_run_in_two_parts_is_one_in_a_single_part_with_the_tutorials_short_last_batches(tmp_path):
    choice = {"model": replace(TINY, d_norm="spectral"), "r1": 1.0, "flip": True, "drop_last": False}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_tiny(whole, max_images=130, **choice)
    train_tiny(parts, max_images=50, **choice)
    train_tiny(parts, True, max_images=130, **choice)
    assert identical(state(parts), state(whole))
    assert rows(parts) == rows(whole)
    before = contents(parts / "checkpoint")
    train_tiny(parts, True, max_images=130, **choice)
    assert contents(parts / "checkpoint") == before, "a finished run stays as it is"


def test_a_broken_run_keeps_the_moments_that_an_unbroken_one_keeps(tmp_path, monkeypatch, steps):
    """Also where it breaks off after later ones took the place of those to keep."""

    def breaks() -> None:
        raise OSError("the power went")

    def kept(run: str) -> dict[str, bytes]:
        return contents(tmp_path / run / "generators")

    monkeypatch.setattr(schedule, "EARLY_SNAPSHOTS", range(0, 200, 8))
    choice = {"tick": 64, "max_images": 192, "moments": 4}
    train_tiny(tmp_path / "unbroken", **choice)
    train_tiny(tmp_path / "saved", **{**choice, "max_images": 64})
    steps.before[len(steps.rates) + 15] = breaks
    with pytest.raises(OSError, match="power"):
        train_tiny(tmp_path / "broken", **choice)
    assert kept("saved").keys() < kept("broken").keys()
    train_tiny(tmp_path / "broken", True, **choice)
    assert len(kept("unbroken")) == 4
    assert kept("broken") == kept("unbroken")


# Signals at awkward moments


def press(times: int) -> Callable[[], None]:
    """Press Ctrl-C so many times."""

    def pressed() -> None:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    return pressed


def test_ctrl_c_says_that_it_saves_and_gives_the_keys_back(tmp_path, capsys, steps):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    steps.before[2] = press(1)
    assert seen(train_tiny(tmp_path / "run")) == 16
    said = capsys.readouterr().out
    assert "saving" in said and "stopped at 16 of " in said and "--resume goes on" in said
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_ctrl_c_twice_stops_at_once_and_the_last_save_stands(tmp_path, steps):
    steps.before[4] = press(2)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "run", max_images=64, tick=16)
    train_tiny(tmp_path / "run", True, max_images=64)
    assert identical(state(tmp_path / "run"), state(train_tiny(tmp_path / "whole", max_images=64)))


def test_sigterm_breaks_a_measurement_off_which_is_then_taken_on_resuming(tmp_path, graded):
    def terminated() -> float:
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("went on measuring")

    choice = {"tick": 16, "quality": 1, "max_images": 48}
    graded(3.0, 2.0, 1.0, 3.0, terminated, 2.0, 1.0)
    whole = train_tiny(tmp_path / "whole", **choice)
    run = train_tiny(tmp_path / "run", **choice)
    assert state(run)["seen"] == 32
    assert "fd" not in rows(run)[-1]
    assert same_end(train_tiny(run, True, **choice), whole)


@pytest.mark.parametrize("when", ["while saving", "while drawing", "before the first step"])
def test_sigterm_at_an_awkward_moment_saves_too(tmp_path, monkeypatch, when):
    target, name = {
        "while saving": (run_folder, "save_checkpoint"),
        "while drawing": (figures, "animation"),
        "before the first step": (loop, "stepper"),
    }[when]
    real, run = getattr(target, name), tmp_path / "run"

    def terminated(*args):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # some send it twice
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(target, name, terminated)
        if when == "before the first step":
            with pytest.raises(SystemExit) as ended, ending_well():
                train_tiny(run, tick=16)
            assert ended.value.code == 0
            assert not run.exists()
        else:
            train_tiny(run, tick=16)
            assert seen(run) == state(run)["seen"] >= 16
    assert leftovers(run) == []
    train_tiny(run, run.exists(), tick=16)
    assert identical(state(run), state(train_tiny(tmp_path / "whole", tick=16)))


# A full disk


def full_at(monkeypatch, number: int) -> list[str]:
    """Have the disk fill up in the number-th write from now on, after half of it; what has been written, by name."""
    written: list[str] = []

    def filling(target: object, name: str, path: Callable[..., object] | None = None) -> None:
        real = getattr(target, name)

        def write(*args, **kwargs):
            written.append(name)
            if len(written) != number:
                return real(*args, **kwargs)
            if path:
                real(*args, **kwargs)
                os.truncate(path(*args), Path(path(*args)).stat().st_size // 2)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(target, name, write)

    def no_link(*_: object) -> None:
        raise OSError  # so that copies are made

    filling(Path, "write_text", lambda path, *_: path)
    filling(checkpoint, "save_file", lambda state, path, *_: path)
    filling(shutil, "copyfile", lambda source, path: path)
    filling(Image.Image, "save", lambda image, path, *_: path)
    filling(torch, "save", lambda value, file: file.flush() or file.name)
    for name in ("mkdir", "rename", "replace"):
        filling(Path, name)
    monkeypatch.setattr(os, "link", no_link)
    return written


def test_a_disk_that_fills_up_in_any_write_costs_no_more_than_the_last_tick(tmp_path):
    choice = {"tick": 16, "moments": 3, "drop_last": False}
    before = train_tiny(tmp_path / "before", max_images=16, **choice)
    whole = Path(shutil.copytree(before, tmp_path / "whole"))
    with pytest.MonkeyPatch.context() as patch:
        written = full_at(patch, 10_000)
        train_tiny(whole, True, **choice)
    assert {"write_text", "save_file", "copyfile", "save", "mkdir", "rename", "replace"} == set(written)
    for number in range(1, len(written) + 1):
        run = Path(shutil.copytree(before, tmp_path / str(number)))
        with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError) as caught:
            full_at(patch, number)
            train_tiny(run, True, **choice)
        assert re.search(r"No space left on device; a save takes about [\d,]+ MiB, [\d,]+ are free", str(caught.value))
        assert "make room" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert load_checkpoint(run).discriminator is not None
        assert state(run)["seen"] == 16
        assert leftovers(run) == []
        assert same_end(train_tiny(run, True, **choice), whole), (number, written[number - 1])


def test_a_state_that_the_disk_cuts_off_anywhere_is_an_error_in_one_line(tmp_path):
    whole = train_tiny(tmp_path / "run", max_images=16)
    size = (whole / "state" / "state.pt").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for part in range(5, 10):  # of ten; the other files are smaller than half a state
        run = Path(shutil.copytree(whole, tmp_path / str(part)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size * part // 10, hard))
        try:
            with pytest.raises(TrainingError, match=r"File too large; a save takes .*; make room"):
                train_tiny(run, True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert state(run)["seen"] == 16


def test_a_disk_that_fills_up_under_the_figures_says_that_all_else_is_saved(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(figures, "loss_plot", full)
    with pytest.raises(TrainingError, match=r"No space left on device; .*: all is saved but the figures; make room"):
        train_tiny(tmp_path / "run", max_images=16)
    assert seen(tmp_path / "run") == state(tmp_path / "run")["seen"] == 16


# Damage, and others in the folder


def test_a_state_cut_anywhere_or_with_any_bit_flipped_is_refused_and_nothing_of_it_loaded(tmp_path):
    path = train_tiny(tmp_path / "run", max_images=16) / "state" / "state.pt"
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        tensors = [entry.header_offset + 300 for entry in archive.infolist() if entry.file_size > 1_000]
    pickle = b"\x80\x02cos\nsystem\n."
    for place in (*tensors[:8], len(whole) // 2, len(whole) - 1):
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        for damaged in (whole[:place], flipped, b"", b"PK\3\4 no state", pickle):
            path.write_bytes(damaged)
            nets = Networks(TINY, settings())
            before = copy.deepcopy(nets.state_dict())
            try:
                assert restore(tmp_path / "run", nets) == 16
                assert len(damaged) == len(whole) and place not in tensors, "the padding between may be anything"
            except TrainingError as error:
                assert str(path) in str(error)
                assert "\n" not in str(error)
                assert identical(nets.state_dict(), before)


def test_a_second_training_into_a_run_folder_is_refused_and_the_first_goes_on(tmp_path, photos, steps, refusal):
    run, lines = tmp_path / "run", []
    steps.before[1] = lambda: lines.append(refusal("train", "--out", run, "--resume"))
    assert trained(run, "--dataroot", photos, "--max-images=24", *TINY_FLAGS).images_seen == 24
    assert lines[0].startswith(f"train.py: another training writes to '{run}'")
    trained(run, "--resume", "--max-images=32")  # the folder is free again


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_photos_in_a_folder_whose_name_is_not_utf_8_are_trained_on(tmp_path, photos, monkeypatch):
    folder = shutil.copytree(photos, Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")))
    for run, name in ((folder / "run \udcff", "run \ufffd"), (Path(), tmp_path.name)):
        monkeypatch.chdir(tmp_path)
        trained(run, "--dataroot", folder, "--max-images=8", *TINY_FLAGS, "--data-license", "\udcff")
        checkpoint = trained(run, "--resume", "--max-images=16")
        assert (checkpoint.images_seen, checkpoint.name, checkpoint.data["name"]) == (16, name, "caf\ufffd")
        assert checkpoint.card.count("\ufffd") == 2 + name.count("\ufffd")
