"""Directions: found where they were put, apart from each other, and never served for other weights."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from dcgan.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from dcgan.data import Images
from dcgan.direction import REACH, Direction, load_directions, save_directions
from dcgan.latent.command import main
from dcgan.latent.directions import Ordinary, extent, fit_directions
from dcgan.metrics.attributes import Attribute, AttributeNet
from dcgan.metrics.opening import COUNT
from dcgan.metrics.readings import label_reader, picture_reader
from dcgan.model import Generator, ModelConfig, fingerprint
from dcgan.sampling import render
from tests import tiny
from tests.data.pictures import put

NZ = 12
CONFIG = ModelConfig(image_size=16, nz=NZ, ngf=4, ndf=4)
RED, BLUE = torch.linalg.qr(torch.randn(NZ, 2, generator=torch.Generator().manual_seed(5))).Q.T


def painter(red: float = 0.2, blue: float = 0.12) -> Generator:
    """Paints plain colours: red goes with z along RED, blue with z along BLUE, green stays."""
    net = Generator(CONFIG)
    first, second, last = (layer.weight for layer in net.main if isinstance(layer, torch.nn.ConvTranspose2d))
    with torch.no_grad():
        for weight in (first, second, last):
            weight.zero_()
        for i, way in enumerate((RED, -RED, BLUE, -BLUE)):  # a ReLU passes one half, so each way has its own channel
            first[:, i] = way[:, None, None]
            second[i, i] = 0.25
            last[i, 0 if i < 2 else 2] = (red, -red, blue, -blue)[i]
    return net.eval()


class Colours(AttributeNet):
    """Reads `warmth` (red, and some blue), whether a face is `blue`, and others, off plain colours."""

    def __init__(self, *attributes: Attribute):
        super().__init__(16, 3, attributes or (WARMTH, BLUENESS))
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        red, _, blue = images[:, :, 4:-4, 4:-4].mean(dim=(2, 3)).T
        columns = {"warmth": [red + blue], "blueness": [-9 * blue, 9 * blue], "hue": [-9 * red, 9 * red]}
        random = torch.randn(len(images), generator=torch.Generator().manual_seed(0))
        columns |= {"luck": [random], "never": [torch.full_like(red, 9.0), torch.full_like(red, -9.0)]}
        return images.mean(dim=(2, 3)), torch.stack([c for a in self.attributes for c in columns[a.name]], dim=1)


WARMTH = Attribute("warmth", mean=40.0, deviation=10.0)
BLUENESS = Attribute("blueness", ("red", "blue"))
HUE = Attribute("hue", ("cold", "hot"), auxiliary=True)


def opened(folder: Path, generator: Generator) -> Checkpoint:
    return tiny.save(folder, (generator, tiny.networks(CONFIG)[1]))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return opened(tmp_path_factory.mktemp("painter") / "checkpoint", painter())


@pytest.fixture(scope="module")
def fitted(checkpoint: Checkpoint) -> dict[str, Direction]:
    return {d.name: d for d in fit_directions(checkpoint, [label_reader(Colours())], samples=2000)}


def alike(one: Direction, other: Direction) -> bool:
    return torch.equal(one.vector, other.vector) and {**vars(one), "vector": 0} == {**vars(other), "vector": 0}


# Fitting


def test_what_a_reading_depends_on_is_found_and_nothing_else_changes_with_it(fitted):
    # Blueness reads blue alone and warmth both: to become warm and no bluer is to become red.
    assert fitted["warmth"].vector @ RED > 0.95
    assert fitted["blueness"].vector @ (BLUE - RED) / math.sqrt(2) > 0.95
    for name, other in (("warmth", "blueness"), ("blueness", "warmth")):
        assert abs(fitted[name].effects[other]) < 0.15 * fitted[other].effects[other]


@pytest.mark.parametrize(
    ("name", "kind", "ends", "column"), [("warmth", "number", (), 0), ("blueness", "trait", ("red", "blue"), 1)]
)
def test_effects_are_in_deviations_of_the_reading(checkpoint, fitted, name, kind, ends, column):
    reader = label_reader(Colours())
    z = torch.randn(2000, NZ, generator=torch.Generator().manual_seed(9))
    before, faces, after = (
        reader.read(render(checkpoint.generator, z + t * fitted[name].vector))[:, column] for t in (-2, 0, 2)
    )
    assert fitted[name].effects[name] == pytest.approx(float((after - before).mean() / faces.std()), rel=0.15)
    assert (fitted[name].kind, fitted[name].ends) == (kind, ends)
    assert fitted[name].fit > 0.5


def test_without_labels_there_are_sliders_for_light_and_colour(checkpoint, capsys):
    fitted = {d.name: d for d in fit_directions(checkpoint, [picture_reader(3)], samples=2000)}
    assert set(fitted) == {"background", "warmth"}
    assert fitted["warmth"].vector @ RED > 0  # and less blue, so that it is no brighter
    assert fitted["warmth"].vector @ BLUE < 0
    assert abs(fitted["warmth"].effects["background"]) < 0.15
    left_out = capsys.readouterr().out
    assert "brightness hardly changes alone" in left_out  # in plain pictures it is the background's
    assert "lighting hardly changes along any line" in left_out


def test_a_fit_is_the_same_again(checkpoint, fitted):
    for direction in fit_directions(checkpoint, [label_reader(Colours())], samples=2000):
        assert alike(direction, fitted[direction.name])


def test_an_auxiliary_attribute_is_offered_nowhere_and_left_as_it_is(checkpoint):
    [only] = fit_directions(checkpoint, [label_reader(Colours(WARMTH, HUE))], samples=2000)
    assert only.name == "warmth"
    assert set(only.effects) == {"warmth"}
    assert only.vector @ BLUE > 0.95  # hue is red: the way to warmth that leaves it alone is blue


def test_a_direction_that_faces_do_not_stand_is_left_out_and_said(checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(Ordinary, "strange", lambda self, faces: 1.0)
    assert fit_directions(checkpoint, [label_reader(Colours())], samples=400) == ()
    assert capsys.readouterr().out.startswith("left out: warmth")


# Ranges


RISING = [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("strange", "reading", "far"),
    [
        ([0, 0, 0, 0, 0], RISING, 4),
        ([0, 0, 0, 0.1, 0.3], RISING, 3),
        ([0, 0, 1, 0, 0], RISING, 1),
        ([0, 1, 1, 1, 1], RISING, 0),
        ([0, 0, 0, 0, 0], [0, 1, 2, 2, 3], 2),
        ([0, 0, 1, 1, 1], [0, 1, 2, 2, 3], 1),
    ],
)
def test_a_range_ends_where_faces_grow_strange_or_the_reading_stops_rising(strange, reading, far):
    back = torch.zeros(REACH)  # the other way does not count
    assert extent(torch.cat([back + 1, torch.tensor(strange)]), torch.cat([back, torch.tensor(reading)])) == far


def test_own_faces_are_ordinary_and_others_are_strange(checkpoint):
    z = torch.randn(1200, NZ, generator=torch.Generator().manual_seed(2))
    faces = render(checkpoint.generator, z)
    ordinary = Ordinary(checkpoint.discriminator, faces[:900])
    assert ordinary.strange(faces[900:]) < 0.06
    noise = torch.randint(0, 256, (100, 3, 16, 16), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    assert ordinary.strange(noise) > 0.9


# Keeping


AGE = Direction("age", "number", RED, -4.0, 3.0, ("younger", "older"), {"age": 2.5}, fit=0.5)
GOOD = {"name": "age", "kind": "number", "low": -2.0, "high": 2.0}


@pytest.mark.parametrize("directions", [(AGE, Direction("principal 1", "principal", BLUE, -1.0, 1.0, share=0.1)), ()])
def test_directions_come_back_as_saved(tmp_path, checkpoint, directions):
    save_directions(tmp_path / "d", directions, checkpoint.generator)
    back = load_directions(tmp_path / "d", checkpoint.generator)
    assert len(back) == len(directions)
    assert all(map(alike, back, directions))
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o644


def refused(path: Path, generator: Generator) -> str:
    with pytest.raises(ValueError) as caught:
        load_directions(path, generator)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


WRONG = [
    *({"low": 0.0}, {"high": 1e9}, {"high": math.nan}, {"high": "2"}, {"name": " "}, {"name": "age:1,"}),
    *({"name": ["age"]}, {"ends": ["younger"]}, {"ends": [1, 2]}, {"effects": [1]}, {"surprise": 1}),
]


@pytest.mark.parametrize(
    ("about", "vectors"),
    [
        *((json.dumps([{**GOOD, **wrong}]), RED[None]) for wrong in WRONG),
        ("{", RED[None]),
        ("[" * 100_000, RED[None]),
        ("null", RED[None]),
        ("[]", RED[None]),
        (json.dumps([GOOD]), torch.ones(1, NZ + 1)),
        (json.dumps([GOOD]), RED),
        (json.dumps([GOOD]), torch.zeros(1, NZ)),
        (json.dumps([GOOD]), torch.full((1, NZ), math.nan)),
        (json.dumps([GOOD, GOOD]), torch.stack([RED, BLUE])),  # of one name
    ],
)
def test_a_file_that_makes_no_sense_is_one_line(tmp_path, checkpoint, about, vectors):
    metadata = {"format": "1", "generator": fingerprint(checkpoint.generator), "directions": about}
    save_file({"vectors": vectors.contiguous()}, tmp_path / "d", metadata)
    assert "damaged" in refused(tmp_path / "d", checkpoint.generator)


@pytest.mark.parametrize(
    ("metadata", "message"), [({"format": "1"}, "damaged"), (None, "damaged"), ({"format": "2"}, "update")]
)
def test_a_file_without_what_must_be_said_of_it_or_a_newer_one_is_one_line(tmp_path, checkpoint, metadata, message):
    save_file({"vectors": RED[None]}, tmp_path / "d", metadata)
    assert message in refused(tmp_path / "d", checkpoint.generator)


def test_directions_of_other_weights_are_neither_kept_nor_served(tmp_path):
    folder = tmp_path / "c"
    checkpoint = opened(folder, painter())
    assert checkpoint.directions == ()
    save_directions(folder / "directions.safetensors", (AGE,), checkpoint.generator)
    assert [d.name for d in opened(folder, painter()).directions] == ["age"]  # a later save of the same weights
    assert opened(folder, painter(red=0.4)).directions == ()
    save_directions(folder / "directions.safetensors", (AGE,), painter())
    with pytest.raises(CheckpointError, match=r"other weights.*python -m dcgan directions"):
        _ = load_checkpoint(folder).directions


# Command line


def test_the_command_fits_writes_and_tells(tmp_path, monkeypatch, capsys):
    opened(tmp_path / "run" / "checkpoint", painter())
    attributes = Attribute("luck"), Attribute("never", ("no", "yes")), WARMTH, BLUENESS
    monkeypatch.setattr("dcgan.latent.command.attribute_net", lambda images: Colours(*attributes))
    pixels = torch.randint(0, 256, (60, 3, 16, 16), dtype=torch.uint8).numpy()
    pictures = Images("photos", pixels, [f"{i}" for i in range(60)], [], "0")
    monkeypatch.setattr("dcgan.latent.command.load_images", lambda *_, **settings: pictures)
    assert main([str(tmp_path / "run"), "--dataroot", "photos"]) == 0
    printed = capsys.readouterr().out
    for name in ("luck", "never"):
        assert f"left out: {name} hardly changes along any line" in printed
    assert "no sliders for faces" in printed
    written = load_checkpoint(tmp_path / "run")
    assert [d.name for d in written.directions] == ["warmth", "blueness"]
    assert all(f"{d.name} " in printed for d in written.directions)
    assert "directions.safetensors" in printed.splitlines()[-1]
    assert len(set(written.config["seeds"])) == COUNT


def test_without_labels_the_command_needs_a_discriminator(tmp_path, photos, refusal):
    opened(tmp_path, painter())
    (tmp_path / "discriminator.safetensors").unlink()
    line = refusal("directions", tmp_path, "--dataroot", photos)
    assert line.startswith("directions: ") and "discriminator.safetensors' is missing" in line


def test_two_photos_choose_no_seeds(tmp_path, capsys):
    checkpoint = opened(tmp_path / "checkpoint", painter())
    photos = put(tmp_path / "photos", "a.png", "b.png")
    assert main([str(checkpoint.folder), "--dataroot", str(photos)]) == 0
    assert "no seeds to begin with" in capsys.readouterr().out
    assert "seeds" not in load_checkpoint(checkpoint.folder).config
