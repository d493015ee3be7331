"""The promises of SECURITY.md: hostile requests, files, addresses, what visitors leave, and the end of the program."""

import io
import json
import math
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from PIL import Image

from dcgan.demo.app import build_demo
from dcgan.demo.studio import Studio
from tests.demo_fixtures import NZ, PATIENT, program

ROOT = Path(__file__).parents[2]
HOSTILE = (  # tests of the studio send it more
    *(None, -1, 10**30, math.nan, "../../etc/passwd", "x" * 100_000, {"12": math.inf}, [[[[{"a": 1}]]]]),
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
)
GOOD: dict[str, Any] = {
    "seeds": [1, 2],
    "latents": [[0.5] * NZ],
    "format": "gif",
    "seconds": 1.0,
    "loop": False,
    "faces": [1, {"seed": 2}],
    "kind": "linear",
    "frames": 3,
    "seed": 1,
}


OWN_EVENTS = ("tab", "checkpoint", "card")


class Visitor:
    """Someone at the demo with nothing but HTTP."""

    def __init__(self, url: str):
        self.http = httpx.Client(base_url=url, **PATIENT)
        self.config = self.http.get("config").json()
        self.endpoints = self.http.get("gradio_api/info").json()["named_endpoints"]
        self.events = {event["api_name"]: event["id"] for event in self.config["dependencies"] if event["api_name"]}

    def post(self, route: str, body: Any) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return self.http.post(f"gradio_api/{route}", content=json.dumps(body), headers=headers)

    def event(self, number: int, data: list, session: str = "v", event_data: Any = None) -> dict[str, Any]:
        """Run an event to its end; the message that ends it, or the refusal."""
        body = {"fn_index": number, "data": data, "event_data": event_data, "session_hash": session}
        joined = self.post("queue/join", body)
        if joined.status_code != 200:
            return {"success": False, "output": {"error": joined.text}}
        with self.http.stream("GET", f"gradio_api/queue/data?session_hash={session}") as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return message
        raise AssertionError("no end")

    def endpoint(self, name: str, **values: Any) -> dict[str, Any]:
        """Call an endpoint for scripts, with its defaults for what is left out."""
        parameters = self.endpoints[name]["parameters"]
        data = [values.get(p["parameter_name"], p.get("parameter_default")) for p in parameters]
        return self.event(self.events[name.removeprefix("/")], data)

    def server_function(self, component: int, name: str, data: Any) -> httpx.Response:
        body = {"component_id": component, "fn_name": name, "data": data, "session_hash": "v"}
        return self.post("component_server", body)

    def upload(self, content: bytes, name: str = "photo.png") -> Path:
        return Path(self.http.post("gradio_api/upload", files={"files": (name, content)}).json()[0])

    def event_with(self, kind: str) -> int:
        """The event that takes the value of a component of this kind."""
        wanted = [c["id"] for c in self.config["components"] if c["type"] == kind]
        found = [e["id"] for e in self.config["dependencies"] if e["inputs"] and e["inputs"][0] in wanted]
        return found[0]


@pytest.fixture(scope="module")
def visitor(demo: str) -> Visitor:
    return Visitor(demo)


@pytest.fixture
def quiet(visitor: Visitor, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No traceback in the log, and the demo answers as before."""
    yield
    assert visitor.endpoint("/face", seed=7)["success"]
    output = "".join(capfd.readouterr())
    assert "Traceback" not in output
    assert "Grandmother" not in output


def is_a_sentence(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) < 300 and "\n" not in text and "Error" not in text


def is_refused(answer: dict[str, Any]) -> bool:
    """Whether an event ended in a sentence: as an error or, in Find my face, beside the photo, which is taken away."""
    output = answer["output"]
    if not answer["success"]:
        return is_a_sentence(output["error"])
    photo, text, *rest = output["data"]
    return photo is None and is_a_sentence(text) and not any(isinstance(part, dict) and "path" in part for part in rest)


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "gray").save(file, "PNG")
    return file.getvalue()


def file_data(path: object) -> dict[str, Any]:
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


# Requests


@pytest.mark.usefixtures("quiet")
def test_every_endpoint_answers_or_refuses_in_a_line(visitor: Visitor) -> None:
    assert len(visitor.endpoints) >= 16
    for name, about in visitor.endpoints.items():
        for parameter in (p["parameter_name"] for p in about["parameters"]):
            for value in HOSTILE:
                if isinstance(value, dict) and "path" in value:
                    continue  # files are for the tests below
                answer = visitor.endpoint(name, **{parameter: value})
                assert answer["success"] or is_a_sentence(answer["output"]["error"]), (name, parameter, value, answer)


@pytest.mark.usefixtures("quiet")
def test_every_server_function_answers_or_refuses_in_a_line(visitor: Visitor) -> None:
    functions = [(c["id"], name) for c in visitor.config["components"] for name in c["props"].get("server_fns", [])]
    assert {"reals", "quiz", "rivals", "nearest", "draw", "ranking"} <= {name for _, name in functions}
    for component, name in functions:
        for value in HOSTILE:
            for data in (value, {"checkpoint": value}, {**GOOD, "checkpoint": value}, {"seed": value, "seeds": value}):
                answer = visitor.server_function(component, name, data)
                assert answer.status_code == 200, (name, data)
                if isinstance(answer.json(), dict) and "error" in answer.json():
                    assert is_a_sentence(answer.json()["error"]), (name, data, answer.json())


@pytest.mark.usefixtures("quiet")
def test_every_event_that_a_component_sends_answers_or_refuses_in_a_line(visitor: Visitor) -> None:
    events = [e for e in visitor.config["dependencies"] if e["targets"] and e["targets"][0][1] in OWN_EVENTS]
    assert len(events) == len(OWN_EVENTS)
    for event in events:
        for value in HOSTILE[:-1]:  # the file Gradio refuses by itself
            for data in (value, {"id": value, "name": value, "checkpoint": value, "language": value}):
                answer = visitor.event(event["id"], [None] * len(event["inputs"]), event_data=data)
                assert answer["success"] or is_a_sentence(answer["output"]["error"]), (event["targets"], data, answer)


# Files and addresses


def test_files_of_the_machine_are_not_served(visitor: Visitor, checkpoints: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    inside = (ROOT / "app.py", "app.py", f"{ROOT}/dcgan/../app.py", ".git/config", checkpoints)
    for path in (*inside, "/etc/passwd", secret):
        for escaped in (str(path), str(path).replace("/", "%2F"), str(path).replace(".", "%2e")):
            assert visitor.http.get(f"gradio_api/file={escaped}").status_code in (403, 404)
    for path in ("/etc/passwd", secret):
        for event in visitor.config["dependencies"]:
            for value in (file_data(path), [file_data(path)]):
                answer = visitor.event(event["id"], [value] * len(event["inputs"]))
                assert "a secret" not in json.dumps(answer)
                assert f"file={path}" not in json.dumps(answer)
    assert secret.read_text() == "a secret"


def test_pictures_of_the_machine_are_no_uploads(visitor: Visitor, tmp_path: Path) -> None:
    """Whether or not a description of a file says that it is one."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    events = {visitor.event_with("image"), visitor.event_with("uploadbutton"), visitor.events["find"]}
    for event in events:
        for file in (file_data(secret), {"path": str(secret)}, {"path": f"{visitor.upload(picture())}/../{secret}"}):
            for value in (file, [file]):
                answer = visitor.event(event, [value, "people", None])
                assert not answer["success"] or is_refused(answer), (event, value)


@pytest.mark.usefixtures("quiet")
def test_what_is_no_photo_is_refused_without_its_name(visitor: Visitor) -> None:
    broken = visitor.upload(b"not a photo", "Grandmother at home.png")
    for event, value in (("image", file_data(broken)), ("uploadbutton", [file_data(broken)])):
        assert is_refused(visitor.event(visitor.event_with(event), [value, "people", None]))
    assert not visitor.endpoint("/find", photo=file_data(broken))["success"]


# What visitors leave


@pytest.mark.usefixtures("quiet")
def test_own_photos_are_forgotten(visitor: Visitor) -> None:
    photo = visitor.upload(picture(), "Grandmother.png")
    answer = visitor.event(visitor.event_with("uploadbutton"), [[file_data(photo)], "people", None], "owner")
    own = answer["output"]["data"][1]["own"]
    assert own["count"] == 1
    sheet = Path(own["picture"]["path"])
    assert sheet.is_file()
    [state] = [c["id"] for c in visitor.config["components"] if c["type"] == "state"]
    [forget] = [event["id"] for event in visitor.config["dependencies"] if event["inputs"] == [state]]
    visitor.event(forget, [None], "somebody else")
    assert sheet.is_file()
    answer = visitor.event(forget, [None], "owner")
    assert answer["output"]["data"][1] == {"own": None}
    assert not sheet.exists()


def test_everything_of_a_visitor_is_gone_within_the_hour(checkpoints: Path) -> None:
    """By Gradio's own means, which this test only asks for; and the pixels of own photos with the state."""
    page = build_demo(Studio(checkpoints))
    frequency, age = page.delete_cache
    assert frequency + age < 3600
    [own] = [block for block in page.blocks.values() if isinstance(block, gr.State)]
    assert own.time_to_live < 3600


# The program


@pytest.fixture
def trap() -> Iterator[list[str]]:
    """The paths that anyone asks of a server on this machine, whose address comes first."""
    asked: list[str] = []

    class Trap(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_CONNECT = do_POST = do_GET

    server = HTTPServer(("127.0.0.1", 0), Trap)
    asked.append(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield asked
    server.shutdown()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_asks_nothing_of_the_network_and_a_signal_ends_it_and_leaves_nothing(
    checkpoints, tmp_path, trap, monkeypatch, number
):
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"):
        monkeypatch.delenv(name, raising=False)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), trap[0])
    environment |= {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "TMPDIR": str(temporary), "GRADIO_DEBUG": "1"}
    with program(tmp_path / "log", "--checkpoints", checkpoints, **environment) as demo:
        visitor = Visitor(demo.url)
        assert visitor.upload(picture()).is_relative_to(temporary)
        assert visitor.endpoint("/face", seed=5)["success"]
        code, printed = demo.end(number)
    assert (code, "Traceback" in printed) == (0, False), printed
    left = {path.name for path in temporary.rglob("*")}
    assert all(name.startswith("torchinductor_") for name in left), left  # torch's own, empty
    assert len(trap) == 1, "it asked someone"
