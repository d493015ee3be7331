"""The loop: when it prints, draws, measures and saves; what stops it; what a whole run leaves."""

import contextlib
import io
import re
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from dcgan.checkpoint import load_checkpoint
from dcgan.device import find_device
from dcgan.training import schedule
from dcgan.training.augment import ALTERATIONS
from dcgan.training.config import RECIPES, TrainConfig, configure
from dcgan.training.distributed import Ranks, join
from dcgan.training.doctor import Doctor
from dcgan.training.loop import train
from dcgan.training.resume import TrainingError
from dcgan.training.schedule import Schedule
from dcgan.training.step import capable
from tests.training.tiny import (
    TINY,
    TINY_FLAGS,
    contents,
    identical,
    in_memory,
    rows,
    seen,
    settings,
    state,
    train_tiny,
    trained,
)

LINE = re.compile(
    r"\[(\d+)/(\d+)\]\[(\d+)/(\d+)\]\tLoss_D: (\d+\.\d{4})\tLoss_G: (\d+\.\d{4})\t"
    r"D\(x\): (\d\.\d{4})\tD\(G\(z\)\): (\d\.\d{4}) / (\d\.\d{4})"
)

# When


def grids(batch: int, target: int, first: int = 1) -> list[int]:
    """The iterations after which a grid is drawn, from the first on, where no tick comes between."""
    plan = Schedule(settings(batch_size=batch, max_images=target, tick=10**9), epoch=10**9)
    return [i for i in range(first, target // batch) if plan.snapshot_due(batch * (i - 1), batch * i)]


def test_a_grid_is_drawn_every_500_iterations_and_at_even_steps_of_the_way():
    target, late = 25_000 * schedule.SNAPSHOTS, 23_000  # past the early ones
    assert grids(8, target, late // 8)[:5] == [3000, 3125, 3500, 4000, 4500]
    assert grids(128, target, late // 128)[:4] == [196, 391, 500, 586]


@pytest.mark.parametrize("end", [100_000, RECIPES["best"]["max_images"], 600_000])
def test_a_run_makes_a_replay_of_60_to_100_frames(end):
    assert 60 <= len(grids(RECIPES["best"]["batch_size"], end)) + 1 <= 100


def test_the_penalty_is_taken_every_16_iterations(tmp_path, steps):
    train_tiny(tmp_path / "run", r1=1.0, max_images=8 * 34)
    assert [i for i, penalty in enumerate(steps.penalties) if penalty] == [0, 16, 32]


def test_the_learning_rates_fall_at_the_end_tick_by_tick_and_a_resumed_run_falls_alike(tmp_path, steps):
    choice = {"tick": 16, "decay": 48, "lr": 0.001, "lr_d": 0.002}
    train_tiny(tmp_path / "whole", max_images=80, **choice)
    rates_d = [rate for _, rate in steps.rates]
    assert rates_d[::2] == pytest.approx([0.002, 0.002, 0.002, 0.002 * 2 / 3, 0.002 / 3])
    assert state(tmp_path / "whole")["networks"]["opt_g"]["param_groups"][0]["lr"] == pytest.approx(0.0001)
    train_tiny(tmp_path / "parts", max_images=64, **choice)
    train_tiny(tmp_path / "parts", True, max_images=80, **choice)
    assert steps.rates[-2:] == steps.rates[8:10]


# Going wrong


def break_weights(nets, stats: Tensor) -> Tensor:
    with torch.no_grad():
        nets.generator.main[0].weight[0, 0, 0, 0] = torch.nan
    return stats


def break_losses(nets, stats: Tensor) -> Tensor:
    return stats * torch.nan


@pytest.mark.parametrize("broken", [break_weights, break_losses])
@pytest.mark.parametrize(("step", "saved"), [(7, 48), (1, 0)], ids=["after a save", "before any"])
def test_a_step_that_leaves_no_numbers_stops_the_run_which_goes_on_at_a_lower_rate(
    tmp_path, steps, broken, step, saved
):
    run, choice = tmp_path / "run", {"tick": 48, "max_images": 96, "moments": 2}
    steps.after[step] = broken
    with pytest.raises(TrainingError, match=r"no longer numbers: stopped\..* with --resume --lr 0.0001$") as caught:
        train_tiny(run, **choice)
    assert "\n" not in str(caught.value)
    assert f"The state of {saved} images is saved" in str(caught.value)
    if saved:
        assert state(run)["seen"] == seen(run) == saved
        assert all(value.isfinite().all() for value in load_checkpoint(run).generator.state_dict().values())
    taken = len(steps.rates)
    steps.after.clear()
    train_tiny(run, True, lr=0.0001, **choice)
    assert steps.rates[taken:] == [(0.0001, 0.0001)] * ((96 - saved) // 8)
    assert [row["images_seen"] for row in rows(run)] == list(range(8, 97, 8))


def test_the_run_remembers_the_rate_that_it_goes_on_with(tmp_path, photos, steps, refusal):
    run, flags = tmp_path / "run", ["--lr-d=0.004", "--lr=0.002", "--recipe=dcgan", "--epochs=1", *TINY_FLAGS]
    steps.after[2] = break_losses
    line = refusal("train", "--dataroot", photos, "--out", run, *flags)
    assert line.startswith("train.py: after ")
    assert line.endswith("--resume --lr 0.001 --lr-d 0.002")
    steps.after.clear()
    trained(run, *line[line.index("--resume") :].split())
    assert trained(run, "--resume", "--epochs=2").config["train"]["lr"] == 0.001
    assert steps.rates[-1] == (0.001, 0.002)


def test_the_doctor_is_heard_during_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Doctor, "examine", lambda self, rows, faces: [f"{len(rows)} rows, {tuple(faces.shape)}"])
    train_tiny(tmp_path / "run", tick=16, max_images=48)
    assert capsys.readouterr().out.count("2 rows, (64, 3, 16, 16)") == 3


# Keeping the best


def test_the_best_of_all_measured_ticks_is_kept(tmp_path, graded, capsys):
    graded(3.0, 1.0, 2.0)
    run = train_tiny(tmp_path / "run", tick=16, quality=2, max_images=96)
    kept = load_checkpoint(run)
    assert kept.config["metrics"] == {"fd": 1.0, "other": 1.0}
    assert kept.config["floor"] == {"n": 7, "ffd": 0.5}
    assert kept.images_seen == kept.history[-1]["images_seen"] == kept.snapshots[-1].images_seen == 64
    assert state(run)["seen"] == 96
    assert [row["fd"] for row in rows(run) if "fd" in row] == [3.0, 1.0, 2.0]
    assert "after 64 images: fd 1" in capsys.readouterr().out


@pytest.mark.parametrize(("last", "kept"), [(1.005, 32), (1.02, 16)])
def test_of_two_that_are_as_good_but_for_noise_the_later_is_kept(tmp_path, graded, last, kept):
    graded(1.0, last)
    assert seen(train_tiny(tmp_path / "run", tick=16, quality=1)) == kept


def test_the_best_and_its_floor_are_remembered_when_a_run_goes_on(tmp_path, graded):
    graded(1.0, 2.0, 3.0)
    for resume, end in ((False, 32), (True, 32), (True, 48)):
        run = train_tiny(tmp_path / "run", resume, tick=16, quality=1, max_images=end)
        assert seen(run) == 16
        assert load_checkpoint(run).config["floor"] == {"n": 7, "ffd": 0.5}


def test_where_there_are_too_few_images_to_measure_by_the_last_is_kept_and_a_line_says_so(tmp_path, capsys):
    assert seen(train_tiny(tmp_path / "run", tick=16, quality=1, max_images=48)) == 48
    assert "quality is measured from 50 images on: the last generator is kept" in capsys.readouterr().out


def test_neither_saving_nor_measuring_changes_the_training(tmp_path, graded):
    graded(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    plain = state(train_tiny(tmp_path / "plain", max_images=48))
    for name, changes in {"often": {"tick": 8}, "measured": {"tick": 8, "quality": 1}}.items():
        other = state(train_tiny(tmp_path / name, max_images=48, **changes))
        assert identical(other["networks"], plain["networks"])


# Curves elsewhere


@pytest.mark.parametrize("kind", ["tensorboard", "trackio", "wandb"])
def test_curves_go_to_the_library_named(tmp_path, monkeypatch, kind):
    named, drawn = [], []

    def log(row: dict[str, float]) -> None:
        drawn.extend((name, value, row["images_seen"]) for name, value in row.items())

    writer = SimpleNamespace(add_scalar=lambda *point: drawn.append(point), flush=lambda: None)
    library = SimpleNamespace(init=lambda **about: named.append(about), log=log, SummaryWriter=lambda folder: writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard" if kind == "tensorboard" else kind, library)
    train_tiny(tmp_path / "run", name="mine", log=kind, tick=16)
    assert [seen for name, _, seen in drawn if name == "loss_g"] == [16, 32]
    if kind != "tensorboard":
        assert (named[0]["name"], named[0]["config"]["lr"]) == ("mine", 0.0002)


def test_a_library_that_fails_costs_a_row_of_its_curves_and_nothing_else(tmp_path, monkeypatch, capsys):
    def log(row: dict[str, float]) -> None:
        raise ConnectionError("no route to it\nand so on")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **about: None, log=log))
    assert seen(train_tiny(tmp_path / "run", log="wandb", tick=16)) == 32
    assert capsys.readouterr().out.count("--log wandb has lost a row: no route to it\n") == 2


# A whole run

TUTORIALS = ["--recipe=dcgan", "--epochs=11", "--tick=100", *TINY_FLAGS]


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory) -> tuple[Path, str]:
    """A run of the tutorial's recipe over 11 epochs of 40 photos, and what it printed."""
    run = tmp_path_factory.mktemp("finished") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        trained(run, "--dataroot", photos, *TUTORIALS)
    return run, out.getvalue()


def test_a_run_writes_a_checkpoint_the_tutorials_figures_and_its_history(finished):
    run, out = finished
    assert f"app.py --checkpoints {run}" in out.splitlines()[-1]
    figures = {"training_images.png", "loss.png", "real_vs_fake.png"}
    others = {"progress.webp", "checkpoint", "history.jsonl", "snapshots", "state"}
    assert {path.name for path in run.iterdir()} == figures | others
    for name in figures:
        with Image.open(run / name) as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(10**6)) > 20
    with Image.open(run / "progress.webp") as animation:
        assert animation.n_frames == len(list((run / "snapshots").iterdir())) > 1


def test_history_has_a_row_for_each_iteration_and_every_50th_is_printed_as_the_tutorial_does(finished):
    run, out = finished
    history, count = rows(run), load_checkpoint(run).config["data"]["count"]
    batches = [8] * (count // 8) + [count % 8] * (count % 8 > 0)
    assert [row["images_seen"] for row in history] == np.cumsum(batches * 11).tolist()
    for row in history:
        assert list(row) == ["images_seen", "loss_d", "loss_g", "d_real", "d_fake", "d_fake_after"]
        assert all(np.isfinite(value) for value in row.values())
    lines = [LINE.fullmatch(line) for line in out.splitlines() if "Loss_D" in line]
    assert len(lines) == -(-len(history) // 50)
    for i, line in enumerate(lines):
        assert line is not None
        epoch, within = divmod(50 * i, len(batches))
        assert [int(n) for n in line.groups()[:4]] == [epoch, 11, within, len(batches)]
        assert [float(n) for n in line.groups()[4:]] == pytest.approx(list(history[50 * i].values())[1:], abs=2e-4)
    assert "Random Seed: 999" in out


def test_snapshots_show_64_faces_at_the_start_at_each_tick_and_at_the_end(finished):
    run, _ = finished
    end = rows(run)[-1]["images_seen"]
    found = sorted(int(path.stem) for path in (run / "snapshots").iterdir())
    assert (found[0], found[-1]) == (0, end)
    for tick in range(100, end, 100):
        assert any(tick <= seen < tick + 8 for seen in found)
    for path in (run / "snapshots").iterdir():
        with Image.open(path) as grid:
            assert grid.size == (8 * 16, 8 * 16)


def test_the_checkpoint_is_of_the_end_and_complete_and_names_no_path(finished, photos):
    run, _ = finished
    checkpoint = load_checkpoint(run)
    assert checkpoint.images_seen == rows(run)[-1]["images_seen"]
    assert (checkpoint.name, checkpoint.model) == ("run", TINY)
    assert checkpoint.history == rows(run)
    assert contents(checkpoint.folder / "snapshots") == contents(run / "snapshots")
    assert checkpoint.discriminator(torch.zeros(1, 3, 16, 16)).isfinite().all()
    config = checkpoint.config
    assert (config["train"]["recipe"], config["train"]["lr"], config["data"]["name"]) == ("dcgan", 0.0002, photos.name)
    assert 0 < config["data"]["count"] < 40
    assert config["data"]["digest"]
    assert config["versions"]["torch"] == torch.__version__
    for path in (run / "checkpoint").rglob("*"):
        if path.suffix in (".json", ".jsonl", ".md"):
            assert str(photos.parent) not in path.read_text()
    card = (run / "checkpoint" / "README.md").read_text()
    (picture,) = re.findall(r"\((snapshots/\d+\.webp)\)", card)
    assert (run / "checkpoint" / picture).is_file()
    assert "--recipe dcgan" in card


def test_the_dcgan_recipe_keeps_the_generator_as_trained_and_the_best_one_the_average(finished, tmp_path):
    _, config = configure({**RECIPES["best"], "batch_size": 8, "max_images": 40, "ngpu": 0})
    train(TINY, config, in_memory(), tmp_path / "best")
    for run, part in ((finished[0], "generator"), (tmp_path / "best", "shown")):
        kept, nets = load_file(run / "checkpoint" / "generator.safetensors"), state(run)["networks"]
        assert all(torch.equal(kept[name], value.half()) for name, value in nets[part].items() if value.ndim)
    assert not torch.equal(kept["main.0.weight"], nets["generator"]["main.0.weight"].half())


def test_the_same_seed_gives_the_same_run_and_another_seed_another(finished, photos, tmp_path):
    run, _ = finished
    trained(tmp_path / "run", "--dataroot", photos, *TUTORIALS)
    assert contents(tmp_path / "run" / "checkpoint") == contents(run / "checkpoint")
    assert identical(state(tmp_path / "run"), state(run))
    trained(tmp_path / "other", "--dataroot", photos, *TUTORIALS, "--seed=1")
    assert not identical(state(tmp_path / "other")["networks"], state(run)["networks"])


def test_a_run_keeps_so_many_generators_of_its_course(tmp_path):
    checkpoint = load_checkpoint(train_tiny(tmp_path / "run", moments=3, tick=100, max_images=400))
    assert len(checkpoint.moments) == 3
    assert checkpoint.moments[0].images_seen == 0
    assert checkpoint.moments[-1].images_seen == checkpoint.images_seen == 400
    then, now = (checkpoint.generator_at(checkpoint.moments[i]) for i in (0, -1))
    pairs = zip(now.parameters(), checkpoint.generator.parameters(), strict=True)
    assert all(torch.allclose(a, b, rtol=0, atol=b.abs().max() / 100) for a, b in pairs), "up to int8"
    assert not torch.equal(then.main[0].weight, now.main[0].weight)


def test_grey_images_train_too_outside_the_main_thread(tmp_path):
    worker = threading.Thread(target=train_tiny, args=(tmp_path / "run", False, replace(TINY, nc=1)), daemon=True)
    worker.start()
    worker.join()
    assert load_checkpoint(tmp_path / "run").model.nc == 1


# What stops it before it starts


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 1},
        {"epochs": -1},
        {"epochs": 0, "max_images": 0},
        {"lr": float("nan")},
        {"lr_d": float("inf")},
        {"beta1": 1.0},
        {"r1": -1.0},
        {"seed": 2**32},
        {"augment": "color,blur"},
        {"recipe": "better"},
        {"log": "paper"},
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_one_line_that_names_it(wrong):
    with pytest.raises(ValueError, match=list(wrong)[-1]) as caught:
        TrainConfig(**wrong)
    assert "\n" not in str(caught.value)


def test_a_library_for_curves_that_is_missing_is_one_line_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="--log wandb needs a library that is not here: pip install wandb"):
        train_tiny(tmp_path / "run", log="wandb")
    assert not (tmp_path / "run").exists()


class Once(torch.autograd.Function):
    """An alteration that can be differentiated once, as `grid_sample` in older versions of torch."""

    @staticmethod
    def forward(ctx, images: Tensor) -> Tensor:
        return images.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient


def test_an_alteration_that_this_torch_cannot_differentiate_twice_is_refused_with_a_penalty(tmp_path, monkeypatch):
    monkeypatch.setitem(ALTERATIONS, "translation", Once.apply)
    with pytest.raises(TrainingError, match=r"twice, as --r1 and --r2 need: leave translation out of --augment, or"):
        train_tiny(tmp_path / "run", r1=1.0, augment="translation")
    assert not (tmp_path / "run").exists()
    train_tiny(tmp_path / "run", augment="translation")


@pytest.mark.parametrize(("names", "warned"), [(1, True), (300, False)])
def test_files_of_one_name_that_spoil_the_held_out_tenth_are_warned_of(tmp_path, capsys, names, warned):
    images = replace(in_memory(300), names=[f"{i}/{i % names:06d}.png" for i in range(300)])
    train(TINY, settings(max_images=8), images, tmp_path / "run")
    assert ("warning: 0% of the images" in capsys.readouterr().out) == warned


def test_a_device_that_cannot_compute_the_training_gives_way_to_the_cpu_in_one_line(capsys):
    ranks = Ranks(device=torch.device("meta"))  # it has shapes, and no numbers
    assert capable(ranks, TINY, settings()).device == torch.device("cpu")
    (line,) = capsys.readouterr().out.splitlines()
    assert "meta" in line and "on the CPU" in line


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:99", "xpu:-1", ""])
def test_a_device_that_is_not_there_is_one_line_that_names_those_that_are(name):
    with pytest.raises(ValueError, match=r"--device .* auto, cpu"):
        find_device(name)


def test_without_gpus_the_device_is_the_cpu_whatever_there_is():
    assert join(ngpu=0, batch_size=8).device == find_device("cpu") == torch.device("cpu")
