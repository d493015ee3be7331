"""`python train.py`: its flags, its defaults, and one line for each mistake."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from PIL import Image

from dcgan.checkpoint import load_checkpoint
from dcgan.data import load_images
from dcgan.model import ModelConfig
from dcgan.training import choices
from dcgan.training.choices import unused
from dcgan.training.command import build_parser, choose_settings, main
from dcgan.training.config import RESUMABLE, TrainConfig
from tests.training.tiny import TINY_FLAGS as TINY
from tests.training.tiny import contents, trained

ROOT = Path(__file__).parents[2]


def chosen(*flags: str) -> tuple[ModelConfig, TrainConfig]:
    return choose_settings(build_parser().parse_args(list(flags)), {})


# Flags


def test_help_explains_every_setting(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "python train.py --dataroot" in text
    for flag in ("--dataroot", "--out", "--resume", "--name", "--limit"):
        assert f"{flag} " in text
    for field in (*fields(ModelConfig), *fields(TrainConfig)):
        flag = "--" + field.name.replace("_", "-")
        assert f"{flag} " in text or f"{flag}, --no" in text
        assert field.metadata["help"] in text


def test_the_dcgan_recipe_has_the_tutorials_defaults():
    model, config = chosen("--recipe", "dcgan")
    shape = {"image_size": 64, "nc": 3, "nz": 100, "ngf": 64, "ndf": 64, "d_norm": "batch", "d_bias": False}
    assert asdict(model) == shape
    tutorials = {"workers": 2, "batch_size": 128, "epochs": 5, "lr": 0.0002, "beta1": 0.5, "ngpu": 1, "seed": 999}
    beyond = {"loss": "bce", "r1": 0, "flip": False, "augment": "", "ema": 0, "drop_last": False, "precision": "fp32"}
    assert asdict(config).items() >= {**tutorials, **beyond, "max_images": 0, "lr_d": 0}.items()


def test_the_best_recipe_is_chosen_by_default_and_epochs_end_it_in_place_of_its_images():
    model, config = chosen("--epochs", "3")
    assert (model, config.recipe) == (ModelConfig(d_bias=True), "best")
    assert config.ema > 0
    assert (config.epochs, config.max_images) == (3, 0)


@pytest.mark.parametrize("recipe", ["dcgan", "best"])
def test_a_flag_goes_before_its_recipe(recipe):
    flags = ["--lr=0.01", "--flip", "--ema=5", "--max-images=2560", "--image-size=32", "--nc=1"]
    model, config = chosen("--recipe", recipe, *flags)
    assert (config.recipe, config.lr, config.flip, config.ema, config.max_images) == (recipe, 0.01, True, 5, 2560)
    assert (model.image_size, model.nc) == (32, 1)
    assert chosen("--recipe", recipe, "--no-flip")[1].flip is False


# Mistakes


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--batch-size 64", "40 images"),
        ("--dataroot empty", "empty"),
        ("--resume", "nothing to resume in 'run'"),
        ("--out file", "file"),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_leaves_no_run(tmp_path, refusal, photos, monkeypatch, flags, named):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").write_text("in the way")
    line = refusal("train", "--dataroot", photos, "--out", "run", *TINY, "--max-images=8", *flags.split())
    assert line.startswith("train.py: ") and named in line
    assert not Path("run").exists()
    assert Path("file").read_text() == "in the way"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--limit", "0"], "--limit: must be a whole number above 0"),
        (["--data-hub", "https://example.com/me/blots"], "--data-hub: must read OWNER/NAME"),
        (["--data-hub", "me/blots\nmore"], "--data-hub: must read OWNER/NAME"),
        (["--dataroot", "my", "photos"], "unrecognized arguments: photos: a path with spaces wants quotes around it"),
        (["--datarot", "photos"], "unrecognized arguments: --datarot photos"),
    ],
)
def test_a_slip_ends_in_a_line_that_is_not_lost_in_all_flags(capsys, flags, said):
    with pytest.raises(SystemExit) as ended:
        main(flags)
    assert ended.value.code == 2
    usage, line = capsys.readouterr().err.splitlines()
    assert "--help" in usage
    assert said in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--changed-data ok", "--changed-data is not used"),
        ("--epochs 3 --max-images 8", "--epochs is not used: --max-images 8 decides"),
        ("--penalty-every 4", "--penalty-every is not used: there is no penalty without --r1 or --r2"),
        ("--recipe dcgan --adapt 0.3", "--adapt is not used: nothing is altered without --augment"),
        ("--ngpu 0 --device cuda", "--device is not used: --ngpu 0 is the CPU"),
        ("--d-norm none --d-bias", "--d-bias is not used: with --d-norm none all layers have a bias"),
        ("--epochs 3 --r1 1 --penalty-every 4 --d-bias", ""),
        ("", ""),
    ],
)
def test_a_flag_that_changes_nothing_beside_the_others_is_named(flags, said):
    parsed = build_parser().parse_args(flags.split())
    lines = unused(parsed, *choose_settings(parsed, {}))
    assert len(lines) == bool(said)
    assert all(line.startswith(said) for line in lines)


@pytest.mark.parametrize("source", ["avatars", "photos", "hf://datasets/me/blots", "nowhere.mp4"])
def test_seconds_between_frames_are_for_a_film(tmp_path, photos, monkeypatch, refusal, source):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photos, "photos")
    line = refusal("train", "--dataroot", source, "--every", "2", "--out", "run", *TINY)
    assert f"--every is for a film, and there is none at '{source}'" in line


@pytest.mark.parametrize("prefix", ["", "hf://datasets/", "https://huggingface.co/datasets/"])
@pytest.mark.parametrize("name", ["me/blots", "me/blots@v1/a b.zip"])
def test_data_on_the_hub_is_named_by_its_address_or_without(prefix, name):
    assert build_parser().parse_args(["--data-hub", prefix + name]).data_hub == name


# A run and its continuation


@pytest.fixture(scope="module")
def original(photos, tmp_path_factory) -> Path:
    """A run of two iterations."""
    run = tmp_path_factory.mktemp("cli") / "mine"
    about = ["--data-name", " Blots\n\n", "--data-license", "made by code, free", "--data-hub", "me/blots"]
    trained(run, "--dataroot", photos, "--name", "Visages", "--limit", "39", "--max-images=16", *about, *TINY)
    return run


@pytest.fixture
def run(original, tmp_path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(original, tmp_path / "mine"))


def test_a_run_or_a_checkpoint_that_is_there_is_not_overwritten(original, tmp_path, photos, refusal):
    before = contents(original)
    line = refusal("train", "--dataroot", photos, "--out", original, *TINY)
    assert f"'{original}' holds a run already: add --resume" in line
    assert contents(original) == before
    shutil.copytree(original / "checkpoint", tmp_path / "run" / "checkpoint")
    for flags in (["--dataroot", photos, *TINY], ["--resume"]):
        line = refusal("train", "--out", tmp_path / "run", *flags)
        assert "checkpoint, but not what resuming needs (state/): choose another --out" in line
    assert load_checkpoint(tmp_path / "run").images_seen == 16


def test_resuming_says_which_run_it_wants(original, monkeypatch, refusal, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert refusal("train", "--resume").endswith("goes on with a run: name it with --out")
    shutil.copytree(original, "runs/the last")
    assert refusal("train", "--resume").endswith("such as --out 'runs/the last'")
    for name in ("checkpoint", "state"):
        assert refusal("train", "--resume", "--out", original / name).endswith(f"give --out {original}")
        assert f"give --out {original}" in refusal("train", "--out", original / name)


@pytest.mark.parametrize(
    "name",
    ["checkpoint/mine", "crops.png", "generators/0000000009.safetensors", "state/mine", "history.jsonl", "loss.png"],
)
def test_what_is_not_a_runs_own_is_not_overwritten(tmp_path, photos, refusal, name):
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    line = refusal("train", "--dataroot", photos, "--out", tmp_path / "run", *TINY)
    assert f"holds {name.partition('/')[0]}, which a run would overwrite: choose another --out" in line
    assert contents(tmp_path / "run") == {name: b"mine"}


def test_a_run_killed_before_its_settings_were_written_starts_again(tmp_path, photos):
    for name in ("state", "snapshots"):
        (tmp_path / name).mkdir()
    (tmp_path / "history.jsonl").touch()
    (tmp_path / "state" / "settings.json.tmp").write_text("{")
    assert trained(tmp_path, "--dataroot", photos, "--max-images=8", *TINY).images_seen == 8


def test_a_run_that_was_finished_while_photos_were_read_is_not_overwritten(
    original, tmp_path, photos, refusal, monkeypatch
):

    def slowly(*args, **options):
        shutil.copytree(original, tmp_path / "mine")
        return load_images(*args, **options)

    monkeypatch.setattr(choices, "load_images", slowly)
    assert "--resume" in refusal("train", "--dataroot", photos, "--out", tmp_path / "mine", *TINY)
    assert contents(tmp_path / "mine") == contents(original)


@pytest.mark.parametrize(
    "flags", ["--image-size=32 --no-flip", "--recipe=dcgan", "--limit=20 --augment=", "--ngf=4 --max-images=32"]
)
def test_resuming_with_other_settings_is_refused_by_name(original, refusal, flags):
    before = contents(original)
    line = refusal("train", "--out", original, "--resume", *flags.split())
    for flag in flags.split():
        name = flag.partition("=")[0].replace("--no-", "--")
        assert (f"{name} was" in line) == (name != "--max-images")
    assert contents(original) == before


def test_resuming_goes_on_with_the_runs_settings_and_takes_the_changes_that_are_allowed(run):
    assert not set(RESUMABLE) & {"batch_size", "seed", "loss", "recipe", "precision", "ema", "image_size", "nz"}
    checkpoint = trained(run, "--resume", "--max-images=32", "--tick=8", "--workers=1", "--ngpu=0", "--lr=0.001")
    assert (checkpoint.images_seen, checkpoint.model.nz, checkpoint.name) == (32, 8, "Visages")
    settings = checkpoint.config["train"]
    assert (settings["tick"], settings["workers"], settings["batch_size"], settings["lr"]) == (8, 1, 8, 0.001)
    about = checkpoint.config["data"]
    assert (about["name"], about["license"], about["hub"]) == ("Blots", "made by code, free", "me/blots")
    assert "Blots" in checkpoint.card and "made by code, free" in checkpoint.card


@pytest.mark.parametrize("flags", [["--epochs", "1"], [*TINY, "--recipe", "best", "--limit", "39", "--max-images=24"]])
def test_resuming_with_more_epochs_or_the_same_settings_named_again_goes_on(run, tmp_path, photos, flags):
    """And finds the same photos elsewhere."""
    shutil.copytree(photos, tmp_path / "moved")
    assert trained(run, "--resume", "--dataroot", tmp_path / "moved", *flags).images_seen > 16


def test_resuming_where_nothing_is_left_to_do_says_so(run, capsys):
    before = load_checkpoint(run).config
    assert trained(run, "--resume").config == before
    assert "16 images are seen already: give --max-images above that to go on\n" in capsys.readouterr().out


@pytest.mark.parametrize(("weight", "code"), [(0.0, 0), (0.1, 2)])
def test_a_setting_that_is_gone_is_ignored_where_it_was_off_and_refused_where_it_was_on(run, capsys, weight, code):
    path = run / "state" / "settings.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({**saved, "train": {**saved["train"], "lecam": weight}}))
    assert main(["--out", str(run), "--resume", "--max-images", "24"]) == code
    assert ("this version has no lecam (0.1)" in capsys.readouterr().err) == bool(code)


def test_resuming_on_other_photos_or_none_is_refused(run, tmp_path, photos, refusal):
    shutil.copytree(photos, tmp_path / "photos")
    Image.new("RGB", (24, 28), "red").save(tmp_path / "photos" / "a new one.png")
    before = contents(run)
    reasons = {tmp_path / "photos": "the data changed", tmp_path / "gone": "gone", "avatars": "the run began with"}
    for place, why in reasons.items():
        line = refusal("train", "--out", run, "--resume", "--dataroot", place)
        assert why in line
        assert str(place) in line
    assert contents(run) == before


def test_a_run_among_the_photos_is_none_of_them_and_not_written_over_them(
    tmp_path, photos, monkeypatch, capsys, refusal
):
    shutil.copytree(photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path / "photos")
    for name in ("runs/a", "runs/deep/b"):
        trained(name, "--dataroot", ".", "--max-images=8", *TINY)
        assert trained(name, "--resume", "--max-images=16").images_seen == 16
    assert len(load_images(".", 16, workers=0)) == 40
    assert "left out" not in capsys.readouterr().out
    before = contents(tmp_path / "photos")
    assert "both" in refusal("train", "--dataroot", ".", "--out", tmp_path / "photos", *TINY)
    assert contents(tmp_path / "photos") == before


@pytest.mark.parametrize("content", ["", "\xff", '{"name": "a", "model": [], "train": {}, "data": {}}'])
def test_damaged_settings_are_one_line_that_names_them(run, refusal, content):
    (run / "state" / "settings.json").write_text(content)
    assert "settings.json" in refusal("train", "--out", run, "--resume")


# A process of its own, and signals


def test_a_mistake_exits_with_2_and_one_line_and_neither_gradio_nor_what_draws_faces_is_imported(tmp_path):
    for name in ("gradio", "python_avatars", "resvg_py"):
        code = "from pathlib import Path; Path(__file__).with_suffix('.imported').touch()"
        (tmp_path / f"{name}.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    argv = [sys.executable, "train.py", "--image-size", "60"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 2
    assert done.stderr == "train.py: image_size must be one of 16, 32, 64, 128, 256, not 60\n"
    assert list(tmp_path.glob("*.imported")) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_while_photos_are_read_ends_it_and_leaves_nothing(tmp_path, photos, monkeypatch, capsys, number, code):
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Image, "open", lambda *_, **__: signal.raise_signal(number))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main(["--dataroot", str(photos), "--out", str(tmp_path / "run"), "--max-images", "8", *TINY])
    assert ended.value.code == code
    assert capsys.readouterr().err.count("train.py: stopped") == 1
    assert not (tmp_path / "run").exists()
    assert [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"] == []
    assert signal.getsignal(signal.SIGTERM) == before
