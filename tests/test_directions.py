"""Directions: found where they were put, apart from each other, and never served for other weights."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from dcgan import avatars
from dcgan import directions as module
from dcgan.attributes import Attribute, AttributeNet
from dcgan.checkpoint import Checkpoint, CheckpointError, fingerprint, load_checkpoint, save_checkpoint
from dcgan.directions import (
    DRAWN,
    REACH,
    STEPS,
    Direction,
    Directions,
    Ordinary,
    StaleDirections,
    auc,
    disentangled,
    extent,
    fit_directions,
    from_examples,
    load_directions,
    main,
    save_directions,
    table,
    traits,
)
from dcgan.generate import render
from dcgan.model import Discriminator, Generator, ModelConfig

NZ = 12
MODEL = {"image_size": 16, "nc": 3, "nz": NZ, "ngf": 4, "ndf": 4}
RED, BLUE = torch.linalg.qr(torch.randn(NZ, 2, generator=torch.Generator().manual_seed(5))).Q.T


def painter(red: float = 0.2, blue: float = 0.12) -> Generator:
    """Paints plain colours: red goes with z along RED, blue with z along BLUE, green stays."""
    net = Generator(ModelConfig(**MODEL))
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
    """Reads `warmth` (red, and some blue), whether a face is `blue`, and an auxiliary `hue`, off plain colours."""

    def __init__(self, *attributes: Attribute):
        super().__init__(16, 3, attributes or (WARMTH, BLUENESS))
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        red, _, blue = images[:, :, 4:-4, 4:-4].mean(dim=(2, 3)).T
        columns = {"warmth": [red + blue], "blueness": [-9 * blue, 9 * blue], "hue": [-9 * red, 9 * red]}
        random = torch.randn(len(images), generator=torch.Generator().manual_seed(0))
        columns |= {"luck": [random], "rare": [torch.full_like(red, 9.0), red]}
        return torch.empty(len(images), 1), torch.stack([c for a in self.attributes for c in columns[a.name]], dim=1)


WARMTH = Attribute("warmth", mean=40.0, deviation=10.0)
BLUENESS = Attribute("blueness", ("no", "yes"))
HUE = Attribute("hue", ("cold", "hot"), auxiliary=True)


def save(folder: Path, generator: Generator, seed: int = 0) -> Checkpoint:
    torch.manual_seed(seed)
    discriminator = Discriminator(generator.config)
    with torch.no_grad():
        for _ in range(30):
            discriminator(generator(torch.randn(16, NZ, 1, 1)))
    save_checkpoint(folder, generator, discriminator, {"model": MODEL, "images_seen": 1}, [], folder / "none", "")
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return save(tmp_path_factory.mktemp("painter") / "checkpoint", painter())


@pytest.fixture(scope="module")
def fitted(checkpoint: Checkpoint) -> Directions:
    return fit_directions(checkpoint, Colours(), samples=4000)


def made(*vectors: Tensor) -> Directions:
    """Directions along these vectors, with figures that fp32 rounds."""
    found = [
        Direction(f"way {i}", v / v.norm(), -3.5, 2.5, 0.123, "trait", {"age": 1.1}) for i, v in enumerate(vectors)
    ]
    return Directions(tuple(found), torch.eye(NZ) / 3)


# Fitting


def test_what_a_reading_depends_on_is_found_and_nothing_else_changes_with_it(fitted):
    # Blueness reads blue alone and warmth both: to become warm and no bluer is to become red.
    found = {d.name: d for d in fitted}
    assert found["warmth"].vector @ RED > 0.9
    assert found["blueness"].vector @ (BLUE - RED) / math.sqrt(2) > 0.9
    for name, other in (("warmth", "blueness"), ("blueness", "warmth")):
        assert found[name].effects[name] > 0.1
        assert abs(found[name].effects[other]) < 0.15 * found[other].effects[other]


def test_effects_are_in_the_unit_of_a_number_and_in_shares_of_faces(checkpoint, fitted):
    warmth, blueness = list(fitted)[:2]
    z = torch.randn(400, NZ, generator=torch.Generator().manual_seed(9))
    net = Colours()
    there, back = (net.read(render(checkpoint.generator, z + t * warmth.vector))[1] for t in (2, -2))
    assert warmth.effects["warmth"] == pytest.approx(10 * float((there - back)[:, 0].mean()), rel=0.15)
    there, back = (net.read(render(checkpoint.generator, z + t * blueness.vector))[1] for t in (2, -2))
    shares = [float((o[:, 2] > o[:, 1]).float().mean()) for o in (there, back)]
    assert blueness.effects["blueness"] == pytest.approx(shares[0] - shares[1], abs=0.15)


def test_numbers_and_traits_say_how_well_they_are_read(fitted):
    warmth, blueness = list(fitted)[:2]
    assert (warmth.kind, blueness.kind) == ("number", "trait")
    assert 0.9 < warmth.quality <= 1
    assert 0.95 < blueness.quality <= 1


def test_without_labels_the_principal_directions_are_what_the_picture_depends_on(checkpoint):
    fitted = fit_directions(checkpoint, samples=4000)
    assert [(d.name, d.kind) for d in fitted] == [("principal 1", "principal"), ("principal 2", "principal")]
    first, second = fitted
    assert first.vector @ RED > 0.99  # the sign as well: it brightens
    assert second.vector @ BLUE > 0.99
    assert first.quality > second.quality > 0.05
    assert first.quality + second.quality == pytest.approx(1, abs=0.02)
    assert first.effects == {}


def test_principal_directions_are_orthogonal_to_the_named_ones_and_to_each_other(tmp_path):
    torch.manual_seed(3)
    net = Generator(ModelConfig(**MODEL))
    with torch.no_grad():
        net.main[-2].weight.mul_(20)
        for _ in range(40):
            net(torch.randn(32, NZ, 1, 1))
    fitted = fit_directions(save(tmp_path / "c", net.eval()), Colours(WARMTH), samples=800)
    vectors = torch.stack([d.vector for d in fitted])
    assert [d.kind for d in fitted].count("principal") >= 4
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(len(vectors)), atol=1e-4, rtol=0)
    shares = [d.quality for d in fitted if d.kind == "principal"]
    assert shares == sorted(shares, reverse=True)
    assert all(-REACH <= d.low <= -0.5 and 0.5 <= d.high <= REACH for d in fitted)


def test_the_same_seed_gives_the_same_directions(checkpoint, fitted):
    again = fit_directions(checkpoint, Colours(), samples=4000)
    for a, b in zip(fitted, again, strict=True):
        assert torch.equal(a.vector, b.vector)
        assert (a.name, a.low, a.high, a.quality, a.effects) == (b.name, b.low, b.high, b.quality, b.effects)


def test_an_auxiliary_attribute_is_offered_nowhere_and_left_as_it_is(checkpoint):
    fitted = fit_directions(checkpoint, Colours(WARMTH, HUE), samples=4000)
    assert [d.name for d in fitted if d.kind != "principal"] == ["warmth"]
    assert all(set(d.effects) == {"warmth"} for d in fitted)
    # Hue is red: the way to warmth that leaves it alone is blue.
    assert fitted.all[0].vector @ BLUE > 0.9


def test_what_cannot_be_read_or_hardly_occurs_is_left_out_and_said(checkpoint):
    said: list[str] = []
    attributes = (Attribute("luck"), Attribute("rare", ("no", "yes")), WARMTH)
    fitted = fit_directions(checkpoint, Colours(*attributes), samples=4000, say=said.append)
    assert [d.name for d in fitted if d.kind != "principal"] == ["warmth"]
    assert len(said) == 2
    assert said[0].startswith("left out: luck, R2 0.0")
    assert said[1] == "left out: rare, 0.0% of the faces have it"


def test_a_direction_that_faces_do_not_stand_is_left_out_and_said(checkpoint, monkeypatch):
    monkeypatch.setattr(Ordinary, "strange", lambda self, faces: 1.0)
    said: list[str] = []
    assert len(fit_directions(checkpoint, samples=100, say=said.append)) == 0
    assert said[0].startswith("left out: principal 1")


def test_disentangled_directions_change_one_reading_each_at_the_least_response():
    random = torch.Generator().manual_seed(0)
    slopes = torch.nn.functional.normalize(torch.randn(NZ, 3, generator=random) + 1, dim=0)
    root = torch.randn(NZ, NZ, generator=random)
    response = root @ root.T
    vectors = disentangled(slopes, response)
    torch.testing.assert_close(vectors.norm(dim=0), torch.ones(3))
    effects = vectors.T @ slopes
    assert (effects.diag() > 0.05).all()
    assert (effects - effects.diag().diag()).abs().max() < 1e-4
    plain = disentangled(slopes, torch.zeros(NZ, NZ))
    for v, p, slope in zip(vectors.T, plain.T, slopes.T, strict=True):
        assert v @ response @ v / (v @ slope) ** 2 < p @ response @ p / (p @ slope) ** 2


def test_readings_that_are_nearly_the_same_do_not_blow_up():
    slopes = torch.nn.functional.normalize(torch.eye(NZ)[:, [0, 0, 1]] + 1e-5 * torch.eye(NZ)[:, :3], dim=0)
    assert torch.isfinite(disentangled(slopes, torch.eye(NZ))).all()


def test_the_drawn_faces_sliders_name_values_that_there_are():
    attributes = tuple(Attribute(name, values) for name, values in avatars.FACTORS.items())
    found = traits(attributes)
    assert len(found) == sum(map(len, DRAWN.values()))
    for trait in found:
        assert set(trait.values) < set(trait.attribute.values), trait.name


# Ranges


RISING = STEPS.float()


@pytest.mark.parametrize(
    ("strange", "reading", "far"),
    [
        ([0, 0, 0, 0, 0], RISING, 4.0),
        ([0, 0, 0, 0.1, 0.3], RISING, 3.5),
        ([0, 0, 0, 0.15, 0.9], RISING, 3.0),
        ([0, 0, 1, 0, 0], RISING, 1.0),
        ([0.5, 0, 0, 0, 0], RISING, 0.0),
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 2, 3, 3, 4], 2.0),
        ([0, 0, 0, 0, 0], [4, 3, 2, 1, 1, 2, 3, 4, 5], 4.0),
        ([0, 0, 0, 0, 0], -RISING, 0.0),
        ([0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 2, 3, 3, 4], 1.0),
    ],
)
def test_a_range_ends_where_faces_grow_strange_or_the_reading_stops_rising(strange, reading, far):
    shares = torch.cat([torch.zeros(REACH), torch.tensor(strange, dtype=torch.float32)])
    assert extent(shares, torch.as_tensor(reading)) == far


def test_own_faces_are_ordinary_and_others_are_strange(checkpoint):
    z = torch.randn(1200, NZ, generator=torch.Generator().manual_seed(2))
    faces = render(checkpoint.generator, z)
    ordinary = Ordinary(checkpoint.discriminator, faces[:900])
    assert ordinary.strange(faces[900:]) < 0.06
    noise = torch.randint(0, 256, (100, 3, 16, 16), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    assert ordinary.strange(noise) > 0.9


@pytest.mark.parametrize("count", [7, 60])
def test_auc_is_how_often_a_positive_scores_above_another(count):
    random = torch.Generator().manual_seed(count)
    scores, positive = torch.randn(count, generator=random), torch.rand(count, generator=random) < 0.4
    above = (scores[positive][:, None] > scores[~positive][None]).float().mean()
    assert auc(scores, positive) == pytest.approx(float(above), abs=1e-6)
    assert auc(scores, torch.ones(count, dtype=torch.bool)) == 0.5


# From examples


def clicked(way: Tensor, count: int, seed: int, nz: int) -> tuple[Tensor, Tensor]:
    """`count` latents on either side of the plane across `way`."""
    z = torch.randn(20 * count, nz, generator=torch.Generator().manual_seed(seed))
    return z[z @ way > 0][:count], z[z @ way < 0][:count]


def test_many_examples_give_the_way_between_them():
    direction = from_examples(*clicked(RED, 400, 0, NZ), name="red")
    assert direction.vector @ RED > 0.95
    assert direction.vector.norm() == pytest.approx(1)
    assert direction.quality > 0.9
    assert (direction.name, direction.kind) == ("red", "examples")
    assert direction.low < 0 < direction.high


def test_three_and_three_go_a_long_way_where_the_response_is_known():
    nz = 100
    way = torch.nn.functional.normalize(torch.ones(nz) * (torch.arange(nz) < 4), dim=0)
    response = torch.diag(0.5 ** torch.arange(nz).float())  # what is looked at changes the picture
    cosines = []
    for seed in range(30):
        examples = clicked(way, 3, seed, nz)
        cosines.append([float(from_examples(*examples, known).vector @ way) for known in (None, response)])
    plain, filtered = np.mean(cosines, axis=0)
    assert plain < 0.3
    assert filtered > plain + 0.25


def test_quality_of_examples_is_chance_where_there_is_nothing_to_tell():
    groups = torch.randn(60, 2, 5, NZ, generator=torch.Generator().manual_seed(4))
    qualities = [from_examples(a, b).quality for a, b in groups]
    assert 0.4 < np.mean(qualities) < 0.6


@pytest.mark.parametrize(
    ("with_trait", "without", "says"),
    [
        (torch.randn(2, NZ), torch.randn(3, NZ), "at least 3 faces with the trait, not 2"),
        (torch.randn(3, NZ), torch.empty(0, NZ), "at least 3 faces without the trait, not 0"),
        (torch.randn(3, NZ), torch.randn(3, NZ + 1), "different generators"),
        (torch.ones(3, NZ), torch.ones(3, NZ), "are the same"),
        (torch.ones(3, NZ), torch.full((3, NZ), math.nan), "not finite"),
    ],
)
def test_examples_that_say_nothing_are_refused_in_a_line(with_trait, without, says):
    with pytest.raises(ValueError, match=says) as caught:
        from_examples(with_trait, without)
    assert "\n" not in str(caught.value)


# Keeping


def test_directions_come_back_as_saved(tmp_path, checkpoint):
    kept = made(torch.randn(NZ), torch.randn(NZ))
    save_directions(tmp_path / "d.safetensors", kept, checkpoint.generator)
    loaded = load_directions(tmp_path / "d.safetensors", checkpoint.generator)
    assert loaded.response is not None
    assert torch.equal(loaded.response, torch.eye(NZ) / 3)
    for a, b in zip(kept, loaded, strict=True):
        torch.testing.assert_close(a.vector, b.vector)
        assert (a.name, a.low, a.high, a.quality, a.kind, a.effects) == (
            *(b.name, b.low, b.high, b.quality, b.kind, b.effects),
        )
    assert (tmp_path / "d.safetensors").stat().st_mode & 0o777 == 0o644


def test_no_directions_at_all_come_back_as_none(tmp_path, checkpoint):
    save_directions(tmp_path / "d", Directions(), checkpoint.generator)
    loaded = load_directions(tmp_path / "d", checkpoint.generator)
    assert (len(loaded), loaded.response) == (0, None)


def test_a_save_that_fails_leaves_the_old_file(tmp_path, checkpoint, monkeypatch):
    path = tmp_path / "d"
    save_directions(path, made(RED), checkpoint.generator)
    before = path.read_bytes()

    def full(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_directions(path, made(BLUE), checkpoint.generator)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def refused(path: Path, generator: Generator) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_directions(path, generator)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


GOOD = {"name": "age", "kind": "number", "low": -2.0, "high": 2.0, "quality": 0.5, "effects": {"age": 1.0}}


@pytest.mark.parametrize(
    "about",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        "[]",
        json.dumps([GOOD, GOOD]),
        json.dumps([{**GOOD, "low": 0.0}]),
        json.dumps([{**GOOD, "high": 1e9}]),
        json.dumps([{**GOOD, "high": math.nan}]),
        json.dumps([{**GOOD, "name": " "}]),
        json.dumps([{**GOOD, "name": ["age"]}]),
        json.dumps([{**GOOD, "quality": "good"}]),
        json.dumps([{**GOOD, "effects": [1]}]),
        json.dumps([{**GOOD, "surprise": 1}]),
        json.dumps([{"name": "age"}]),
    ],
    ids=lambda text: text[:60],
)
def test_what_the_metadata_may_not_say_is_one_line(tmp_path, checkpoint, about):
    metadata = {"format": "1", "generator": fingerprint(checkpoint.generator)}
    save_file({"vectors": RED[None]}, tmp_path / "d", {**metadata, "directions": json.dumps([GOOD])})
    assert load_directions(tmp_path / "d", checkpoint.generator).all[0].name == "age"
    save_file({"vectors": RED[None]}, tmp_path / "d", {**metadata, "directions": about})
    assert "damaged" in refused(tmp_path / "d", checkpoint.generator)


def test_two_directions_of_one_name_are_refused(tmp_path, checkpoint):
    metadata = {"format": "1", "generator": fingerprint(checkpoint.generator), "directions": json.dumps([GOOD, GOOD])}
    save_file({"vectors": torch.stack([RED, BLUE])}, tmp_path / "d", metadata)
    assert "same name" in refused(tmp_path / "d", checkpoint.generator)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"vectors": torch.ones(1, NZ + 1)},
        {"vectors": torch.ones(NZ)},
        {"vectors": torch.zeros(1, NZ)},
        {"vectors": torch.full((1, NZ), math.inf)},
        {"vectors": torch.ones(1, NZ), "response": torch.ones(NZ)},
    ],
)
def test_tensors_of_another_shape_or_without_sense_are_one_line(tmp_path, checkpoint, tensors):
    metadata = {"format": "1", "generator": fingerprint(checkpoint.generator), "directions": json.dumps([GOOD])}
    save_file(tensors, tmp_path / "d", metadata)
    assert "damaged" in refused(tmp_path / "d", checkpoint.generator)


def test_files_that_are_missing_cut_no_safetensors_or_newer_are_one_line(tmp_path, checkpoint):
    path = tmp_path / "d"
    assert "missing" in refused(path, checkpoint.generator)
    save_directions(path, made(RED), checkpoint.generator)
    whole = path.read_bytes()
    for content in (b"", whole[:5], whole[:100], whole[:-1], b"\x80\x04K\x01."):
        path.write_bytes(content)
        assert "damaged" in refused(path, checkpoint.generator)
    save_file({"vectors": RED[None]}, path)
    assert "damaged" in refused(path, checkpoint.generator)
    save_file({"vectors": RED[None]}, path, {"format": "2"})
    assert "update" in refused(path, checkpoint.generator)


# With the checkpoint


def test_a_checkpoint_serves_its_directions(tmp_path):
    checkpoint = save(tmp_path / "c", painter())
    assert len(checkpoint.directions) == 0
    save_directions(checkpoint.folder / "directions.safetensors", made(RED), checkpoint.generator)
    assert [d.name for d in load_checkpoint(tmp_path / "c").directions] == ["way 0"]


def test_a_later_save_keeps_the_directions_of_the_same_generator_only(tmp_path):
    folder = tmp_path / "c"
    checkpoint = save(folder, painter())
    save_directions(folder / "directions.safetensors", made(RED), checkpoint.generator)
    assert len(save(folder, painter(), seed=1).directions) == 1  # another discriminator, the same generator
    assert len(save(folder, painter(red=0.4)).directions) == 0
    assert not (folder / "directions.safetensors").exists()


def test_directions_of_other_weights_are_stale_and_not_served(tmp_path):
    one, other = save(tmp_path / "one", painter()), save(tmp_path / "other", painter(red=0.4))
    save_directions(other.folder / "directions.safetensors", made(RED), one.generator)
    assert len(other.directions) == 0
    with pytest.raises(StaleDirections) as caught:
        load_directions(other.folder / "directions.safetensors", other.generator)
    assert "other weights" in str(caught.value)


def test_directions_fitted_before_the_weights_were_rounded_are_those_of_the_saved_ones(tmp_path):
    exact = painter(red=0.1234567)
    assert fingerprint(exact) == fingerprint(save(tmp_path / "c", exact).generator)


def test_damaged_directions_are_one_line_of_the_checkpoint(tmp_path):
    checkpoint = save(tmp_path / "c", painter())
    (checkpoint.folder / "directions.safetensors").write_bytes(b"?")
    with pytest.raises(CheckpointError, match="damaged"):
        _ = checkpoint.directions


# Command line


def test_the_command_fits_writes_and_tells(tmp_path, monkeypatch, capsys):
    save(tmp_path / "run" / "checkpoint", painter())
    monkeypatch.setattr(module, "attribute_net", lambda images: Colours(Attribute("luck"), WARMTH, BLUENESS))
    monkeypatch.setattr(module, "load_images", lambda source, size, nc: (source, size, nc))
    assert main([str(tmp_path / "run"), "--dataroot", "photos"]) == 0
    printed = capsys.readouterr().out
    assert "left out: luck" in printed
    served = load_checkpoint(tmp_path / "run").directions
    assert [d.name for d in served if d.kind != "principal"] == ["warmth", "blueness"]
    for direction in served:
        assert f"{direction.name} " in printed
    assert "directions.safetensors" in printed.splitlines()[-1]


def test_without_labels_the_command_says_so_and_fits_principal_directions(tmp_path, photos, capsys):
    save(tmp_path / "c", painter())
    assert main([str(tmp_path / "c"), "--dataroot", str(photos)]) == 0
    assert "no labels" in capsys.readouterr().out
    assert {d.kind for d in load_checkpoint(tmp_path / "c").directions} == {"principal"}


def test_the_command_ends_with_one_line_where_it_cannot_go_on(tmp_path, capsys):
    save(tmp_path / "c", painter())
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path / "c"), "--dataroot", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "c" / "discriminator.safetensors").unlink()
    assert main([str(tmp_path / "c")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["directions"] * 3
    assert not (tmp_path / "c" / "directions.safetensors").exists()


def test_the_table_has_a_line_for_each_direction_and_what_it_does_besides():
    age = Direction("age", RED, -4, 3.5, 0.54, "number", {"age": 20.0, "glasses": 0.1})
    glasses = Direction("glasses", BLUE, -4, 4, 0.93, "trait", {"age": -1.0, "glasses": 0.5})
    other = Direction("principal 1", RED, -4, 2, 0.3, "principal", {"age": 2.0, "glasses": 0.2})
    _, *lines = table(Directions((age, glasses, other))).splitlines()
    assert [line.split() for line in lines] == [
        ["age", "-4.0", "to", "+3.5", "R2", "0.540", "+20.0", "glasses", "+20%"],
        ["glasses", "-4.0", "to", "+4.0", "AUC", "0.930", "+50%", "of", "faces", "age", "-5%"],
        ["principal", "1", "-4.0", "to", "+2.0", "share", "0.300", "glasses", "+40%"],
    ]
