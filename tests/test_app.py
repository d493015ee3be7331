"""Every public endpoint over HTTP, checked for pixels, and the command line."""

import base64
import io
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageColor

import app
from dcgan import load_checkpoint, sample
from dcgan.demo.explorer import source
from tests.demo_fixtures import FRAMES, NZ, checkpoints, demo  # noqa: F401


@pytest.fixture(scope="module")
def client(demo: str) -> Client:  # noqa: F811
    return Client(demo, verbose=False)


@pytest.fixture(scope="module")
def expected(checkpoints: Path) -> np.ndarray:  # noqa: F811
    """Seeds 0 to 63 of `people`, as `sample` makes them in one batch."""
    return sample(load_checkpoint(checkpoints / "people").generator, range(64)).numpy()


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_only_the_page_is_answered_with_the_page(demo: str) -> None:  # noqa: F811
    assert "<script>{" in httpx.get(demo).text
    refused = httpx.post(demo, timeout=10)
    assert refused.status_code == 405
    assert int(refused.headers["content-length"]) == len(refused.content)


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_shown_ahead_of_the_theme_has_its_colours(dark: bool) -> None:
    """Of two equal names in a style sheet the later one is dark."""

    def colours(css: str) -> dict[str, str]:
        rules = re.findall(r"--([\w-]+): ([^;]+);", css)
        return dict(rules if dark else reversed(rules))

    def colour(value: str) -> tuple[int, ...]:
        while found := re.fullmatch(r"var\(--([\w-]+)\)", value):
            value = theme[found[1]]
        return ImageColor.getrgb(value)

    theme = colours(app.THEME._get_theme_css())
    ours = colours(source("colours.css"))
    assert {name: colour(value) for name, value in ours.items()} == {name: colour(theme[name]) for name in ours}


def test_exactly_what_a_script_may_want_is_public(client: Client) -> None:
    public = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(public) == [
        "/about",
        "/arithmetic",
        "/checkpoints",
        "/face",
        "/find",
        "/interpolate",
        "/interpolate_file",
        "/likeness",
        "/model_card",
        "/nearest",
        "/opinion",
        "/random_seed",
        "/real_vs_fake",
        "/replay",
        "/replay_frame",
        "/slider",
    ]
    assert all(p["parameter_has_default"] for endpoint in public.values() for p in endpoint["parameters"])
    assert all(endpoint["description"] for endpoint in public.values())


def test_a_slider_from_seeds_moves_a_face(client: Client) -> None:
    vector = client.predict(having=[1, 2, 3], lacking=[4, 5, 6], api_name="/slider")
    assert np.linalg.norm(vector) == pytest.approx(1, abs=0.01)
    still, moved = (
        pixels(client.predict(seed=7, shift=[step * value for value in vector], api_name="/face")) for step in (0, 3)
    )
    assert np.abs(still.astype(int) - moved).mean() > 3


def test_a_sum_of_faces_is_an_origin(client: Client, expected: np.ndarray) -> None:
    origin = client.predict(start=[7], minus=[8], plus=[8], api_name="/arithmetic")
    face = pixels(client.predict(origin=origin, api_name="/face"))
    assert np.abs(face.astype(int) - expected[7]).max() <= 4, "up to two digits of z"


def test_face_has_the_pixels_of_sample(client: Client, expected: np.ndarray) -> None:
    path = client.predict(seed=7, api_name="/face")
    with Image.open(path) as image:
        assert image.format == "PNG"
    assert np.array_equal(pixels(path), expected[7])


def test_face_takes_edits_truncation_and_checkpoint(
    client: Client,
    checkpoints: Path,  # noqa: F811
) -> None:
    from dcgan.latents import latent
    from dcgan.sampling import render

    z = 0.5 * latent(7, NZ)
    z[3] = 2.0
    generator = load_checkpoint(checkpoints / "toons").generator
    wanted = render(generator, z[None])[0].permute(1, 2, 0).numpy()
    path = client.predict(7, 0.5, {"3": 2.0}, "toons", api_name="/face")
    assert np.array_equal(pixels(path), wanted)


def test_two_visitors_get_files_of_their_own(demo: str) -> None:  # noqa: F811
    visitors = [Client(demo, verbose=False, download_files=False) for _ in range(2)]
    files = [visitor.predict(seed=1, api_name="/face")["path"] for visitor in visitors]
    assert files[0] != files[1]


@pytest.mark.parametrize(
    ("endpoint", "wrong", "message"),
    [
        ("/face", {"seed": -1}, "seed must be a whole number from 0 to 4294967295, not -1"),
        ("/face", {"edits": {"99": 1}}, "dimension must be"),
        ("/face", {"checkpoint": "nobody"}, "checkpoint must be one of people, toons, not 'nobody'"),
        ("/interpolate", {"frames": 1000}, "frames must be a whole number from 2 to 300, not 1000"),
        ("/interpolate", {"seeds": [1]}, "faces must be a list of 2 to 8"),
        ("/interpolate", {"seeds": []}, "faces must be a list of 2 to 8"),
        ("/interpolate_file", {"loop": "false"}, "loop must be true or false, not 'false'"),
        ("/face", {"directions": {"age": 1}}, "direction must be"),
        ("/face", {"checkpoint": "toons", "directions": {"age": 9}}, "age must be a number from -3 to 3"),
        ("/face", {"walk": [-1]}, "a step of the walk must be"),
        ("/interpolate", {"path": "round"}, "path must be spherical or linear"),
        ("/interpolate_file", {"format": "exe"}, "format must be gif or webp or mp4"),
        ("/replay_frame", {"index": 4}, "frame must be"),
    ],
)
def test_a_mistake_is_answered_in_a_line(client: Client, endpoint: str, wrong: dict, message: str) -> None:
    with pytest.raises(AppError, match=message) as raised:
        client.predict(**wrong, api_name=endpoint)
    assert "\n" not in str(raised.value)


def test_random_seeds_differ(client: Client) -> None:
    seeds = {client.predict(api_name="/random_seed") for _ in range(4)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_interpolate_is_a_strip_from_a_to_b(client: Client, expected: np.ndarray) -> None:
    strip = pixels(client.predict([3, 5], frames=4, api_name="/interpolate")).astype(int)
    assert strip.shape == (64, 4 * 64, 3)
    assert np.abs(strip[:, :64] - expected[3]).max() <= 1
    assert np.abs(strip[:, -64:] - expected[5]).max() <= 1


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_interpolate_file_is_an_animation(client: Client, format: str) -> None:
    with Image.open(client.predict(frames=4, format=format, api_name="/interpolate_file")) as image:
        assert image.format == format.upper()
        assert image.n_frames == 6  # there and back


def test_real_vs_fake_shows_64_of_each(client: Client, checkpoints: Path) -> None:  # noqa: F811
    real, fake, note = client.predict(shuffle=1, checkpoint="toons", api_name="/real_vs_fake")
    assert pixels(real).shape == (512, 512, 3)
    wanted = sample(load_checkpoint(checkpoints / "toons").generator, range(64, 128)).numpy()
    assert np.array_equal(pixels(fake)[:64, :64], wanted[0])
    assert np.array_equal(pixels(fake)[-64:, -64:], wanted[63])
    assert "drawn faces" in note


def test_a_loop_is_an_mp4(client: Client) -> None:
    import av

    path = client.predict([1, 2, 3], frames=6, format="mp4", loop=True, seconds=1, api_name="/interpolate_file")
    with av.open(path) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6


def test_nearest_shows_the_face_and_six_reals(client: Client, checkpoints: Path) -> None:  # noqa: F811
    strip = pixels(client.predict(5, checkpoint="toons", api_name="/nearest"))
    assert strip.shape == (64, 7 * 64, 3)
    assert np.array_equal(strip[:, :64], sample(load_checkpoint(checkpoints / "toons").generator, [5])[0].numpy())
    found = client.predict(5, "toons", api_name="/likeness")
    assert found["distances"] == sorted(found["distances"])
    with pytest.raises(AppError, match="--dataroot"):
        client.predict(5, checkpoint="people", api_name="/nearest")


def test_opinion_is_a_share(client: Client) -> None:
    found = client.predict(5, api_name="/opinion")
    assert 0 <= found["realer_than"] <= 1
    assert found["among"] == "fakes"


def test_face_follows_directions_and_walks(client: Client) -> None:
    faces = [
        pixels(client.predict(3, checkpoint="toons", **way, api_name="/face"))
        for way in ({}, {"directions": {"age": 2}}, {"walk": [1, 9]})
    ]
    assert not np.array_equal(faces[0], faces[1])
    assert not np.array_equal(faces[0], faces[2])


def test_find_leads_from_a_photo_to_a_face(client: Client, expected: np.ndarray, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(expected[9]).save(photo)
    job = client.submit(handle_file(photo), api_name="/find")
    found = job.result()
    assert found["done"] == 1
    assert [answer["kind"] for answer in job.outputs()][:1] == ["looking"]
    face = pixels(client.predict(origin=found["origin"], api_name="/face"))
    with Image.open(io.BytesIO(base64.b64decode(found["face"]))) as image:
        assert np.array_equal(np.asarray(image), face)
    assert np.abs(face.astype(int) - expected[9]).mean() == pytest.approx(found["error"])


def test_find_refuses_what_is_no_picture(client: Client, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_text("no picture")
    with pytest.raises(AppError, match="no picture that can be read"):
        client.predict(handle_file(photo), api_name="/find")


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}, {"meta": {"_type": "any"}}])
def test_find_touches_no_file_that_was_not_uploaded(demo: str, tmp_path: Path, meta: dict) -> None:  # noqa: F811
    secret = tmp_path / "secret.png"
    Image.new("RGB", (64, 64)).save(secret)
    # Not through the client, which would upload a file of that name.
    call = f"{demo}gradio_api/call/find"
    event = httpx.post(call, json={"data": [{"path": str(secret), **meta}, "people"]}).json()["event_id"]
    answer = httpx.get(f"{call}/{event}", timeout=60).text
    assert "event: error" in answer
    assert "found" not in answer
    assert secret.exists()


def test_replay_gives_curves_and_frames(client: Client) -> None:
    course = client.predict(api_name="/replay")
    assert course["frames"] == list(FRAMES)
    assert course["curves"]["loss_d"][7] is None  # JSON has no NaN
    assert pixels(client.predict(0, api_name="/replay_frame")).shape == (512, 512, 3)


def test_checkpoints_and_about_say_what_there_is(client: Client) -> None:
    people, toons = client.predict(api_name="/checkpoints")
    assert (people["name"], toons["name"]) == ("people", "toons")
    assert people["images_seen"] == 20_000
    assert (people["directions"], toons["directions"]["age"]) == ({}, [-3, 3])
    assert "toons set" in client.predict("toons", api_name="/about")


@pytest.mark.parametrize("wrong", [["--checkpoints", "nowhere"], ["--dataroot", "nowhere"]])
def test_a_wrong_path_is_one_line_and_exit_code_2(
    checkpoints: Path,  # noqa: F811
    wrong: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["app.py", "--checkpoints", str(checkpoints), *wrong])
    assert app.main() == 2
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert error.count("\n") == 1
