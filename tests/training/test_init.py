"""`--init`: a training that begins from a checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from dcgan.checkpoint import CheckpointError, load_checkpoint
from dcgan.hub.card import complete_card
from dcgan.training.command import build_parser, choose_settings
from tests.training.tiny import TINY_FLAGS, contents, train_tiny, trained

BASE_TERMS, OWN_TERMS = "cc-by-4.0", "mit"
FLAGS = ["--batch-size=8", "--workers=0", "--ngpu=0"]  # sizes are those of the checkpoint


@pytest.fixture(scope="module")
def base(photos: Path, tmp_path_factory) -> Path:
    """A run of one iteration."""
    run = tmp_path_factory.mktemp("base") / "elders"
    about = ["--data-license", BASE_TERMS, "--data-name", "old blots", "--ema=100"]
    trained(run, "--dataroot", photos, "--max-images=8", *TINY_FLAGS, *about)
    return run


@pytest.fixture(scope="module")
def begun(base: Path, photos: Path, tmp_path_factory) -> Path:
    """A run that began from it, after its checkpoint has gone."""
    run = tmp_path_factory.mktemp("begun") / "mine"
    source = shutil.copytree(base, run.parent / "copy")
    trained(run, "--dataroot", photos, "--init", source, "--data-license", OWN_TERMS, "--max-images=16", *FLAGS)
    shutil.rmtree(source)
    return run


def test_both_networks_and_the_average_start_from_the_checkpoint(base, tmp_path):
    init = load_checkpoint(base)
    end = load_checkpoint(train_tiny(tmp_path / "run", model=init.model, init=init, max_images=8, lr=0.0, ema=1000))
    for now, then in ((end.discriminator, init.discriminator), (end.generator, init.generator)):
        assert all(torch.equal(a, b) for a, b in zip(now.parameters(), then.parameters(), strict=True))


def test_a_model_on_the_hub_is_begun_from_by_its_name(hub, base, photos, tmp_path):
    hub.add("models", "me/elders", contents(base / "checkpoint"))
    begun = trained(tmp_path / "run", "--dataroot", photos, "--init", "me/elders", "--max-images=8", *FLAGS)
    assert begun.config["init"]["name"] == "elders"


def test_sizes_and_the_recipe_follow_from_the_checkpoint(base):
    model, config = choose_settings(build_parser().parse_args(["--init", "x"]), {}, load_checkpoint(base))
    assert (model, config.recipe) == (load_checkpoint(base).model, "finetune")


@pytest.mark.parametrize("flag", ["--nz=9", "--ngf=4", "--ndf=4", "--image-size=32", "--nc=1", "--no-d-bias"])
def test_another_size_is_one_line_that_names_the_flag(base, photos, tmp_path, refusal, flag):
    line = refusal("train", "--dataroot", photos, "--out", tmp_path / "run", "--init", base, flag)
    assert flag.partition("=")[0].replace("--no-", "--") in line
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_begun_from_is_one_line(base, photos, tmp_path, refusal):
    alone = shutil.copytree(base / "checkpoint", tmp_path / "alone")
    (alone / "discriminator.safetensors").unlink()
    begin = ["train", "--dataroot", photos, "--out", tmp_path / "run"]
    assert "no checkpoint at" in refusal(*begin, "--init", tmp_path / "none")
    assert "no discriminator" in refusal(*begin, "--init", alone)
    assert "--init" in refusal(*begin, "--recipe=finetune")
    assert "--init" in refusal("train", "--out", base, "--resume", "--init", base), "it began from nothing"


def test_config_and_card_say_what_it_began_from_and_whose_terms_hold(begun):
    checkpoint = load_checkpoint(begun)
    init = checkpoint.config["init"]
    assert (init["name"], init["images_seen"], init["data"]["license"]) == ("elders", 8, BASE_TERMS)
    assert checkpoint.licenses == [OWN_TERMS, BASE_TERMS]
    assert all(said in checkpoint.card for said in ("elders", "old blots", BASE_TERMS, OWN_TERMS))
    assert "license: other" in complete_card(checkpoint, "me/mine")


def test_what_it_began_from_is_remembered_over_generations(begun, photos, tmp_path):
    third = trained(tmp_path / "run", "--dataroot", photos, "--init", begun, "--max-images=8", *FLAGS)
    assert third.licenses == ["", OWN_TERMS, BASE_TERMS]


def test_resuming_needs_the_checkpoint_no_more_and_says_the_same(begun, tmp_path):
    checkpoint = trained(shutil.copytree(begun, tmp_path / "mine"), "--resume", "--max-images=24")
    assert checkpoint.images_seen == 24
    assert checkpoint.config["init"] == load_checkpoint(begun).config["init"]


def test_resuming_with_another_checkpoint_to_begin_from_is_refused_and_with_the_same_goes_on(
    begun, base, photos, tmp_path, refusal
):
    run, other = shutil.copytree(begun, tmp_path / "mine"), tmp_path / "other"
    trained(other, "--dataroot", photos, "--max-images=8", *TINY_FLAGS)
    for init, why in ((other, "it was 'elders' after 8 images, not"), (tmp_path / "gone", "no checkpoint at")):
        line = refusal("train", "--resume", "--out", run, "--init", init, "--max-images=24")
        assert why in line and "leave it out" in line
    assert trained(run, "--resume", "--init", base, "--max-images=24").images_seen == 24


@pytest.mark.parametrize("init", [{}, {"data": {}}, {"data": {}, "images_seen": "8"}, {"data": 3, "images_seen": 8}])
def test_a_strangers_config_that_says_nonsense_of_it_is_damaged(begun, tmp_path, init):
    folder = shutil.copytree(begun / "checkpoint", tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "init": {"name": "x", **init, "init": 1}}))
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(folder)
