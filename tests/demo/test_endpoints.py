"""Every endpoint for scripts over HTTP: pixels, and mistakes answered in a line."""

import base64
import io
import json
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from dcgan import load_checkpoint, sample
from dcgan.demo.studio import Studio
from tests.demo_fixtures import FRAMES, PATIENT

PUBLIC = (
    *("/about", "/arithmetic", "/checkpoints", "/face", "/find", "/interpolate", "/interpolate_file", "/likeness"),
    *("/model_card", "/nearest", "/opinion", "/random_seed", "/real_vs_fake", "/replay", "/replay_frame", "/slider"),
)


@pytest.fixture(scope="module")
def client(demo: str) -> Client:
    return Client(demo, verbose=False, httpx_kwargs=PATIENT)


def pixels(path: str | io.BytesIO) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_exactly_what_a_script_may_want_is_public_and_documented(client: Client) -> None:
    public = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(public) == sorted(PUBLIC)
    assert all(p["parameter_has_default"] for endpoint in public.values() for p in endpoint["parameters"])
    assert all(endpoint["description"] for endpoint in public.values())


def test_faces_have_the_pixels_of_sample_and_follow_their_description(client: Client, studio: Studio) -> None:
    path = client.predict(seed=7, api_name="/face")
    with Image.open(path) as image:
        assert image.format == "PNG"
    wanted = sample(studio.checkpoints.get("people").generator, [7]).numpy()[0]
    assert np.array_equal(pixels(path), wanted)
    way = {"truncation": 1.8, "edits": {"3": 2.0}, "directions": {"age": 2}, "walk": [1, 9]}
    path = client.predict(7, checkpoint="toons", **way, api_name="/face")
    assert np.array_equal(pixels(path), studio.face(7, "toons", **way))
    path = client.predict(7, moment=FRAMES[1], api_name="/face")
    assert np.array_equal(pixels(path), studio.face(7, moment=FRAMES[1]))


def test_two_plain_requests_do_with_what_differs_from_the_defaults(demo: str, studio: Studio) -> None:
    event = httpx.post(f"{demo}gradio_api/call/v2/face", json={"seed": 7}, **PATIENT).json()["event_id"]
    lines = httpx.get(f"{demo}gradio_api/call/face/{event}", **PATIENT).text.split("\n")
    kind, data = [line for line in lines if line][-2:]  # heartbeats may come before
    assert kind == "event: complete"
    picture = httpx.get(json.loads(data.removeprefix("data: "))[0]["url"], **PATIENT).content
    assert np.array_equal(pixels(io.BytesIO(picture)), studio.face(7))


def test_a_slider_moves_a_face_and_a_sum_is_an_origin(client: Client, studio: Studio) -> None:
    vector = client.predict(having=[1, 2, 3], lacking=[4, 5, 6], api_name="/slider")
    assert np.linalg.norm(vector) == pytest.approx(1, abs=0.01)
    moved = pixels(client.predict(seed=7, shift=[3 * value for value in vector], api_name="/face"))
    assert np.abs(moved - studio.face(7)).mean() > 3
    origin = client.predict(start=[7], minus=[8], plus=[8], api_name="/arithmetic")
    face = pixels(client.predict(origin=origin, api_name="/face"))
    assert np.abs(face - studio.face(7)).max() <= 4, "up to two digits of z"


def test_two_visitors_get_files_of_their_own(demo: str) -> None:
    visitors = [Client(demo, verbose=False, download_files=False, httpx_kwargs=PATIENT) for _ in range(2)]
    files = [visitor.predict(seed=1, api_name="/face")["path"] for visitor in visitors]
    assert files[0] != files[1]


@pytest.mark.parametrize(
    ("endpoint", "wrong", "message"),
    [
        ("/face", {"seed": -1}, "seed must be a whole number from 0 to 4294967295, not -1"),
        ("/face", {"seed": "x", "origin": [0.0] * 20}, "seed must be a whole number"),
        ("/face", {"checkpoint": "nobody"}, "checkpoint must be people or toons, not 'nobody'"),
        ("/face", {"checkpoint": "toons", "directions": {"age": 9}}, "age must be a number from -3 to 3"),
        ("/interpolate", {"frames": 1000}, "frames must be a whole number from 2 to 300, not 1000"),
        ("/interpolate", {"path": "round"}, "path must be spherical or linear"),
        ("/interpolate_file", {"loop": "false"}, "loop must be true or false, not 'false'"),
        ("/interpolate_file", {"format": "exe"}, "format must be gif or webp or mp4"),
        ("/replay_frame", {"index": 4}, "frame must be"),
        ("/nearest", {"seed": 5, "checkpoint": "people"}, "not on this machine"),
    ],
)
def test_a_mistake_is_answered_in_a_line(client: Client, endpoint: str, wrong: dict, message: str) -> None:
    with pytest.raises(AppError, match=message) as raised:
        client.predict(**wrong, api_name=endpoint)
    assert "\n" not in str(raised.value)
    assert "__i18n__" not in str(raised.value)


def test_paths_are_strips_and_animations(client: Client, studio: Studio) -> None:
    strip = pixels(client.predict([3, 5], frames=4, api_name="/interpolate"))
    assert strip.shape == (64, 4 * 64, 3)
    assert np.abs(strip[:, :64] - studio.face(3)).max() <= 1
    assert np.abs(strip[:, -64:] - studio.face(5)).max() <= 1
    for format in ("gif", "webp"):
        with Image.open(client.predict(frames=4, format=format, api_name="/interpolate_file")) as image:
            assert (image.format, image.n_frames) == (format.upper(), 6)  # there and back
    file = client.predict([1, 2, 3], frames=6, format="mp4", loop=True, seconds=1, api_name="/interpolate_file")
    with av.open(file) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6


def test_reals_stand_beside_fakes(client: Client, checkpoints: Path) -> None:
    real, fake, note = client.predict(shuffle=1.0, checkpoint="toons", api_name="/real_vs_fake")
    assert pixels(real).shape == (512, 512, 3)
    wanted = sample(load_checkpoint(checkpoints / "toons").generator, range(64, 128)).numpy()
    assert np.array_equal(pixels(fake)[:64, :64], wanted[0])
    assert np.array_equal(pixels(fake)[-64:, -64:], wanted[63])
    assert "drawn faces" in note
    strip = pixels(client.predict(5, checkpoint="toons", api_name="/nearest"))
    assert strip.shape == (64, 7 * 64, 3)
    found = client.predict(5, "toons", api_name="/likeness")
    assert found["distances"] == sorted(found["distances"])


def test_find_leads_from_a_photo_to_a_face(client: Client, studio: Studio, tmp_path: Path) -> None:
    Image.fromarray(studio.face(9)).save(tmp_path / "photo.png")
    found = client.submit(handle_file(tmp_path / "photo.png"), api_name="/find").result()
    assert found["done"] == 1
    face = pixels(client.predict(origin=found["origin"], api_name="/face"))
    with Image.open(io.BytesIO(base64.b64decode(found["face"]))) as image:
        assert np.array_equal(np.asarray(image), face)


def test_what_there_is_to_know(client: Client) -> None:
    course = client.predict(api_name="/replay")
    assert course["frames"] == list(FRAMES)
    assert course["curves"]["loss_d"][7] is None  # JSON has no NaN
    assert all(len(curve) == 40 for curve in course["curves"].values())
    with Image.open(client.predict(0, api_name="/replay_frame")) as image:
        assert (image.format, image.size) == ("WEBP", (512, 512))
    people, toons = client.predict(api_name="/checkpoints")
    assert (people["name"], toons["name"], people["images_seen"]) == ("people", "toons", 20_000)
    assert (people["directions"], toons["directions"]["age"]) == ({}, [-3, 3])
    assert "toons set" in client.predict("toons", api_name="/about")
    assert "a card" in client.predict("toons", api_name="/model_card")
    opinion = client.predict(5, api_name="/opinion")
    assert 0 <= opinion["realer_than"] <= 1
    assert opinion["among"] == "fakes"
    assert len({client.predict(api_name="/random_seed") for _ in range(4)}) > 1
