"""Readings: each rises with what its name says, and every name is known to the page."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import dcgan.demo.explorer
from dcgan.data import avatars
from dcgan.data.faces import FRAME
from dcgan.metrics import face_nets
from dcgan.metrics.attributes import Attribute, AttributeNet
from dcgan.metrics.readings import (
    AGE_AND_GENDER,
    COLOUR,
    DRAWN,
    FACE,
    LIGHT,
    SHAPE,
    face_reader,
    glasses,
    label_reader,
    picture_reader,
    shape,
)

WORDS = json.loads(Path(dcgan.demo.explorer.__file__).with_name("ko.json").read_text(encoding="utf-8"))


def drawn_readings() -> tuple:
    net = AttributeNet(16, 3, tuple(Attribute(name, values) for name, values in avatars.FACTORS.items()))
    return label_reader(net.eval()).readings


def test_every_slider_has_a_name_and_ends_in_both_languages() -> None:
    for reading in (*AGE_AND_GENDER, *FACE, *LIGHT, *COLOUR, *drawn_readings()):
        assert reading.auxiliary or {reading.name, *reading.ends} <= set(WORDS), reading.name


def test_the_drawn_faces_sliders_name_values_that_there_are() -> None:
    for name, (_, values) in DRAWN.items():
        assert set(values) < set(avatars.FACTORS[name]), name
    assert len(drawn_readings()) == len(DRAWN)


def plain(red: float = 0.5, green: float = 0.5, blue: float = 0.5) -> Tensor:
    return (255 * torch.tensor([red, green, blue])[:, None, None].expand(3, 32, 32)).clone()


def with_part(rows: slice, columns: slice, value: float) -> Tensor:
    image = plain()
    image[:, rows, columns] = 255 * value
    return image


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [
        ("brightness", plain(0.4, 0.4, 0.4), plain(0.6, 0.6, 0.6)),
        ("warmth", plain(0.4, 0.5, 0.6), plain(0.6, 0.5, 0.4)),
        ("saturation", plain(), plain(0.9, 0.5, 0.5)),
        ("contrast", plain(), with_part(slice(0, 16), slice(None), 1.0)),
        ("background", plain(), with_part(slice(0, 8), slice(0, 3), 1.0)),
        ("lighting", with_part(slice(None), slice(0, 16), 1.0), with_part(slice(None), slice(16, 32), 1.0)),
    ],
)
def test_light_and_colour_rise_with_what_their_names_say(name: str, less: Tensor, more: Tensor) -> None:
    reader = picture_reader(3)
    values = reader.read(torch.stack([less, more]).to(torch.uint8))
    index = [reading.name for reading in reader.readings].index(name)
    assert values[1, index] > values[0, index] + 0.01


def test_grey_pictures_have_no_colour() -> None:
    reader = picture_reader(1)
    assert {reading.name for reading in reader.readings} == {reading.name for reading in LIGHT}
    assert reader.read(torch.zeros(2, 1, 32, 32, dtype=torch.uint8)).shape == (2, len(LIGHT))


def test_faces_are_read_with_age_and_gender_only_where_no_label_says_them() -> None:
    images = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for known, readings in (((), (*AGE_AND_GENDER, *FACE)), (("age", "gender"), FACE)):
        reader = face_reader(FRAME, known)
        assert reader.readings == readings
        values = reader.read(images)
        assert values.shape == (2, len(readings))
        assert values.isfinite().all()


def plain_landmarks() -> Tensor:
    """Landmarks [1, 68, 2] of a level, serious face that looks straight ahead."""
    points = torch.full((1, 68, 2), 0.5)
    for eye, x in ((slice(36, 42), 0.3), (slice(42, 48), 0.7)):
        points[:, eye, 0] = x
        points[:, eye, 1] = torch.tensor([0.3, 0.28, 0.28, 0.3, 0.32, 0.32])
    points[:, 17:27, 1] = 0.2  # the eyebrows
    points[:, 48:68, 1] = 0.7  # the mouth
    return points


@pytest.mark.parametrize(
    ("name", "places", "move"),
    [
        ("mouth", [65, 66, 67], (0, 0.05)),
        ("head turn", [30], (0.05, 0)),
        ("head tilt", [*range(42, 48)], (0, 0.05)),
        ("nod", [30], (0, -0.05)),
        ("eyebrows", [*range(17, 27)], (0, -0.05)),
        ("eyes", [37, 38, 43, 44], (0, -0.02)),
        ("size", [*range(42, 48)], (0.05, 0)),
    ],
)
def test_what_landmarks_say_rises_with_what_its_name_says(name: str, places: list[int], move: tuple) -> None:
    before, after = plain_landmarks(), plain_landmarks()
    after[:, places] += torch.tensor(move)
    index = [reading.name for reading in SHAPE].index(name)
    assert shape(after)[index] > shape(before)[index] + 0.01


def test_a_dark_frame_around_the_eyes_is_glasses_and_a_darker_face_is_not() -> None:
    bare = torch.full((1, 3, 64, 64), 180.0)
    framed = bare.clone()
    framed[:, :, 19, 19:45] = 20  # over the bridge
    framed[:, :, 25, 12:27] = framed[:, :, 25, 38:53] = 20  # under the eyes
    values = [float(glasses(images, plain_landmarks())) for images in (bare, bare / 2, framed)]
    assert values[:2] == pytest.approx([0, 0], abs=1e-3)
    assert values[2] > 10


def test_the_networks_of_faces_read_mirrored_faces_mirrored() -> None:
    """Wrong padding, or weights in a wrong order, would not."""
    from dcgan.data.avatars import draw, factors

    face = torch.from_numpy(np.array(draw(factors(3), 64))).permute(2, 0, 1)
    both = torch.stack([face, face.flip(2)])
    points = face_nets.landmarks(both)
    assert points.shape == (2, 68, 2)
    assert (points[0, 36:48, 0].mean() + points[1, 36:48, 0].mean()) == pytest.approx(1, abs=0.1)  # the eyes
    assert points[:, 8, 1].min() > points[:, 36:48, 1].max()  # the chin is below them
    assert face_nets.expressions(both).shape == (2, len(face_nets.EXPRESSIONS))
    age, gender = face_nets.age_and_gender(both)
    assert ((age > 0) & (age < 100)).all()
    assert gender.isfinite().all()
