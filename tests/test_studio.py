import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan import CheckpointError, load_checkpoint, sample
from dcgan.data import DataError
from dcgan.studio import Studio, encoded, grid, picture
from tests.demo_fixtures import FRAMES, NZ, checkpoints, make_checkpoint  # noqa: F401


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:  # noqa: F811
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dcgan.studio.DRAWN", 70)
        yield Studio(checkpoints)


@pytest.fixture(scope="module")
def expected(checkpoints: Path) -> np.ndarray:  # noqa: F811
    """Seeds 0 to 63 of `people`, as `sample` makes them in one batch."""
    return sample(load_checkpoint(checkpoints / "people").generator, range(64)).numpy()


def test_studio_needs_no_gradio() -> None:
    code = "import sys, dcgan.studio; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_broken_checkpoint_is_left_out_with_its_reason(studio: Studio) -> None:
    assert studio.names == ["people", "toons"]
    assert len(studio.broken) == 1
    assert "wreck" in studio.broken[0]
    assert "\n" not in studio.broken[0]


def test_no_checkpoint_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*train\.py") as raised:
        Studio(tmp_path)
    assert "\n" not in str(raised.value)


def test_nothing_at_dataroot_is_one_line(checkpoints: Path) -> None:  # noqa: F811
    with pytest.raises(DataError, match="nowhere"):
        Studio(checkpoints, "nowhere")


def test_two_checkpoints_of_one_name_are_told_apart(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "a" / "checkpoint")
    make_checkpoint(tmp_path / "b" / "checkpoint")
    assert len(Studio(tmp_path).names) == 2


def test_a_checkpoint_in_words(studio: Studio) -> None:
    words = studio.about("people")
    for part in ("64 × 64", "20,000 images", "people set", "1,234", "for tests only"):
        assert part in words


def test_same_seed_same_pixels_alone_and_among_64(studio: Studio, expected: np.ndarray) -> None:
    for seed in (0, 7, 63):
        assert np.array_equal(studio.face(seed), expected[seed])


def test_edits_replace_values_of_z(studio: Studio, expected: np.ndarray) -> None:
    z = studio.latent(7)
    assert np.array_equal(studio.face(7, edits={"3": z[3]}), expected[7])  # JSON has no numbers for keys
    assert not np.array_equal(studio.face(7, edits={3: z[3] + 2}), expected[7])


def test_no_truncation_leaves_the_same_face_for_all(studio: Studio) -> None:
    assert np.array_equal(studio.face(1, truncation=0), studio.face(2, truncation=0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"seed": 2**32},
        {"seed": 1.5},
        {"seed": True},
        {"seed": None},
        {"seed": "7" * 1000},
        {"truncation": float("nan")},
        {"truncation": 3},
        {"edits": [1, 2]},
        {"edits": {str(NZ): 0}},
        {"edits": {"x": 0}},
        {"edits": {"0": float("inf")}},
        {"edits": {"0": None}},
        {"checkpoint": "../people"},
        {"checkpoint": 3},
    ],
)
def test_what_no_visitor_should_ask_is_refused_in_a_line(studio: Studio, wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"must be") as raised:
        studio.face(**wrong)
    assert len(str(raised.value)) < 150


def test_ranking_begins_with_what_changes_the_picture_most(studio: Studio) -> None:
    ranking = studio.ranking("people")
    assert sorted(ranking) == list(range(NZ))

    def effect(dimension: int) -> float:
        faces = [studio.face(seed, edits={dimension: z}).astype(int) for seed in range(3) for z in (-2, 2)]
        return sum(np.abs(b - a).mean() for a, b in zip(faces[::2], faces[1::2], strict=True))

    assert effect(ranking[0]) == max(map(effect, range(NZ)))
    assert effect(ranking[-1]) == min(map(effect, range(NZ)))


@pytest.mark.parametrize("kind", ["spherical", "linear"])
def test_a_path_leads_from_one_seed_to_the_other(studio: Studio, expected: np.ndarray, kind: str) -> None:
    frames = studio.path(3, 5, kind, 9)
    assert frames.shape == (9, 64, 64, 3)
    assert np.abs(frames[0].astype(int) - expected[3]).max() <= 1
    assert np.abs(frames[-1].astype(int) - expected[5]).max() <= 1


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_an_animation_goes_there_and_back(studio: Studio, format: str) -> None:
    with Image.open(io.BytesIO(studio.animation(studio.path(frames=8), format, 2))) as image:
        assert image.format == format.upper()
        assert image.size == (256, 256)
        assert image.n_frames == 14
        assert image.info["loop"] == 0


def test_reals_come_from_dataroot(checkpoints: Path, photos: Path) -> None:  # noqa: F811
    studio = Studio(checkpoints, str(photos))
    pair = studio.real_vs_fake(checkpoint="people")
    assert pair.real is not None
    assert pair.real.shape == (5 * 64, 8 * 64, 3)  # there are only 40
    assert "40 pictures" in pair.note
    assert np.array_equal(pair.fake[:64, :64], studio.face(0, checkpoint="people"))


def test_without_reals_the_built_in_pair_stands_in_and_says_so(studio: Studio) -> None:
    pair = studio.real_vs_fake(checkpoint="people")
    assert pair.real is not None
    assert pair.real.shape == pair.fake.shape == (512, 512, 3)
    assert "--dataroot" in pair.note
    assert np.array_equal(pair.fake[:64, :64], studio.face(0, checkpoint="toons"))


def test_the_same_shuffle_shows_the_same(studio: Studio) -> None:
    first, again, other = (studio.real_vs_fake(n, "toons") for n in (1, 1, 2))
    assert np.array_equal(first.real, again.real)
    assert np.array_equal(first.fake, again.fake)
    assert not np.array_equal(first.real, other.real)
    assert not np.array_equal(first.fake, other.fake)


def test_replay_has_frames_and_curves_without_nan(studio: Studio) -> None:
    course = studio.replay()
    assert course["frames"] == list(FRAMES)
    assert course["curves"]["loss_d"][7] is None
    assert all(len(curve) == 40 for curve in course["curves"].values())
    assert studio.snapshot(3)[8:12] == b"WEBP"
    with pytest.raises(ValueError, match="frame must be"):
        studio.snapshot(4)


def test_a_grey_checkpoint_is_shown_as_well(tmp_path: Path, photos: Path) -> None:
    studio = Studio(make_checkpoint(tmp_path / "grey", nc=1), str(photos))
    face = studio.face(0)
    assert face.shape == (64, 64, 1)
    assert picture(face).mode == "L"
    assert "grey" in studio.about()
    pair = studio.real_vs_fake()
    assert encoded(pair.real)
    assert encoded(pair.fake, "jpeg")
    assert studio.animation(studio.path(frames=4), "gif")


def test_grid_goes_row_by_row() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1).repeat(2, 1).repeat(2, 2)
    assert grid(images, 4)[::2, ::2, 0].tolist() == [[0, 1, 2, 3], [4, 5, 0, 0]]
