"""Labels from names, and a network that learns them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan.data import Images, avatars
from dcgan.metrics import attributes
from dcgan.metrics.attributes import Attribute, AttributeNet, attribute_loss, attribute_net, labels

DATES = [f"201701{i:011d}" for i in range(700)]


def images_named(names: list[str], name: str = "faces", pixels: np.ndarray | None = None, folder: Path | None = None):
    if pixels is None:
        pixels = np.zeros((len(names), 3, 16, 16), np.uint8)
    return Images(name, pixels, names, [], "digest", folder)


def test_utkface_names_are_age_gender_and_race():
    found = labels(images_named([f"a/26_1_2_{DATES[0]}.webp", f"61_0_4_{DATES[1]}.jpg.chip.jpg"]))
    assert [a.name for a in found.attributes] == ["age", "gender", "race"]
    assert found.values.tolist() == [[26, 1, 2], [61, 0, 4]]
    age, gender, race = found.attributes
    assert (age.values, gender.values, len(race.values)) == ((), ("male", "female"), 5)
    assert race.auxiliary and not gender.auxiliary and not age.auxiliary


def test_a_name_that_lacks_a_field_keeps_its_age_alone():
    whole = [f"30_0_0_{date}.jpg" for date in DATES[:18]]
    found = labels(images_named([*whole, f"61_3_{DATES[20]}.jpg", "portrait.jpg"]))
    assert found.values[18, 0] == 61
    assert np.isnan(found.values[18, 1:]).all() and np.isnan(found.values[19]).all()


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("faces", ["IMG_0001.jpg", "IMG_0002.jpg"]),
        ("faces", ["1_1_1.png", "1_1_2.png"]),
        ("faces", ["20170101_120000.jpg"]),
        ("faces", [f"30_2_0_{DATES[0]}.jpg"]),
        ("faces", [*(f"30_0_0_{date}.jpg" for date in DATES[:8]), "a.jpg", "b.jpg"]),
        ("avatars", ["000003.png", "000011.png"]),  # a folder of that name
    ],
)
def test_other_names_tell_nothing(name, names):
    assert labels(images_named(names, name)) is None


def test_drawn_faces_have_their_factors():
    found = labels(images_named(["000003", "000011"], "avatars"))
    for row, index in zip(found.values, (3, 11), strict=True):
        named = {a.name: a.values[int(value)] for a, value in zip(found.attributes, row, strict=True)}
        assert named == avatars.factors(index)


def faces(folder: Path | None = None, count: int = 700, size: int = 16) -> Images:
    """Pictures whose brightness is the age, whose upper half is red or blue by gender."""
    random = np.random.default_rng(0)
    ages, genders, races = random.integers(0, 100, count), random.integers(0, 2, count), random.integers(0, 5, count)
    pixels = random.normal(0, 10, (count, 3, size, size)) + 40 + 1.2 * ages[:, None, None, None]
    pixels[genders == 1, 0, : size // 2] += 50
    pixels[genders == 0, 2, : size // 2] += 50
    names = [f"{a}_{g}_{r}_{d}.jpg" for a, g, r, d in zip(ages, genders, races, DATES, strict=False)]
    return images_named(names, pixels=pixels.clip(0, 255).astype(np.uint8), folder=folder)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packed")


@pytest.fixture(scope="module")
def net(kept: Path) -> AttributeNet:
    return attribute_net(faces(kept), progress=False)


def test_it_learns_what_shows_and_says_how_well(net):
    assert net.scores["gender"] > 0.95
    assert net.scores["age"] < 10  # years
    assert net.scores["race"] < 0.5  # which does not show
    unseen = faces()
    heldout = np.flatnonzero(unseen.heldout)
    read, known = net.predict(unseen.batch(heldout)), labels(unseen).values[heldout]
    assert float((read["gender"].numpy() == known[:, 1]).mean()) == pytest.approx(net.scores["gender"], abs=1e-3)
    assert float(np.abs(read["age"].numpy() - known[:, 0]).mean()) == pytest.approx(net.scores["age"], abs=1e-3)


def test_features_are_alike_for_like_faces_whatever_the_batch(net):
    pictures = faces().batch(np.arange(6))
    features, outputs = net.read(pictures)
    assert (features.shape, outputs.shape) == ((6, 128), (6, 1 + 2 + 5))
    assert torch.allclose(net.read(pictures, batch_size=2)[0], features, atol=1e-4)
    assert features.std(dim=0).max() > 0.1


def test_a_kept_network_is_opened_and_not_trained_again(kept, net):
    [file] = kept.iterdir()
    before = file.stat().st_mtime_ns
    again = attribute_net(faces(kept), progress=False)
    assert (again.scores, file.name, file.stat().st_mtime_ns) == (net.scores, "attributes-2-0.safetensors", before)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in net.state_dict().items())
    known = faces(kept)
    changed = replace(known, names=[name.replace("_0_", "_1_", 1) for name in known.names])
    assert attribute_net(changed, progress=False).attributes == labels(changed).attributes


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "SHOWN", 1000)


def test_training_is_the_same_each_time_and_leaves_the_random_state_alone(few_steps):
    state = torch.get_rng_state()
    one, two, other = (attribute_net(faces(), seed=seed, progress=False).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


@pytest.mark.parametrize("damage", ["cut", "garbage", "no folder"])
def test_a_damaged_file_is_trained_anew_and_one_that_cannot_be_written_does_no_harm(
    tmp_path, kept, net, damage, few_steps
):
    path = tmp_path / "attributes-2-0.safetensors"
    whole = (kept / path.name).read_bytes()
    path.write_bytes(b"{}" * 100 if damage == "garbage" else whole[: len(whole) // 2])
    folder = tmp_path / "gone" if damage == "no folder" else tmp_path
    assert attribute_net(faces(folder), progress=False) is not None
    assert not folder.exists() or len(path.read_bytes()) > len(whole) // 2


def test_without_labels_or_with_few_there_is_no_network():
    assert attribute_net(images_named([f"{i}.png" for i in range(600)])) is None
    assert attribute_net(faces(count=400)) is None


def test_unknown_values_cost_nothing():
    net = AttributeNet(16, 3, (Attribute("age"), Attribute("gender", ("male", "female"))))
    outputs = torch.randn(4, 3)
    targets = torch.tensor([[1.0, 0], [2.0, 1], [torch.nan, 1], [torch.nan, torch.nan]])
    known = torch.nn.functional.smooth_l1_loss(outputs[:2, 0], targets[:2, 0])
    known = known + torch.nn.functional.cross_entropy(outputs[:3, 1:], targets[:3, 1].long())
    assert attribute_loss(net, outputs, targets) == pytest.approx(float(known), rel=1e-5)
    assert attribute_loss(net, outputs, torch.full((4, 2), torch.nan)) == 0
