"""What the demo can do, without Gradio: faces, checkpoints, the discriminator, the latent space."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcgan import CheckpointError, load_checkpoint, sample
from dcgan.data.sources import DataError
from dcgan.demo import checkpoints as about
from dcgan.demo import real_vs_fake
from dcgan.demo.face_spec import FIELDS
from dcgan.demo.studio import Studio, once
from dcgan.demo.tabs import KOREAN
from dcgan.direction import save_directions
from dcgan.latents import latent
from dcgan.pictures import animation, picture
from tests.demo_fixtures import DIRECTIONS, MOMENTS, NZ, make_checkpoint


@pytest.fixture(scope="module")
def expected(checkpoints: Path) -> np.ndarray:
    """Seeds 0 to 63 of `people`, as `sample` makes them in one batch."""
    return sample(load_checkpoint(checkpoints / "people").generator, range(64)).numpy()


def is_a_line(error: Exception) -> bool:
    text = str(error)
    return 0 < len(text) < 300 and "\n" not in text and "Error" not in text and "argument" not in text


# Checkpoints


def test_damaged_checkpoints_and_directions_are_left_out_with_a_reason(tmp_path: Path) -> None:
    one, other = make_checkpoint(tmp_path / "one"), make_checkpoint(tmp_path / "other", seed=2)
    save_directions(one / "directions.safetensors", DIRECTIONS, load_checkpoint(other).generator)
    (other / "directions.safetensors").write_bytes(b"cut off")
    (tmp_path / "wreck").mkdir()
    (tmp_path / "wreck" / "config.json").write_text("{")
    studio = Studio(tmp_path)
    assert studio.checkpoints.names == ["one", "other"]
    assert [studio.checkpoints.summary(name)["directions"] for name in studio.checkpoints.names] == [[], []]
    assert studio.face(1, "other").shape == (64, 64, 3)
    for line, reason in zip(studio.checkpoints.broken, ("other weights", "damaged", "wreck"), strict=True):
        assert reason in line
        assert str(tmp_path) not in line
        assert "\n" not in line


def test_what_cannot_be_opened_is_one_line(checkpoints: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^no checkpoint at [^\n]*train\.py[^\n]*$"):
        Studio(tmp_path)
    with pytest.raises(DataError, match=r"^[^\n]*nowhere[^\n]*$"):
        Studio(checkpoints, "nowhere")


def test_photographs_come_first_and_two_of_one_name_are_told_apart(studio: Studio, tmp_path: Path) -> None:
    assert studio.checkpoints.names == ["people", "toons"]
    assert studio.checkpoints.name("") == "people"
    for folder in "ab":
        make_checkpoint(tmp_path / folder / "checkpoint")
    assert len(set(Studio(tmp_path).checkpoints.names)) == 2


def test_a_checkpoint_in_words_and_figures(studio: Studio, tmp_path: Path) -> None:
    words = about.about(studio.checkpoints.get("people"))
    for part in ("64 × 64", "20,000 images", "people set", "1,234", "for tests only", "colour"):
        assert part in words
    grey = load_checkpoint(make_checkpoint(tmp_path / "grey", nc=1))
    assert "grey" in about.about(grey)
    for checkpoint in (grey, studio.checkpoints.get("people")):
        assert {text for text, _ in about.sentences(checkpoint)} <= set(KOREAN)
    assert about.card(grey) == "# a card\n\n## Use"
    (grey.folder / "README.md").write_text("---\ntags: [x]\n---\n# Mine\n![faces](grid.webp)\n")
    assert about.card(grey) == "# Mine"


# Faces


def test_same_seed_same_pixels_alone_and_among_64(studio: Studio, expected: np.ndarray) -> None:
    for seed in (0, 7, 63):
        assert np.array_equal(studio.face(seed), expected[seed])
    assert np.array_equal(studio.faces([7, {"seed": 63}]), expected[[7, 63]])


def test_a_specification_is_applied_in_its_order(studio: Studio, expected: np.ndarray) -> None:
    z = latent(7, NZ)
    assert np.array_equal(studio.face(7, edits={"3": float(z[3])}), expected[7])  # JSON has no numbers for keys
    assert not np.array_equal(studio.face(7, edits={3: float(z[3]) + 2}), expected[7])
    assert np.array_equal(studio.face(1, truncation=0), studio.face(2, truncation=0))
    assert np.array_equal(studio.face(5, origin=z.tolist()), expected[7])
    assert np.array_equal(studio.face(7, truncation=0.5, shift=(z / 2).tolist()), expected[7])
    moved = studio.face(3, "toons", edits={"3": 0.5}, directions={"age": 1.5})
    assert np.array_equal(moved, studio.face(3, "toons", edits={"3": 2.0}))
    walked = studio.face(7, walk=[3, 12])
    assert not np.array_equal(walked, studio.face(7, walk=[12, 3]))
    assert np.array_equal(walked, studio.face(origin=z.tolist(), walk=[3, 12]))


def test_a_moment_shows_the_same_latent_as_it_was_then(studio: Studio) -> None:
    contrast = [studio.face(3, "people", moment).std() for moment in (*MOMENTS, None)]
    assert contrast == sorted(contrast)
    assert contrast[0] < contrast[-1] / 2


@pytest.mark.parametrize(
    "wrong",
    [
        *({"seed": seed} for seed in (-1, 2**32, 1.5, True, None, "7" * 1000)),
        *({"origin": [0.0] * NZ, "seed": seed} for seed in ("x", None)),
        *({"origin": origin} for origin in ([0.0] * 3, "z", [7.0] * NZ, [float("nan")] * NZ, [None] * NZ)),
        *({"truncation": truncation} for truncation in (float("nan"), 2.1, None)),
        *({"edits": edits} for edits in ([1, 2], {str(NZ): 0}, {"x": 0}, {"0": float("inf")}, {"0": None})),
        *(
            {"directions": wrong, "checkpoint": "toons"}
            for wrong in ({"height": 1}, {"age": 3.1}, {"age": None}, ["age"])
        ),
        *({"checkpoint": checkpoint} for checkpoint in ("../people", 3, ["people"])),
        *({"checkpoint": "people", "moment": moment} for moment in (7, "0", True)),
        {"checkpoint": "toons", "moment": 0},
        {"walk": [0] * 51},
        {"height": 3},
    ],
)
def test_wrong_specifications_are_refused_in_a_line(studio: Studio, wrong: dict) -> None:
    with pytest.raises(ValueError) as raised:
        studio.face(**wrong)
    assert is_a_line(raised.value)


@pytest.mark.parametrize("kind", ["spherical", "linear"])
def test_a_path_leads_through_its_faces_and_back(studio: Studio, expected: np.ndarray, kind: str) -> None:
    frames = studio.path([3, 5], kind, 9).astype(int)
    assert frames.shape == (9, 64, 64, 3)
    loop = studio.path([3, {"seed": 5}, 7], kind, 12, loop=True).astype(int)
    for frame, seed in ((frames[0], 3), (frames[-1], 5), (loop[0], 3), (loop[4], 5), (loop[8], 7)):
        assert np.abs(frame - expected[seed]).max() <= 1
    assert animation(studio.path(frames=4), "gif", 1)


# The discriminator and the latent space


def test_the_opinion_is_a_rank_among_the_checkpoints_faces(studio: Studio) -> None:
    shares = [studio.opinion("people", seed=seed).realer_than for seed in range(40)]
    assert 0.3 < np.mean(shares) < 0.7
    assert len(set(shares)) > 20


def test_ranking_begins_with_what_changes_the_picture_most(studio: Studio) -> None:
    ranking = studio.ranking("people")
    assert sorted(ranking) == list(range(NZ))

    def effect(dimension: int) -> float:
        faces = [studio.face(seed, edits={dimension: z}).astype(int) for seed in range(3) for z in (-2, 2)]
        return sum(np.abs(b - a).mean() for a, b in zip(faces[::2], faces[1::2], strict=True))

    assert effect(ranking[0]) == max(map(effect, range(NZ)))
    assert effect(ranking[-1]) == min(map(effect, range(NZ)))


def test_a_result_is_computed_once_a_failure_again_and_neither_holds_up_another_checkpoint(checkpoints):
    calls: list[str] = []
    busy, go = threading.Event(), threading.Event()

    class Slow(Studio):
        @once
        def result(self, checkpoint: str) -> int:
            calls.append(checkpoint)
            if checkpoint == "people":
                busy.set()
                go.wait()
            elif calls.count(checkpoint) == 1:
                raise ValueError("not yet")
            return len(calls)

    studio = Slow(checkpoints)
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(studio.result) for _ in range(2)]
        busy.wait()
        with pytest.raises(ValueError, match="not yet"):
            studio.result("toons")
        assert studio.result("toons") == studio.result("toons") == 3
        go.set()
    assert [future.result() for future in slow] == [3, 3]
    assert calls == ["people", "toons", "toons"]


# Checkpoints that change while they are served


def test_a_checkpoint_that_vanishes_takes_nothing_else_along(tmp_path: Path) -> None:
    for name in ("gone", "here"):
        make_checkpoint(tmp_path / name, moments=(0, 1000))
    studio = Studio(tmp_path)
    faces, gone = studio.faces([1, 2], "gone"), studio.checkpoints.get("gone")
    shutil.rmtree(tmp_path / "gone")
    assert np.array_equal(studio.faces([1, 2], "gone"), faces)
    assert studio.opinion("gone", seed=1) is None
    assert "no model card" in about.card(gone)
    assert about.about(gone)
    assert about.replay(gone)["curves"]
    for ask in (lambda: about.snapshot(gone), lambda: studio.face(1, "gone", 1000)):
        with pytest.raises(ValueError) as raised:
            ask()
        assert is_a_line(raised.value)
    assert studio.opinion("here", seed=1) is not None


def test_a_checkpoint_that_changes_mixes_with_nothing(tmp_path: Path) -> None:
    """As when a run that is shown goes on, or another one is written in its place."""
    make_checkpoint(tmp_path / "changing", moments=(0, 1000))
    studio = Studio(tmp_path)
    faces, then = studio.faces([1, 2]), studio.face(1, moment=1000)
    newer = make_checkpoint(tmp_path / "newer", seed=5, nc=1, moments=(0, 1000))
    shutil.rmtree(tmp_path / "changing")
    newer.rename(tmp_path / "changing")
    assert np.array_equal(studio.faces([1, 2]), faces)
    assert np.array_equal(studio.face(1, moment=1000), then)
    assert studio.opinion(seed=1) is None, "the new discriminator has never seen such a generator"
    with pytest.raises(ValueError, match="start the demo again"):
        studio.face(1, moment=0)
    assert Studio(tmp_path).face(1).shape == (64, 64, 1)


# Anything that anyone may send

ANYTHING: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([0.5] * NZ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FACE = st.fixed_dictionaries({}, optional=dict.fromkeys((*FIELDS, "moment", "checkpoint", "opened"), ANYTHING))


@settings(max_examples=60)
@given(face=FACE, others=st.lists(FACE | ANYTHING, max_size=4), more=ANYTHING)
def test_the_studio_draws_or_says_in_a_line_why_not(studio: Studio, face: dict, others: list, more: Any) -> None:
    for ask in (
        lambda: studio.face(**face),
        lambda: studio.opinion(**face),
        lambda: studio.faces([face, *others], more),
        lambda: studio.faces(more),
        lambda: studio.path([face, *others], frames=more),
        lambda: studio.path([1, 2], more, 3, more, more),
        lambda: studio.slider([face, *others], [1], more),
        lambda: studio.arithmetic(more, [face], [1], more),
        lambda: studio.arithmetic([face], others, [1]),
        lambda: studio.checkpoints.summary(more),
        lambda: studio.checkpoints.generator("people", more),
        lambda: studio.closest(more, more, more),
        lambda: about.snapshot(studio.checkpoints.get("people"), more),
        lambda: real_vs_fake.reals(studio, "people", more),
        lambda: picture(studio.face(**{key: value for key, value in face.items() if key in FIELDS})),
    ):
        try:
            ask()
        except ValueError as error:
            assert is_a_line(error)
