"""The model card says what was measured, and of how many images."""

from dataclasses import asdict

import pytest

from dcgan.training.card import model_card
from tests.training.tiny import TINY, settings


def card(floor: dict, **data: object) -> str:
    about = {"name": "mine", "count": 108, **data}
    config = {"name": "tiny", "model": asdict(TINY), "train": asdict(settings()), "data": about, "images_seen": 640}
    return model_card({**config, "metrics": {"fd": 3.5}, "floor": {"fd": 1.25, **floor}})


@pytest.mark.parametrize(
    ("heldout", "said"),
    [
        (12, "108 training images (12 more held out, never trained on)"),
        (0, "108 training images (none held out)"),
        (None, "108 training images (about a tenth more is held out and was never trained on)"),  # not written down
    ],
)
def test_held_out_images_are_counted(heldout, said):
    assert said in card({"n": 54}, heldout=heldout)


@pytest.mark.parametrize(
    ("floor", "head"),
    [
        ({"n": 700}, "700 samples against as many held-out images"),
        ({"n": 54, "against": "training"}, "54 samples against as many training images"),
        ({"n": 120, "against": "all"}, "120 samples against as many images, training images among them"),
        ({}, "samples against real images"),
    ],
)
def test_the_figures_name_what_they_were_taken_against(floor, head):
    assert f"| {head} | this generator |" in card(floor)
    assert "| Fréchet distance of random features (lower is better) | 3.5 | 1.25 |" in card(floor)


@pytest.mark.parametrize(("crop", "said"), [(None, "the centre square"), ("face", "a square around each face")])
def test_the_crop_of_the_measured_images_is_named(crop, said):
    assert f"Crop: {said}" in card({"n": 54}, crop=crop)
