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
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from dcgan import checkpoint
from dcgan.checkpoint import load_checkpoint
from dcgan.metrics.distances import Quality
from dcgan.training import command, figures, loop
from dcgan.training import run as run_folder
from dcgan.training.loop import adversarial_step, train
from dcgan.training.networks import Networks
from dcgan.training.resume import TrainingError, restore
from dcgan.training.signals import ending_well
from tests.training.tiny import TINY, TINY_FLAGS, contents, identical, in_memory, leftovers, rows, settings, state

ROOT = Path(__file__).parents[2]

# Killed and stopped

UNBROKEN = ["--recipe", "best", "--ema", "100", "--max-images", "112", "--tick", "32", *TINY_FLAGS]

# A process that forks, once for each way to die, a child that trains until then.
DRIVER = """
import json, os, signal, sys
from pathlib import Path
import torch, train
from dcgan.training import figures, loop

figures.labelled = figures.loss_plot = lambda *_: None

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def at_step(number, act):
    step, count = loop.adversarial_step, 0
    def counted(*args):
        nonlocal count
        count += 1
        if count == number:
            act()
        return step(*args)
    loop.adversarial_step = counted

def at_move(number, state):
    count = 0
    def counted(move):
        def moved(self, target):
            nonlocal count
            count += state.exists()
            if count == number:
                die()
            return move(self, target)
        return moved
    Path.rename, Path.replace = counted(Path.rename), counted(Path.replace)

def in_state(state):
    save = torch.save
    def cut(value, file):
        if state.exists():
            file.write(b"PK half of it")
            file.flush()
            die()
        save(value, file)
    torch.save = cut

argv, deaths = json.loads(sys.argv[1]), json.loads(sys.argv[2])
codes = {}
for name, (kind, number, run) in deaths.items():
    state = Path(run) / "state" / "state.pt"
    child = os.fork()
    if not child:
        code = 99
        try:
            if kind == "step": at_step(number, die)
            if kind == "move": at_move(number, state)
            if kind == "state": in_state(state)
            if kind == "signal": at_step(6, lambda: os.kill(os.getpid(), number))
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
    assert command.main(["--dataroot", str(photos), "--out", str(run), *UNBROKEN]) == 0
    return run


@pytest.fixture(scope="module")
def broken(unbroken, photos, tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """Runs that came to each of these ends, and the exit codes of their processes."""
    folder = tmp_path_factory.mktemp("broken")
    deaths = {name: [*how, str(folder / name / "run")] for name, how in {**KILLED, **STOPPED}.items()}
    argv = ["--dataroot", str(photos), *UNBROKEN]
    child = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(argv), json.dumps(deaths)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    return folder, json.loads(child.stdout.splitlines()[-1])


@pytest.mark.parametrize("end", KILLED)
def test_a_killed_run_goes_on_to_where_an_unbroken_one_ends_bit_for_bit(broken, unbroken, no_figures, end):
    folder, codes = broken
    assert codes[end] == -signal.SIGKILL
    run = folder / end / "run"
    assert command.main(["--out", str(run), "--resume"]) == 0
    assert identical(state(run), state(unbroken))
    for part in ("checkpoint", "snapshots", "generators"):
        assert contents(run / part) == contents(unbroken / part)
    assert rows(run) == rows(unbroken)
    assert leftovers(run) == []


@pytest.mark.parametrize("end", STOPPED)
def test_a_stopped_run_saves_exits_with_0_and_goes_on_bit_for_bit(broken, unbroken, no_figures, end):
    folder, codes = broken
    assert codes[end] == 0
    run = folder / end / "run"
    assert load_checkpoint(run).images_seen == 6 * 8
    assert (run / "progress.webp").is_file() == (end == "Ctrl-C"), "after SIGTERM there is no time for figures"
    assert leftovers(run) == []
    assert command.main(["--out", str(run), "--resume"]) == 0
    assert identical(state(run), state(unbroken))
    assert rows(run) == rows(unbroken)
    for name in ("generator.safetensors", "discriminator.safetensors", "history.jsonl", "config.json"):
        assert (run / "checkpoint" / name).read_bytes() == (unbroken / "checkpoint" / name).read_bytes()


@pytest.mark.parametrize("model", [TINY, replace(TINY, d_norm="spectral")], ids=["batch", "spectral"])
def test_a_run_in_two_parts_is_one_in_a_single_part_with_the_tutorials_short_last_batches(tmp_path, no_figures, model):
    def go_on(name: str, end: int, resume: bool = False) -> None:
        config = settings(r1=1.0, flip=True, drop_last=False, max_images=end)
        train(model, config, in_memory(), tmp_path / name, resume=resume, name="one")

    go_on("whole", 130)
    go_on("parts", 50)
    go_on("parts", 130, resume=True)
    assert identical(state(tmp_path / "parts"), state(tmp_path / "whole"))
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    before = contents(tmp_path / "parts" / "checkpoint")
    go_on("parts", 130, resume=True)
    assert contents(tmp_path / "parts" / "checkpoint") == before, "a finished run stays as it is"


def test_a_broken_run_keeps_the_moments_that_an_unbroken_one_keeps(tmp_path, monkeypatch, no_figures):
    """Also where it breaks off after later ones took the place of those to keep."""
    monkeypatch.setattr(loop, "EARLY_SNAPSHOTS", range(0, 200, 8))
    config, steps = settings(tick=64, max_images=192, moments=4), []

    def breaks(nets, *args):
        steps.append(nets)
        if len(steps) == 15:
            raise OSError("the power went")
        return adversarial_step(nets, *args)

    def kept(run: str) -> dict[str, bytes]:
        return contents(tmp_path / run / "generators")

    train(TINY, config, in_memory(), tmp_path / "unbroken")
    train(TINY, replace(config, max_images=64), in_memory(), tmp_path / "saved")
    monkeypatch.setattr(loop, "adversarial_step", breaks)
    with pytest.raises(OSError, match="power"):
        train(TINY, config, in_memory(), tmp_path / "broken")
    assert kept("saved").keys() < kept("broken").keys()
    train(TINY, config, in_memory(), tmp_path / "broken", resume=True)
    assert len(kept("unbroken")) == 4
    assert kept("broken") == kept("unbroken")


# Signals at awkward moments


@pytest.fixture
def interrupting(monkeypatch) -> Callable[[int, int], None]:
    """Have Ctrl-C pressed so many times in this step."""

    def arrange(step: int, times: int) -> None:
        count = 0

        def pressed(*args):
            nonlocal count
            count += 1
            for _ in range(times if count == step else 0):
                signal.raise_signal(signal.SIGINT)
            return adversarial_step(*args)

        monkeypatch.setattr(loop, "adversarial_step", pressed)

    return arrange


def test_ctrl_c_says_that_it_saves_and_gives_the_keys_back(tmp_path, capsys, no_figures, interrupting):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    interrupting(2, 1)
    train(TINY, settings(), in_memory(), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run").images_seen == 16
    assert "saving" in capsys.readouterr().out
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_ctrl_c_twice_stops_at_once_and_the_last_save_stands(tmp_path, no_figures, interrupting):
    interrupting(4, 2)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, settings(max_images=64, tick=16), in_memory(), tmp_path / "run")
    interrupting(0, 0)
    train(TINY, settings(max_images=64), in_memory(), tmp_path / "run", resume=True)
    train(TINY, settings(max_images=64), in_memory(), tmp_path / "whole")
    assert identical(state(tmp_path / "run"), state(tmp_path / "whole"))


def test_sigterm_breaks_a_measurement_off_which_is_then_taken_on_resuming(tmp_path, monkeypatch, no_figures):
    config = settings(tick=16, quality=1, max_images=48)
    terminated_in: list[int] = []

    def measured(self: Quality, generator: nn.Module) -> dict[str, float]:
        calls.append(1)
        if terminated_in == [len(calls)]:
            terminated_in.clear()
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("went on measuring")
        return {"fd": float(generator.main[0].weight.detach().norm())}

    monkeypatch.setattr(Quality, "__call__", measured)
    monkeypatch.setattr(Quality, "__init__", lambda self, images, device: None)
    monkeypatch.setattr(Quality, "floor", {}, raising=False)
    monkeypatch.setattr(Quality, "real", torch.zeros(7), raising=False)
    monkeypatch.setattr(run_folder, "MIN_IMAGES", 10)
    calls: list[int] = []
    train(TINY, config, in_memory(), tmp_path / "whole", name="one")
    calls.clear()
    terminated_in.append(2)
    train(TINY, config, in_memory(), tmp_path / "run", name="one")
    assert state(tmp_path / "run")["seen"] == 32
    assert "fd" not in rows(tmp_path / "run")[-1]
    train(TINY, config, in_memory(), tmp_path / "run", name="one", resume=True)
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    assert identical(state(tmp_path / "run"), state(tmp_path / "whole"))
    assert contents(tmp_path / "run" / "checkpoint") == contents(tmp_path / "whole" / "checkpoint")


@pytest.mark.parametrize("when", ["while saving", "while drawing", "before the first step"])
def test_sigterm_at_an_awkward_moment_saves_too(tmp_path, monkeypatch, no_figures, when):
    target, name = {
        "while saving": (run_folder, "save_checkpoint"),
        "while drawing": (figures, "animation"),
        "before the first step": (loop, "stepper"),
    }[when]
    real = getattr(target, name)

    def terminated(*args, **kwargs):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # some send it twice
        return real(*args, **kwargs)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(target, name, terminated)
        if when == "before the first step":
            with pytest.raises(SystemExit) as ended, ending_well():
                train(TINY, settings(tick=16), in_memory(), run)
            assert ended.value.code == 0
            assert not run.exists()
        else:
            train(TINY, settings(tick=16), in_memory(), run)
            assert load_checkpoint(run).images_seen == state(run)["seen"] >= 16
    assert leftovers(run) == []
    train(TINY, settings(tick=16), in_memory(), run, resume=run.exists())
    train(TINY, settings(tick=16), in_memory(), tmp_path / "whole")
    assert identical(state(run), state(tmp_path / "whole"))


# A full disk


@pytest.fixture
def largest_file() -> Iterator[Callable[[int], None]]:
    """Have every write beyond so many bytes of a file fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_state_that_does_not_fit_is_one_line_and_the_last_save_stands(tmp_path, no_figures, largest_file):
    model = replace(TINY, nz=32, ngf=16)
    train(model, settings(max_images=16), in_memory(), tmp_path / "run")
    before = contents(tmp_path / "run" / "state")
    largest_file((tmp_path / "run" / "checkpoint" / "generator.safetensors").stat().st_size * 2)
    with pytest.raises(TrainingError, match=r"cannot write to '.*run' .*: the last save stands; make room, then --"):
        train(model, settings(max_images=48), in_memory(), tmp_path / "run", resume=True)
    largest_file(resource.RLIM_INFINITY)
    assert leftovers(tmp_path / "run") == []
    assert contents(tmp_path / "run" / "state")["state.pt"] == before["state.pt"]


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

    filling(Path, "write_text", lambda path, *_: path)
    filling(checkpoint, "save_file", lambda state, path, *_: path)
    filling(shutil, "copyfile", lambda source, path: path)
    filling(Image.Image, "save", lambda image, path, *_: path)
    filling(torch, "save", lambda value, file: file.flush() or file.name)
    for name in ("mkdir", "rename", "replace"):
        filling(Path, name)
    monkeypatch.setattr(checkpoint.os, "link", lambda *_: (_ for _ in ()).throw(OSError))  # so that copies are made
    return written


def test_a_disk_that_fills_up_in_any_write_costs_no_more_than_the_last_tick(tmp_path, no_figures):
    def go_on(name: str, **changes) -> None:
        config = settings(**{"tick": 16, "moments": 3, "drop_last": False, **changes})
        train(TINY, config, in_memory(), tmp_path / name, resume=name != "before", name="full")

    go_on("before", max_images=16)
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        written = full_at(patch, 10_000)
        go_on("whole")
    assert {"write_text", "save_file", "copyfile", "save", "mkdir", "rename", "replace"} == set(written)
    for number in range(1, len(written) + 1):
        run = Path(shutil.copytree(tmp_path / "before", tmp_path / str(number)))
        with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError) as caught:
            full_at(patch, number)
            go_on(run.name)
        assert re.search(r"No space left on device; a save takes about [\d,]+ MiB, [\d,]+ are free", str(caught.value))
        assert "\n" not in str(caught.value)
        assert load_checkpoint(run).discriminator is not None
        assert state(run)["seen"] == 16
        assert leftovers(run) == []
        go_on(run.name)
        assert identical(state(run), state(tmp_path / "whole")), written[number - 1]
        assert rows(run) == rows(tmp_path / "whole")
        for part in ("checkpoint", "snapshots", "generators"):
            assert contents(run / part) == contents(tmp_path / "whole" / part), (number, written[number - 1])


def test_a_disk_that_fills_up_under_the_figures_says_that_all_else_is_saved(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(figures, "loss_plot", full)
    with pytest.raises(TrainingError, match=r"No space left on device; .*: all is saved but the figures; make room"):
        train(TINY, settings(max_images=16), in_memory(), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run").images_seen == state(tmp_path / "run")["seen"] == 16


# Damage, and others in the folder


def test_a_state_cut_anywhere_or_with_any_bit_flipped_is_refused_and_nothing_of_it_loaded(tmp_path, no_figures):
    train(TINY, settings(max_images=16), in_memory(), tmp_path / "run")
    path = tmp_path / "run" / "state" / "state.pt"
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


def test_a_second_training_into_a_run_folder_is_refused_and_the_first_goes_on(tmp_path, photos, monkeypatch, capsys):
    run, codes = tmp_path / "run", []
    flags = ["--dataroot", str(photos), "--out", str(run), "--max-images", "24", *TINY_FLAGS]

    def meanwhile(*args):
        if not codes:
            codes.append(1)
            codes.append(command.main(["--out", str(run), "--resume"]))
        return adversarial_step(*args)

    monkeypatch.setattr(loop, "adversarial_step", meanwhile)
    assert command.main(flags) == 0
    assert codes == [1, 2]
    assert f"train.py: another training writes to '{run}'" in capsys.readouterr().err
    assert load_checkpoint(run).images_seen == 24
    assert command.main([*flags, "--resume", "--max-images", "32"]) == 0, "the folder is free again"


def test_a_run_folder_that_cannot_be_made_is_one_line(tmp_path, no_figures):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError) as caught:
        train(TINY, settings(), in_memory(), tmp_path / "file" / "run")
    assert str(tmp_path / "file" / "run") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_photos_in_a_folder_whose_name_is_not_utf_8_are_trained_on(tmp_path, photos, no_figures):
    folder = shutil.copytree(photos, Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")))
    flags = ["--dataroot", str(folder), "--out", str(tmp_path / "run"), "--max-images", "8", *TINY_FLAGS]
    assert command.main(flags) == 0
    assert load_checkpoint(tmp_path / "run").data["name"] == "caf\ufffd"
