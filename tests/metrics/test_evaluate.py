"""The command that says how good a checkpoint is."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.checkpoint import load_checkpoint
from dcgan.data import Images, load_images
from dcgan.metrics import attributes, evaluate, features
from dcgan.metrics.command import main
from dcgan.metrics.evaluate import Row, memorised
from dcgan.metrics.features import MetricError, inception_features
from dcgan.metrics.quality import references
from tests.tiny import TINY, networks, save


def blots(count: int, seed: int, size: int = 16, nc: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, nc, 4, 4)).repeat(size // 4, 2).repeat(size // 4, 3)
    return (coarse * 0.8 + random.integers(0, 50, (count, nc, size, size))).astype(np.uint8)


@pytest.fixture(scope="module")
def images() -> Images:
    return Images("blots", blots(300, 0), [f"{i:04d}.png" for i in range(300)], [], "digest")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("many"), 160)


def written(folder: Path, count: int) -> Path:
    for i, pixels in enumerate(blots(count, 1)):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{i:03d}.png")
    return folder


def write_checkpoint(folder: Path, seed: int = 0, data: dict | None = None, **shape: int) -> Path:
    save(folder, networks(replace(TINY, **shape), seed), data=data or {})
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "untrained")


@pytest.fixture(autouse=True)
def quick_and_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights are fetched, and pixels stand in for the big networks."""

    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    if find_spec("torch_fidelity"):
        monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", unreachable)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    monkeypatch.setattr(features, "random_features", lambda device: lambda images: images.float().flatten(1))


def measured(images: Images, num: int, folder: Path) -> list[Row]:
    return evaluate.evaluate(
        {"a": load_checkpoint(folder)}, images, references(images, num), num, torch.device("cpu"), None
    )


def value(rows: list[Row], figure: str, reference: str, by: str | None = None) -> Row:
    [row] = [r for r in rows if (r.figure, r.reference) == (figure, reference) and by in (None, r.by)]
    return row


@pytest.fixture
def rows(images: Images, checkpoint: Path) -> list[Row]:
    return measured(images, 200, checkpoint)


def test_an_untrained_generator_stands_far_from_the_floor(rows):
    for reference in ("held-out", "training"):
        for figure in ("FD", "SWD x 1000"):
            row = value(rows, figure, reference)
            assert row.values["a"] > 1.5 * row.floor > 0
        for figure in ("recall", "coverage"):
            row = value(rows, figure, reference, "filters")
            assert row.values["a"] < 0.5 * row.floor
    nearest = value(rows, "distance to the nearest, median", "all training")
    assert nearest.values["a"] > 5 < nearest.floor


def test_each_figure_says_how_many_images_it_was_taken_from_and_is_the_same_again(rows, images, checkpoint):
    heldout, training = int(images.heldout.sum()), len(images.training)
    assert {row.n for row in rows if row.reference == "held-out"} == {heldout}
    assert {row.n for row in rows if row.reference == "training"} == {training // 2}
    assert {row.n for row in rows if row.reference == "all training"} == {200}
    assert measured(images, 200, checkpoint) == rows
    assert {row.n for row in measured(images, 20, checkpoint)} == {20}


def test_references_are_disjoint_from_their_floor_and_of_the_right_part(images):
    every = {images.pixels[i].tobytes(): i for i in range(len(images))}
    held, training = references(images, 10_000)

    def indices(pictures: torch.Tensor) -> set[int]:
        return {every[picture.numpy().tobytes()] for picture in pictures}

    assert indices(held.real) == set(np.flatnonzero(images.heldout))
    assert indices(held.others) < set(images.training)
    assert len(held.others) == len(held.real)
    assert indices(training.real) | indices(training.others) <= set(images.training)
    assert not indices(training.real) & indices(training.others)
    assert len(training.real) == len(training.others) == len(images.training) // 2


def test_a_small_set_has_no_heldout_reference_and_a_tiny_one_none(images):
    few, fewer = (replace(images, pixels=images.pixels[:n], names=images.names[:n]) for n in (60, 12))
    assert [reference.name for reference in references(few, 100)] == ["training"]
    with pytest.raises(MetricError, match=r"'blots' has .* training images: too few to compare with, it takes 20"):
        references(fewer, 100)


def test_memorisation_flags_copies_and_not_new_pictures(images):
    training, heldout = images.batch(images.training[:20]), images.batch(np.flatnonzero(images.heldout))
    unseen = torch.from_numpy(blots(200, 7))
    samples = {
        "copies": training.flip(3),
        "heldout": heldout,
        "new": unseen,
        "half": torch.cat([training, unseen[:20]]),
    }
    distance, share = memorised(images, samples, torch.device("cpu"))
    assert distance.values["copies"] == pytest.approx(0, abs=0.1)
    assert distance.values["heldout"] == distance.floor > 10
    assert share.values["copies"] == 1
    assert share.values["half"] == pytest.approx(0.5, abs=0.1)
    assert share.values["heldout"] == share.floor <= 0.05
    assert share.values["new"] < 0.2


@pytest.mark.parametrize("name", ["faces", "avatars"])
def test_labelled_faces_are_compared_by_their_attributes_and_drawn_ones_by_their_combinations(
    checkpoint, monkeypatch, name
):
    monkeypatch.setattr(attributes, "SHOWN", 1000)
    random, names = np.random.default_rng(0), [f"{i:06d}" for i in range(700)]
    if name == "faces":
        names = [
            f"{random.integers(1, 90)}_{random.integers(2)}_{random.integers(5)}_2017{i:013d}.jpg" for i in range(700)
        ]
    rows = measured(Images(name, blots(700, 0), names, [], ""), 100, checkpoint)
    assert value(rows, "FFD", "held-out").values["a"] > 2 * value(rows, "FFD", "held-out").floor
    coverage = value(rows, "coverage", "training", "attributes")
    assert coverage.values["a"] < coverage.floor
    pairs = [row.values["a"] for row in rows if row.figure == "factor pairs covered"]
    assert all(0 < share < 1 for share in pairs)
    assert len(pairs) == (2 if name == "avatars" else 0)


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command prints, which ends well."""
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_json_of_a_grey_run_is_all_that_stands_on_stdout(capsys, many, tmp_path):
    write_checkpoint(tmp_path / "run" / "checkpoint", nc=1, image_size=32)
    out = printed(capsys, tmp_path / "run", "--dataroot", many, "--num", 12, "--json")
    result = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (result["data"]["px"], result["data"]["nc"]) == (32, 1)
    assert result["data"]["training"] + result["data"]["heldout"] == 160
    assert result["samples"] == {"number": 12, "first_seed": 1_000_000}
    assert result["checkpoints"][str(tmp_path / "run")]["images_seen"] == 640
    figures = {row["figure"] for row in result["rows"]}
    assert {"FD", "SWD x 1000", "SWD x 1000, 16 px", "precision", "recall", "density", "coverage"} < figures
    for row in result["rows"]:
        assert row.keys() == {"reference", "figure", "by", "better", "n", "floor", "values"}
        assert (row["n"], list(row["values"])) == (12, [str(tmp_path / "run")])


def test_the_table_names_data_n_floor_and_every_checkpoint(capsys, checkpoint, many, tmp_path):
    other = write_checkpoint(tmp_path / "other", seed=1)
    data, samples, about, *lines = printed(capsys, checkpoint, other, "--dataroot", many, "--num", 30).splitlines()
    assert data.startswith(f"data: name {many.name}, ")
    assert all(words in data for words in ("bilinear", "centre square", "px 16"))
    assert (samples, about) == ("samples: number 30, first_seed 1000000", f"{checkpoint}: images_seen 640")
    head = next(line for line in lines if line.startswith("against training images"))
    assert head.split()[3:] == ["better", "n", "floor", str(checkpoint), str(other)]
    better, n, _, first, second = next(line for line in lines if line.startswith("FD (filters)")).split()[2:]
    assert (better, n) == ("lower", str(load_images(str(many), 16, progress=False).heldout.sum()))
    assert first != second


@pytest.mark.parametrize(
    ("library", "why"),
    [
        (True, r"Inception's weights cannot be downloaded \(.*no route to host.*\); see --inception"),
        (False, "they need: pip install -r requirements-fid.txt"),
    ],
)
def test_without_weights_or_their_library_one_line_says_so_and_the_rest_is_printed(
    capsys, monkeypatch, checkpoint, many, library, why
):
    if library:
        pytest.importorskip("torch_fidelity")
    else:
        monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    out = printed(capsys, checkpoint, "--dataroot", many, "--num", 20)
    [line] = [line for line in out.splitlines() if "FID" in line]
    assert re.fullmatch(f"FID and KID are missing: {why}", line)
    assert "FD (filters)" in out


def test_fid_and_kid_from_weights_in_a_file(monkeypatch, tmp_path, images, checkpoint):
    fidelity = pytest.importorskip("torch_fidelity")
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    weights = tmp_path / "inception.pth"
    with monkeypatch.context() as patch:
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {})
        torch.manual_seed(0)
        torch.save(fidelity.FeatureExtractorInceptionV3("random", ["2048"]).state_dict(), weights)
    inception = inception_features(weights, torch.device("cpu"))
    one, other = (inception(torch.from_numpy(blots(4, seed, nc=1))) for seed in (0, 1))
    assert one.shape == (4, 2048)
    one, other = one[:, :64], other[:, :64]  # enough to compare, and sooner
    figures = evaluate.inception_figures(one, other)
    expected = fid_statistics_to_metric(*(fid_features_to_statistics(f.double()) for f in (one, other)), False)
    assert figures["FID"] == pytest.approx(expected["frechet_inception_distance"], rel=1e-2, abs=1e-6)
    assert abs(evaluate.inception_figures(one, one)["FID"]) < 1e-3 * one.double().var(0).sum()
    assert np.isfinite(figures["KID x 1000"])


def test_inception_weights_that_cannot_be_read_stop_it_at_once(refusal, checkpoint, many, tmp_path):
    pytest.importorskip("torch_fidelity")

    class Evil:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    for path in (tmp_path / "none.pth", tmp_path / "evil.pth"):
        line = refusal("evaluate", checkpoint, "--dataroot", many, "--inception", path)
        assert line.startswith(f"evaluate: Inception's weights cannot be read from '{path}' (")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{checkpoint} --dataroot {many} --num 1", "--num must be at least 10, not 1"),
        ("{checkpoint} {grey} --dataroot {many}", "not 16 px with 1 channels and 16 px with 3 channels"),
    ],
)
def test_what_the_user_can_mend_is_one_line(refusal, checkpoint, many, tmp_path, arguments, message):
    grey = write_checkpoint(tmp_path / "grey", nc=1)
    line = refusal("evaluate", *arguments.format(checkpoint=checkpoint, many=many, grey=grey).split())
    assert line.startswith("evaluate: ") and message in line


def test_what_a_small_set_without_faces_cannot_tell_is_said_and_not_in_the_table(capsys, checkpoint, tmp_path):
    flags = ["--dataroot", written(tmp_path, 40), "--num", 1000, "--json"]
    result = json.loads(printed(capsys, checkpoint, *flags))
    assert result["samples"]["number"] == {row["n"] for row in result["rows"]}.pop() <= 20  # no more are drawn
    notes = "\n".join(result["notes"])
    assert "the share of faces is missing: a face is found in 0% of the real images" in notes
    assert "how near samples come to training images is missing" in notes
    assert not any("faces" in row["figure"] or "nearest" in row["figure"] for row in result["rows"])


def test_other_data_than_it_was_trained_on_is_said(capsys, many, tmp_path, checkpoint):
    out = printed(capsys, checkpoint, "--dataroot", many, "--num", 10)
    assert f"{checkpoint} was trained on other images than these" in out
    digest = load_images(str(many), 16, progress=False).digest
    same = write_checkpoint(tmp_path / "same", data={"digest": digest})
    assert "other images" not in printed(capsys, same, "--dataroot", many, "--num", 10)
