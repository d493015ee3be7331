"""The model card says what was measured, and of how many images."""

from dataclasses import asdict

import pytest

from dcgan.training.card import model_card
from tests.training.tiny import TINY, settings


def card(floor: dict, **data: object) -> str:
    about = {"name": "mine", "count": 108, **data}
    config = {"name": "tiny", "model": asdict(TINY), "train": asdict(settings()), "data": about, "images_seen": 640}
    return model_card({**config, "metrics": {"fd": 3.5}, "floor": {"fd": 1.25, **floor}})


FIGURES = "| {} | this generator |"


@pytest.mark.parametrize(
    ("floor", "data", "said"),
    [
        ({}, {"heldout": 12}, "108 training images (12 more held out, never trained on)"),
        ({}, {"heldout": 0}, "108 training images (none held out)"),
        ({}, {}, "108 training images (about a tenth more is held out and was never trained on)"),  # not written down
        ({}, {}, "Crop: the centre square"),
        ({}, {"crop": "face"}, "Crop: a square around each face"),
        ({}, {}, "| Fréchet distance of random features (lower is better) | 3.5 | 1.25 |"),
        ({}, {}, FIGURES.format("samples against real images")),
        ({"n": 700}, {}, FIGURES.format("700 samples against as many held-out images")),
        ({"n": 54, "against": "training"}, {}, FIGURES.format("54 samples against as many training images")),
        (
            {"n": 120, "against": "all"},
            {},
            FIGURES.format("120 samples against as many images, training images among them"),
        ),
    ],
)
def test_it_says_what_was_measured_of_how_many_images_and_against_what(floor, data, said):
    assert said in card(floor, **data)
