"""The open internet: hostile requests, addresses and files, floods, uploads, and the end of the program."""

import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
from dcgan.demo.server.gate import KEPT, SWEPT, sweep
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import app
from dcgan.demo import inversion as search_module
from dcgan.demo import real_vs_fake as comparison
from dcgan.demo import uploads as given_module
from dcgan.demo.studio import Studio
from dcgan.demo.turns import BUSY, Busy
from tests.demo_fixtures import NZ, checkpoints, demo, make_checkpoint  # noqa: F401

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
QUESTIONS = {
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

    def post(self, route: str, body: Any) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return self.http.post(f"gradio_api/{route}", content=json.dumps(body), headers=headers)

    def ask(self, question: str, request: Any) -> dict[str, Any]:
        """Ask as a page of the demo does that gets no WebSocket; `data` are the answer's bytes."""
        body = {"n": 1, "ask": question, **request} if isinstance(request, dict) else request
        answer = self.http.post("ask", content=json.dumps(body))
        assert answer.status_code == 200
        begin = 4 + int.from_bytes(answer.content[:4], "little")
        return {**json.loads(answer.content[4:begin]), "data": answer.content[begin:]}

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
    assert visitor.ask("face", {"checkpoint": "people", "seed": 7})["data"]
    output = "".join(capfd.readouterr())
    assert "Traceback" not in output
    assert "Exception" not in output


def is_a_sentence(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) < 300 and "\n" not in text and "Error" not in text


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_whatever_it_says(visitor: Visitor, question: str) -> None:
    good = {name: GOOD[name] for name in QUESTIONS[question]}
    assert "error" not in visitor.ask(question, good)
    for name in good:
        for value in HOSTILE:
            answer = visitor.ask(question, {**good, name: value})
            assert "error" not in answer or is_a_sentence(answer["error"]), (name, value, answer)
    for request in (*HOSTILE, {**good, "surplus": 1}, {}):
        answer = visitor.ask(question, request)
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


# Files and addresses


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


@pytest.mark.usefixtures("quiet")
def test_no_request_goes_to_an_address_that_a_visitor_names(
    visitor: Visitor, trap: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def any_address(host: str) -> str:  # else it would look for a public one, which a test must not ask
        trap.append(host)
        return "127.0.0.1"

    monkeypatch.setattr("safehttpx.async_validate_url", any_address)
    monkeypatch.setattr("gradio.processing_utils.PUBLIC_HOSTNAME_WHITELIST", ["127.0.0.1"])
    address = f"{trap[0]}/secret.png"
    for path in (f"file={address}", f"proxy={address}", f"file={address.upper()}", f"custom_component/{address}"):
        assert visitor.http.get(f"gradio_api/{path}").status_code == 404
    file = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
    for value in (file, [file], {"a": [{**file, "path": "x"}]}, address):
        for event in visitor.config["dependencies"]:
            visitor.event(event["id"], [value] * len(event["inputs"]), {"id": value, "shuffle": 0, "seed": 0})
        for question in QUESTIONS:
            visitor.ask(question, value)
    assert len(trap) == 1


def test_files_of_the_machine_are_not_served(visitor: Visitor, checkpoints: Path, tmp_path: Path) -> None:  # noqa: F811
    secret = tmp_path / "secret.txt"  # which lies where Gradio lets functions answer with files from
    secret.write_text("a secret")
    program = Path("app.py").resolve()
    for path in (program, "app.py", "/etc/passwd", f"{Path.cwd()}/dcgan/../app.py", secret, checkpoints, ".git/config"):
        for escaped in (str(path), str(path).replace("/", "%2F"), str(path).replace(".", "%2e")):
            assert visitor.http.get(f"gradio_api/file={escaped}").status_code in (403, 404)
    for path in (program, secret):
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        for event in visitor.config["dependencies"]:
            for value in (file, [file]):
                data = [value] * len(event["inputs"])
                answer = visitor.event(event["id"], data, {"id": file, "shuffle": 0, "seed": 0, "name": file})
                assert "/file=" not in json.dumps(answer), (event["api_name"], answer)
    assert program.is_file()
    assert secret.read_text() == "a secret"


def test_the_folder_of_all_uploads_is_not_an_upload(visitor: Visitor, tmp_path: Path) -> None:
    """Its photos would be another visitor's."""
    photo = upload(visitor, tmp_path, b"not a photo")
    buttons = [c["id"] for c in visitor.config["components"] if c["type"] == "uploadbutton"]
    taking = [e["id"] for e in visitor.config["dependencies"] if buttons and e["inputs"][:1] in ([b] for b in buttons)]
    assert len(taking) == 2
    for folder in (photo.parent, photo.parent.parent):
        for event in taking:
            file = {"path": str(folder), "meta": {"_type": "gradio.FileData"}}
            answer = visitor.event(event, [[file], "people"])
            assert answer["output"]["error"] == "this file was not uploaded"
    assert photo.is_file()


def upload(visitor: Visitor, folder: Path, content: bytes, name: str = "photo.png") -> Path:
    return Path(visitor.http.post("gradio_api/upload", files={"files": (name, content)}).json()[0])


def test_what_the_page_does_not_need_is_shut(visitor: Visitor) -> None:
    for path in ("deep_link?session_hash=v", "vibe-code/", "stream/a/b/1/playlist.m3u8", "runs", "monitoring/summary"):
        assert visitor.http.get(f"gradio_api/{path}").status_code == 404
    assert visitor.http.get("monitoring").status_code == 404
    for path in ("component_server", "process_recording", "vibe-edit/", "run-history/connect", "stream/x"):
        assert visitor.post(path, {}).status_code == 404


def test_a_request_has_a_size(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    big = b"0" * (2**20 + 1)
    assert visitor.http.post("gradio_api/run/predict", content=big).status_code == 413
    assert visitor.http.post("gradio_api/queue/join", content=iter([b"1"])).status_code == 411
    monkeypatch.setattr("dcgan.demo.server.gate.MAX_UPLOADED", 1000)
    assert visitor.http.post("gradio_api/upload", files={"files": ("a.png", bytes(1001))}).status_code == 413
    monkeypatch.setattr("dcgan.demo.server.gate.RESERVE", 2**60)
    assert visitor.http.post("gradio_api/upload", files={"files": ("a.png", b"a")}).status_code == 507


def test_headers_let_a_space_frame_the_page_and_nobody_guess_types(visitor: Visitor) -> None:
    for path in ("", "config", "gradio_api/info", "gradio_api/file=app.py"):
        headers = visitor.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "x-frame-options" not in headers
    foreign = visitor.http.get("config", headers={"origin": "https://elsewhere.example"}).headers
    assert "access-control-allow-origin" not in foreign


# Work has bounds


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:  # noqa: F811
    return Studio(checkpoints)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(list(GOOD.values())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FACE = st.fixed_dictionaries({}, optional=dict.fromkeys((*STATE, "opened", ""), ANYTHING))


@settings(max_examples=25)
@given(asked=FACE, others=st.lists(FACE | ANYTHING, max_size=4), more=ANYTHING)
def test_the_studio_draws_or_says_in_a_line_why_not(studio: Studio, asked: dict, others: list, more: Any) -> None:
    for ask in (
        lambda: studio.faces([asked, *others]),
        lambda: studio.path([asked, *others], frames=more),
        lambda: studio.arithmetic([asked], others, [1]),
        lambda: studio.arithmetic(more, [asked], [1], more),
        lambda: studio.shelf.snapshot(more),
        lambda: comparison.real_vs_fake(studio, more, "toons", np.zeros((1, 3, 64, 64), np.uint8)),
        lambda: studio.shelf.summary(more),
        lambda: studio.face(**{**{key: value for key, value in asked.items() if key in STATE}, "edits": more}),
    ):
        try:
            ask()
        except ValueError as error:
            assert is_a_sentence(str(error))


def test_a_flood_is_answered_politely_and_faces_go_on(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's questions go past Gradio's queue."""
    monkeypatch.setattr("dcgan.demo.turns.PATIENCE", 0.5)
    way = {name: GOOD[name] for name in QUESTIONS["animation"]} | {"frames": 60, "format": "mp4"}
    answers: list[dict] = []
    threads = [threading.Thread(target=lambda: answers.append(visitor.ask("animation", way))) for _ in range(40)]
    for thread in threads:
        thread.start()
    assert visitor.ask("face", {"checkpoint": "people", "seed": 1})["data"]
    for thread in threads:
        thread.join()
    refused = [answer["error"] for answer in answers if "error" in answer]
    assert 0 < len(refused) < 40
    assert set(refused) == {BUSY}


def test_two_photos_are_searched_for_at_once_and_the_rest_wait_or_hear_that_it_is_busy(
    visitor: Visitor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    go, looking = threading.Event(), threading.Semaphore(0)
    real = search_module.find

    def slow(studio: Studio, photo: str, checkpoint: str = "") -> Iterator[Any]:
        looking.release()
        go.wait(60)
        yield from real(studio, photo, checkpoint)

    monkeypatch.setattr(search_module, "find", slow)
    number = next(event["id"] for event in visitor.config["dependencies"] if event["api_name"] == "find")
    Image.new("RGB", (64, 64), "gray").save(tmp_path / "photo.png")

    def search(session: str) -> httpx.Response:
        path = upload(visitor, tmp_path, (tmp_path / "photo.png").read_bytes(), f"{session}.png")
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        return visitor.post("queue/join", {"fn_index": number, "data": [file, "people"], "session_hash": session})

    answers = [search(f"s{i}") for i in range(4)]
    assert looking.acquire(timeout=30)
    assert looking.acquire(timeout=30)
    assert not looking.acquire(timeout=0.5), "a third search began"
    answers += [search(f"s{i}") for i in range(4, 4 + app.QUEUED)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert [answer.status_code for answer in refused] == [503] * 2, "for which Gradio's page says that it is busy"
    assert all("full" in answer.json()["detail"] for answer in refused)
    go.set()
    for _ in range(2):
        assert looking.acquire(timeout=60), "those who waited have their turn"


# What visitors leave


def test_everything_of_a_visitor_is_gone_within_the_hour(tmp_path: Path) -> None:
    photo, broken_off, fresh = tmp_path / "a" / "photo.png", tmp_path / "tmp123", tmp_path / "b" / "photo.png"
    for path in (photo, broken_off, fresh):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a face")
    before = time.time() - KEPT - 1
    for path in (photo, photo.parent, broken_off):
        os.utime(path, (before, before))
    sweep(tmp_path, KEPT)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b", "photo.png"]
    assert KEPT + SWEPT < 3600


def test_pixels_of_a_visitor_expire(studio: Studio) -> None:
    own = [block for block in app.build_demo(studio).blocks.values() if isinstance(block, gr.State)]
    assert [block.time_to_live for block in own] == [KEPT]


def test_photos_are_forgotten_however_many_visitors_there_are(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> None:
        raise Busy

    page = app.build_demo(studio)
    monkeypatch.setattr(comparison, "real_vs_fake", busy)
    [forget] = [
        event.fn
        for event in page.fns.values()
        if [type(it) for it in event.outputs[:1]] == [gr.State] and len(event.inputs) == 1
    ]
    assert forget is not None
    own, answer, _ = forget("people")
    assert own is None
    assert answer["error"] == str(Busy())


def test_own_photos_are_bounded_and_not_logged(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def zipped(pictures: int, words: int = 0) -> list[str]:
        with zipfile.ZipFile(tmp_path / "own.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for i in range(pictures):
                archive.write(tmp_path / "one.png", f"Grandmother {i}.png")
            for i in range(words):
                archive.writestr(f"{i}", "")
            archive.writestr("broken.png", bytes(2**21))
        return [str(tmp_path / "own.zip")]

    Image.new("RGB", (2000, 1000), "gray").save(tmp_path / "one.png")
    assert len(studio.own_photos(zipped(2))) == 2
    for name, bound, files in (
        ("MAX_OWN_PIXELS", 5 * 10**6, {"pictures": 3}),
        ("MAX_DIRECTORY", 2000, {"pictures": 1, "words": 100}),
        ("MAX_UNPACKED", 2**20, {"pictures": 1}),
    ):
        with monkeypatch.context() as patch, pytest.raises(ValueError, match=r"give (fewer|a smaller one)$"):
            patch.setattr(given_module, name, bound)
            studio.own_photos(zipped(**files))
    with pytest.raises(ValueError, match="give pictures"):
        studio.own_photos([])
    assert {path.name for path in tmp_path.iterdir()} == {"one.png", "own.zip"}
    assert capfd.readouterr() == ("", "")


# What is served may change


def test_a_checkpoint_that_vanishes_takes_nothing_else_along(tmp_path: Path) -> None:
    for name in ("gone", "here"):
        make_checkpoint(tmp_path / name, moments=(0, 1000))
    studio = Studio(tmp_path)
    faces = studio.faces([1, 2], "gone")
    shutil.rmtree(tmp_path / "gone")
    assert np.array_equal(studio.faces([1, 2], "gone"), faces)
    assert studio.opinion("gone", seed=1) is None
    assert "no model card" in studio.shelf.card("gone")
    assert studio.shelf.about("gone")
    assert studio.shelf.replay("gone")["curves"]
    for ask in (
        lambda: studio.shelf.snapshot(0, "gone"),
        lambda: studio.face(1, checkpoint="gone", moment=1000),
        lambda: comparison.quiz(studio, "gone", np.zeros((40, 3, 64, 64), np.uint8)),
    ):
        with pytest.raises(ValueError) as raised:
            ask()
        assert is_a_sentence(str(raised.value))
    assert studio.opinion("here", seed=1) is not None
    assert studio.shelf.snapshot(0, "here")


def test_a_checkpoint_that_changes_while_served_mixes_with_nothing(tmp_path: Path) -> None:
    """As when a run that is shown goes on, or another one is written in its place."""
    for name in ("changing", "here"):
        make_checkpoint(tmp_path / name, moments=(0, 1000))
    studio = Studio(tmp_path)
    faces, then = studio.faces([1, 2], "changing"), studio.face(1, "changing", 1000)
    newer = make_checkpoint(tmp_path / "newer", seed=5, nc=1, moments=(0, 1000))
    shutil.rmtree(tmp_path / "changing")
    newer.rename(tmp_path / "changing")
    assert np.array_equal(studio.faces([1, 2], "changing"), faces)
    assert np.array_equal(studio.face(1, "changing", 1000), then)
    assert studio.opinion("changing", seed=1) is None, "the new discriminator has never seen such a generator"
    with pytest.raises(ValueError, match="start the demo again"):
        studio.face(1, "changing", 0)
    assert studio.around("changing", seed=1)[2] is None
    assert studio.opinion("here", seed=1) is not None
    again = Studio(tmp_path)
    assert again.face(1, "newer").shape == (64, 64, 1)
    assert again.opinion("newer", seed=1) is not None


class Program:
    """`python app.py` as a visitor's neighbour would run it; anything it asks of the network goes to the trap."""

    def __init__(self, checkpoints: Path, folder: Path, trap: str):  # noqa: F811
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), trap)
        env = {**os.environ, **proxies, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "TMPDIR": str(folder)}
        env |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"):
            env.pop(name, None)
        self.log = (folder.parent / "log").open("w+")
        command = [sys.executable, "app.py", "--checkpoints", str(checkpoints)]
        self.process = subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)
        self.url = f"http://127.0.0.1:{port}/"
        while self.process.poll() is None:  # until it listens: it may not be ready yet
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            time.sleep(0.01)
        raise AssertionError("it does not start")

    def stops(self) -> bool:
        """Whether SIGTERM ends it without a word."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.log.seek(0)
        return code == 0 and "Traceback" not in self.log.read()


def test_sigterm_ends_it_cleanly_and_a_restart_serves_old_links(
    checkpoints: Path,  # noqa: F811
    tmp_path: Path,
    trap: list[str],
) -> None:
    link = {"checkpoint": "toons", "seed": 5, "edits": {"3": 1.5}, "directions": {"age": 2}, "walk": [4]}
    temporary, faces = tmp_path / "tmp", []
    killed, own = temporary / "dcgan-visitors-killed", temporary / "faces-of-mine"  # a demo that could not tidy up
    for folder in (killed, own):
        folder.mkdir(parents=True)
        (folder / "photo.png").write_bytes(b"a face")
        os.utime(folder, (0, 0))
    for _ in range(2):
        program = Program(checkpoints, temporary, trap[0])
        try:
            visitor = Visitor(program.url)
            faces.append(visitor.ask("face", link)["data"])
            photo = upload(visitor, tmp_path, b"a photo")
            assert photo.is_relative_to(temporary)
            with visitor.http.stream("GET", "gradio_api/heartbeat/v") as alive:  # an open page
                assert next(alive.iter_lines())
                assert program.stops()
        finally:
            program.process.kill()
        assert set(temporary.rglob("*")) == {own, own / "photo.png"}
    assert faces[0] == faces[1]
    assert len(trap) == 1, "it asked someone"


def test_sigterm_closes_it_once_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Demo:
        """One that is asked to end before it could be closed."""

        def launch(self, **_: object) -> None:
            signal.raise_signal(signal.SIGTERM)
            told.append("open")

        def close(self, **_: object) -> None:
            told.append("closed")

    monkeypatch.setattr("app.build_demo", lambda _: Demo())
    monkeypatch.setattr("app.launch_options", lambda _: {})
    before = signal.getsignal(signal.SIGTERM)
    try:
        app.serve(Studio.__new__(Studio))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == ["open", "closed"]


def test_sigterm_ends_it_while_it_still_opens(checkpoints: Path, tmp_path: Path, trap: list[str]) -> None:  # noqa: F811
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    program = Program(checkpoints, temporary, trap[0])
    try:
        assert program.stops()
    finally:
        program.process.kill()
    assert list(temporary.rglob("*")) == []
