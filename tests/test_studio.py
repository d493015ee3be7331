import io
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan import CheckpointError, load_checkpoint, sample
from dcgan.data.images import load_images
from dcgan.data.sources import DataError
from dcgan.demo import inversion as search
from dcgan.demo import real_vs_fake as comparison
from dcgan.demo.real_images import Reals
from dcgan.demo.sentences import spelled
from dcgan.demo.studio import PIECE, Studio
from dcgan.demo.tabs import KOREAN
from dcgan.direction import save_directions
from dcgan.metrics.distances import nearest
from dcgan.pictures import encoded, grid, picture
from dcgan.sampling import render
from tests.demo_fixtures import DIRECTIONS, FRAMES, MOMENTS, NZ, checkpoints, make_checkpoint  # noqa: F401


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:  # noqa: F811
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dcgan.demo.real_images.DRAWN", 70)
        patch.setattr("dcgan.latent.inversion.SAMPLES", 64)
        patch.setattr("dcgan.demo.inversion.LIMITS", (math.inf, 12))
        yield Studio(checkpoints)


@pytest.fixture(scope="module")
def expected(checkpoints: Path) -> np.ndarray:  # noqa: F811
    """Seeds 0 to 63 of `people`, as `sample` makes them in one batch."""
    return sample(load_checkpoint(checkpoints / "people").generator, range(64)).numpy()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of so many soft blots that 50 and more are held out."""
    folder = tmp_path_factory.mktemp("many")
    random = np.random.default_rng(1)
    for i in range(640):
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"blot{i:03d}.png", compress_level=0)
    return folder


def test_studio_needs_no_gradio() -> None:
    code = "import sys, dcgan.demo.studio; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_broken_checkpoint_is_left_out_with_its_reason(studio: Studio) -> None:
    assert studio.shelf.names == ["people", "toons"]
    assert len(studio.shelf.broken) == 1
    assert "wreck" in studio.shelf.broken[0]
    assert "\n" not in studio.shelf.broken[0]


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
    assert len(Studio(tmp_path).shelf.names) == 2


def test_a_checkpoint_in_words(studio: Studio) -> None:
    words = studio.shelf.about("people")
    for part in ("64 × 64", "20,000 images", "people set", "1,234", "for tests only"):
        assert part in words
    assert {text for text, _ in studio.shelf.sentences("people")} <= set(KOREAN)


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
    frames = studio.path([3, 5], kind, 9)
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


def test_a_loop_leads_back_and_a_chain_touches_its_faces(studio: Studio, expected: np.ndarray) -> None:
    frames = studio.path([3, {"seed": 5}, 7], "spherical", 12, loop=True).astype(int)
    for at, seed in ((0, 3), (4, 5), (8, 7)):
        assert np.abs(frames[at] - expected[seed]).max() <= 1
    assert np.abs(frames[-1] - expected[3]).mean() < np.abs(frames[-1] - expected[7]).mean()


def test_an_mp4_has_every_frame(studio: Studio) -> None:
    import av

    with av.open(io.BytesIO(studio.animation(studio.path(frames=5), "mp4", 1))) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 8
    wanted = studio.face(0).astype(int)
    assert np.abs(frames[0][2::4, 2::4].astype(int) - wanted).mean() < 12


def test_a_walk_is_a_step_of_the_neighbours(studio: Studio) -> None:
    numbers, faces, _ = studio.around("people", [2], seed=7, truncation=0.8, edits={"1": 2.0})
    assert len(set(numbers)) == len(faces) == 8
    assert np.array_equal(faces[5], studio.face(7, "people", truncation=0.8, edits={"1": 2.0}, walk=[2, numbers[5]]))
    long = list(range(50))
    numbers, faces, _ = studio.around("people", long, seed=7)  # the next step forgets the first
    assert np.array_equal(faces[1], studio.face(7, "people", walk=[*long[1:], numbers[1]]))
    z = np.array(studio.latent(7, walk=long))
    assert 0.5 < np.linalg.norm(z) / NZ**0.5 < 1.6  # a long walk stays where the generator was trained


def test_directions_are_added_after_edits(studio: Studio) -> None:
    assert studio.shelf.summary("people")["directions"] == []
    age, other = studio.shelf.summary("toons")["directions"]
    assert age == {"name": "age", "low": -3, "high": 3, "ends": ("younger", "older"), "kind": "number"}
    assert (other["name"], other["kind"]) == ("principal 1", "principal")
    moved = studio.face(3, edits={"3": 0.5}, checkpoint="toons", directions={"age": 1.5})
    assert np.array_equal(moved, studio.face(3, edits={"3": 2.0}, checkpoint="toons"))


def test_a_moment_shows_the_same_latent_as_it_was_then(studio: Studio, expected: np.ndarray) -> None:
    assert studio.shelf.summary("people")["moments"] == list(MOMENTS)
    assert studio.shelf.summary("toons")["moments"] == []
    contrast = [studio.face(3, checkpoint="people", moment=moment).std() for moment in (*MOMENTS, None)]
    assert contrast == sorted(contrast)
    assert contrast[0] < contrast[-1] / 2
    now, then = (studio.around("people", seed=3, moment=moment)[1] for moment in (None, 0))
    assert then.std() < now.std() / 2


@pytest.mark.parametrize(("checkpoint", "moment"), [("people", 7), ("people", "0"), ("people", True), ("toons", 0)])
def test_a_moment_that_is_not_kept_is_refused_in_a_line(studio: Studio, checkpoint: str, moment: object) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        studio.face(3, checkpoint=checkpoint, moment=moment)


@pytest.mark.parametrize("wrong", [{"height": 1}, {"age": 3.1}, {"age": float("nan")}, {"age": None}, ["age"]])
def test_a_direction_is_a_known_name_and_a_number_in_its_range(studio: Studio, wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^(direction|age|directions) must be") as raised:
        studio.face(3, checkpoint="toons", directions=wrong)
    assert len(str(raised.value)) < 150


def test_directions_that_cannot_be_used_leave_the_checkpoint_open_and_say_why(tmp_path: Path) -> None:
    one, other = make_checkpoint(tmp_path / "one"), make_checkpoint(tmp_path / "other", seed=2)
    save_directions(one / "directions.safetensors", DIRECTIONS, load_checkpoint(other).generator)
    (other / "directions.safetensors").write_bytes(b"cut off")
    studio = Studio(tmp_path)
    assert [studio.shelf.summary(name)["directions"] for name in studio.shelf.names] == [[], []]
    assert studio.face(1, checkpoint="other").shape == (64, 64, 3)
    assert ["other weights" in studio.shelf.broken[0], "damaged" in studio.shelf.broken[1]] == [True, True]
    for line in studio.shelf.broken:
        assert "directions.safetensors" in line
        assert str(tmp_path) not in line
        assert "\n" not in line


def test_the_opinion_is_a_rank_among_the_checkpoints_faces(studio: Studio) -> None:
    shares = [studio.opinion("people", seed=seed).realer_than for seed in range(40)]
    assert 0.3 < np.mean(shares) < 0.7
    assert len(set(shares)) > 20


def test_held_out_reals_calibrate_the_opinion(checkpoints: Path, many: Path) -> None:  # noqa: F811
    studio = Studio(checkpoints, str(many))
    comparison.real_vs_fake(studio, checkpoint="people")  # waits for the reals
    assert studio.opinion("people").among == "reals"


def test_no_discriminator_no_opinion(tmp_path: Path) -> None:
    (make_checkpoint(tmp_path / "alone") / "discriminator.safetensors").unlink()
    studio = Studio(tmp_path)
    assert studio.opinion() is None
    assert studio.face().shape == (64, 64, 3)


def test_a_visitors_photos_are_the_reals_and_are_not_kept(studio: Studio, photos: Path, tmp_path: Path) -> None:
    files = [shutil.copy(photo, tmp_path) for photo in sorted(photos.iterdir())[:30]]
    (tmp_path / "broken.png").write_text("not a picture")
    files.append(str(tmp_path / "broken.png"))
    own = studio.own_photos(files, "people")
    assert own.shape == (30, 3, 64, 64)
    assert sorted(tmp_path.iterdir()) == sorted(map(Path, files))  # which another visitor may have given, too
    assert np.array_equal(studio.own_photos(files, "people"), own)
    pair = comparison.real_vs_fake(studio, 0, "people", own)
    assert pair.real.shape == (4 * 64, 8 * 64, 3)
    assert "30 pictures of your own" in spelled(pair.note)
    with pytest.raises(ValueError, match=r"^none of the 1 images in 'what you gave' can be read: give JPEG"):
        studio.own_photos([shutil.copy(Path(__file__), tmp_path / "a.png")], "people")


def test_a_zip_of_photos_is_read_as_well(studio: Studio, photos: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", photos)
    assert len(studio.own_photos([archive], "people")) == 40


def test_the_quiz_has_twenty_pairs_and_says_which_is_fake(studio: Studio, photos: Path, tmp_path: Path) -> None:
    own = studio.own_photos([shutil.copy(photo, tmp_path) for photo in photos.iterdir()], "people")
    quiz = comparison.quiz(studio, "people", own)
    reals = {image.tobytes() for image in own.transpose(0, 2, 3, 1)}
    assert len(quiz.pictures) == 40
    assert len(quiz.discriminator) == 20
    for pair, fake in zip(quiz.pictures.reshape(20, 2, 64, 64, 3), quiz.fakes, strict=True):
        assert pair[fake].tobytes() not in reals
        assert pair[1 - fake].tobytes() in reals
    with pytest.raises(ValueError, match="the quiz needs 20"):
        comparison.quiz(studio, "people", own[:19])


def test_a_copy_is_told_from_a_stranger(many: Path) -> None:
    images = load_images(str(many), 64, 3, workers=0, progress=False)
    reals = Reals(images)
    index = images.training[17]
    copy = reals.closest(images.batch(np.array([index]))[0].flip(2), 3)  # a mirrored copy is a copy
    assert copy.distances[0] < 0.5
    assert copy.closer_than == 1.0
    assert torch.equal(copy.images[0], images.batch(np.array([index]))[0])
    stranger = reals.closest(images.batch(reals.heldout[:1])[0], 3)
    assert stranger.distances[0] > 5
    assert stranger.closer_than < 0.99


def test_the_closest_are_the_closest_of_all(many: Path) -> None:
    images = load_images(str(many), 64, 3, workers=0, progress=False)
    for face in images.batch(np.flatnonzero(images.heldout)[:4]):
        wanted = nearest(images.batch(images.training), face[None]).sort().values[:5]
        assert Reals(images).closest(face, 5).distances == pytest.approx(wanted.tolist(), abs=0.6)


def test_reals_come_from_dataroot(checkpoints: Path, photos: Path) -> None:  # noqa: F811
    studio = Studio(checkpoints, str(photos))
    pair = comparison.real_vs_fake(studio, checkpoint="people")
    assert pair.real is not None
    assert pair.real.shape == (5 * 64, 8 * 64, 3)  # there are only 40
    assert "40 pictures" in spelled(pair.note)
    assert np.array_equal(pair.fake[:64, :64], studio.face(0, checkpoint="people"))


def test_without_reals_the_built_in_pair_stands_in_and_says_so(studio: Studio) -> None:
    pair = comparison.real_vs_fake(studio, checkpoint="people")
    assert pair.real is not None
    assert pair.real.shape == pair.fake.shape == (512, 512, 3)
    assert "--dataroot" in spelled(pair.note)
    assert np.array_equal(pair.fake[:64, :64], studio.face(0, checkpoint="toons"))


def test_the_same_shuffle_shows_the_same(studio: Studio) -> None:
    first, again, other = (comparison.real_vs_fake(studio, n, "toons") for n in (1, 1, 2))
    assert np.array_equal(first.real, again.real)
    assert np.array_equal(first.fake, again.fake)
    assert not np.array_equal(first.real, other.real)
    assert not np.array_equal(first.fake, other.fake)


def test_replay_has_frames_and_curves_without_nan(studio: Studio) -> None:
    course = studio.shelf.replay()
    assert course["frames"] == list(FRAMES)
    assert course["curves"]["loss_d"][7] is None
    assert all(len(curve) == 40 for curve in course["curves"].values())
    assert studio.shelf.snapshot(3)[8:12] == b"WEBP"
    with pytest.raises(ValueError, match="frame must be"):
        studio.shelf.snapshot(4)


def test_a_grey_checkpoint_is_shown_as_well(tmp_path: Path, photos: Path) -> None:
    studio = Studio(make_checkpoint(tmp_path / "grey", nc=1), str(photos))
    face = studio.face(0)
    assert face.shape == (64, 64, 1)
    assert picture(face).mode == "L"
    assert "grey" in studio.shelf.about()
    assert {text for text, _ in studio.shelf.sentences()} <= set(KOREAN)
    pair = comparison.real_vs_fake(studio)
    assert encoded(pair.real)
    assert encoded(pair.fake, "jpeg")
    assert studio.animation(studio.path(frames=4), "gif")


def test_grid_goes_row_by_row() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1).repeat(2, 1).repeat(2, 2)
    assert grid(images, 4)[::2, ::2, 0].tolist() == [[0, 1, 2, 3], [4, 5, 0, 0]]


def photo_of(face: np.ndarray, path: Path) -> Path:
    picture(face).save(path, "PNG")
    return path


def test_a_photo_leads_to_a_face_that_explore_goes_on_from(studio: Studio, tmp_path: Path) -> None:
    photo = photo_of(studio.face(9), tmp_path / "photo.png")
    *_, last = search.find(studio, photo)
    assert not last.face_found  # the networks of tests draw no faces: the centre stands in
    assert np.array_equal(last.target, studio.face(9))
    assert last.done == 1
    assert last.error == pytest.approx(np.abs(last.face.astype(int) - last.target).mean())
    assert np.array_equal(studio.face(origin=last.origin), last.face)
    assert studio.latent(origin=last.origin) == pytest.approx(last.origin)
    samples = [np.abs(studio.face(seed).astype(int) - last.target).mean() for seed in range(64) if seed != 9]
    assert last.error < min(samples)


def test_neighbours_and_edits_go_on_from_an_origin(studio: Studio) -> None:
    origin = studio.latent(9)
    assert np.array_equal(studio.face(5, origin=origin), studio.face(9))
    assert np.array_equal(studio.face(origin=origin, edits={2: 1.0}), studio.face(9, edits={2: 1.0}))
    assert np.array_equal(studio.around(origin=origin)[1], studio.around(seed=9)[1])


@pytest.mark.parametrize("origin", [[0.0] * 3, "z", [7.0] * NZ, [math.nan] * NZ, [None] * NZ])
def test_an_origin_that_is_none_is_refused_in_a_line(studio: Studio, origin: object) -> None:
    with pytest.raises(ValueError, match="origin") as raised:
        studio.face(origin=origin)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_nothing_of_a_photo_is_kept(studio: Studio, tmp_path: Path) -> None:
    given_up = photo_of(studio.face(1), tmp_path / "given-up.png")
    searching = search.find(studio, given_up)
    next(searching)
    searching.close()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="no picture that can be read"):
        next(search.find(studio, broken))
    assert {path.name for path in tmp_path.iterdir()} == {"given-up.png", "broken.png"}  # which are swept up later


def test_two_visitors_may_give_the_same_photo(studio: Studio, tmp_path: Path) -> None:
    photo = photo_of(studio.face(1), tmp_path / "photo.png")  # Gradio keeps what has the same bytes in one place
    first, second = search.find(studio, photo), search.find(studio, photo)
    assert [found.done for found in first][-1] == 1
    assert [found.done for found in second][-1] == 1


def test_photos_that_are_too_large_are_refused(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcgan.demo.uploads.MAX_PHOTO", 100)
    with pytest.raises(ValueError, match="larger than"):
        next(search.find(studio, photo_of(studio.face(1), tmp_path / "large.png")))
    monkeypatch.undo()
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="too many pixels"):
        next(search.find(studio, photo_of(studio.face(1), tmp_path / "bomb.png")))


def test_many_faces_are_drawn_a_few_at_a_turn(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    studio, drawn = Studio(checkpoints), []
    monkeypatch.setattr("dcgan.demo.studio.render", lambda generator, z: drawn.append(len(z)) or render(generator, z))
    assert len(studio.path([1, 2], frames=70)) == 70
    assert sum(drawn) == 70
    assert max(drawn) <= PIECE
