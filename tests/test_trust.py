"""The open internet: hostile requests, addresses and files, floods, uploads, and the end of the program."""

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.demo_fixtures import NZ, checkpoints, demo  # noqa: F401

DEEP: Any = None
for _ in range(300):
    DEEP = [{"a": DEEP}]
HOSTILE = (
    None,
    True,
    -1,
    0.5,
    10**30,
    math.nan,
    -math.inf,
    "",
    "../../etc/passwd",
    "x" * 100_000,
    [],
    {},
    [0.1] * 10_000,
    [math.nan] * NZ,
    {"12": math.inf},
    {"path": "/etc/passwd"},
    DEEP,
)
GOOD = {
    "checkpoint": "people",
    "seed": 1,
    "walk": [1],
    "origin": [0.5] * NZ,
    "truncation": 0.7,
    "edits": {"3": 1.0},
    "directions": {},
    "shift": [0.1] * NZ,
    "moment": None,
    "faces": [1, {"seed": 2}],
    "kind": "linear",
    "frames": 3,
    "loop": False,
    "format": "gif",
    "seconds": 1.0,
    "columns": 2,
    "having": [1, 2],
    "lacking": [3, 4],
    "start": [1],
    "minus": [2],
    "plus": [3],
    "index": 0,
}
STATE = ("checkpoint", "seed", "truncation", "edits", "directions", "walk", "origin", "shift", "moment")
SERVER_FUNCTIONS = {
    "latent": ("checkpoint", "seed", "walk", "origin"),
    "ranking": ("checkpoint",),
    "face": STATE,
    "around": STATE,
    "path": ("checkpoint", "faces", "kind", "frames", "loop"),
    "animation": ("checkpoint", "faces", "kind", "frames", "loop", "format", "seconds"),
    "sheet": ("checkpoint", "faces", "columns"),
    "slider": ("checkpoint", "having", "lacking"),
    "arithmetic": ("checkpoint", "start", "minus", "plus"),
    "replay": ("checkpoint",),
    "snapshot": ("checkpoint", "index"),
}


class Visitor:
    """Someone at the demo with nothing but HTTP."""

    def __init__(self, url: str):
        self.http = httpx.Client(base_url=url, timeout=60)
        self.config = self.http.get("config").json()
        self.components = {
            name: component["id"]
            for component in self.config["components"]
            for name in component["props"].get("server_fns") or ()
        }

    def post(self, route: str, body: Any) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return self.http.post(f"gradio_api/{route}", content=json.dumps(body), headers=headers)

    def ask(self, function: str, request: Any) -> dict[str, Any]:
        """One of the page's server functions."""
        body = {"data": request, "component_id": self.components[function], "fn_name": function, "session_hash": "v"}
        answer = self.post("component_server", body)
        assert answer.status_code == 200
        return answer.json()

    def event(self, number: int, data: list, event_data: Any = None, session: str = "v") -> dict[str, Any]:
        """Run an event of the page to its end; the message that ends it, or the refusal."""
        body = {"fn_index": number, "data": data, "event_data": event_data, "session_hash": session}
        joined = self.post("queue/join", body)
        if joined.status_code != 200:
            return {"success": False, "output": joined.json()}
        with self.http.stream("GET", f"gradio_api/queue/data?session_hash={session}") as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return message
        raise AssertionError("no end")


@pytest.fixture(scope="module")
def visitor(demo: str) -> Visitor:  # noqa: F811
    return Visitor(demo)


@pytest.fixture
def quiet(visitor: Visitor, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No traceback in the log, and the demo answers as before."""
    yield
    assert visitor.ask("face", {"checkpoint": "people", "seed": 7})["png"]
    output = "".join(capfd.readouterr())
    assert "Traceback" not in output
    assert "Exception" not in output


def is_a_sentence(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) < 300 and "\n" not in text and "Error" not in text


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("function", SERVER_FUNCTIONS)
def test_a_server_function_answers_whatever_it_is_asked(visitor: Visitor, function: str) -> None:
    good = {name: GOOD[name] for name in SERVER_FUNCTIONS[function]}
    assert "error" not in visitor.ask(function, good)
    for name in good:
        for value in HOSTILE:
            answer = visitor.ask(function, {**good, name: value})
            assert "error" not in answer or is_a_sentence(answer["error"]), (name, value, answer)
    for request in (*HOSTILE, {**good, "surplus": 1}, {}):
        answer = visitor.ask(function, request)
        assert "error" not in answer or is_a_sentence(answer["error"]), (request, answer)


@pytest.mark.usefixtures("quiet")
def test_an_event_answers_whatever_it_is_told(visitor: Visitor) -> None:
    for event in visitor.config["dependencies"]:
        for turn, value in enumerate(HOSTILE):
            data: list = [None] * len(event["inputs"])
            if data:
                data[turn % len(data)] = value
            answer = visitor.event(event["id"], data, event_data=value if turn % 2 else {"id": value, "shuffle": value})
            assert answer["success"] or is_a_sentence(answer["output"]["error"]), (event["api_name"], value, answer)
        for data in ([], [0] * 10_000):
            answer = visitor.event(event["id"], data, {"id": 1, "shuffle": 0, "seed": 0, "name": "people"})
            assert answer["success"] or is_a_sentence(answer["output"]["error"]), (event["api_name"], answer)
