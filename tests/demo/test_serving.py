"""The demo as a server: how it starts and ends, behind proxies, and what it refuses."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from dcgan.demo.app import delete_leftovers
from dcgan.demo.command import check_environment
from tests.browser.page import SIZES, choose, choose_checkpoint, open_tab, shown
from tests.chromium import opened
from tests.demo_fixtures import free_port

ROOT = Path(__file__).parents[2]


def start(checkpoints: Path, port: int | None = None, **environment: str) -> tuple[subprocess.Popen, str]:
    """Start `python app.py` and wait until it is ready."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "app.py", "--checkpoints", str(checkpoints)],
        cwd=ROOT,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "public link" in line:  # the last line, after Gradio has tried its own address
            return process, f"http://127.0.0.1:{port}/"
    raise AssertionError("it ended without a word")


def end(process: subprocess.Popen, number: int = signal.SIGTERM) -> tuple[int, str]:
    """Send a signal; the exit status, and what was printed since the start."""
    process.send_signal(number)
    printed, _ = process.communicate(timeout=30)
    return process.returncode, printed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::]"])
def test_each_address_of_this_machine_can_be_served_at(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_NAME", host)
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    check_environment()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_leaves_nothing_behind(checkpoints: Path, tmp_path: Path, number: int) -> None:
    process, url = start(checkpoints, GRADIO_DEBUG="1", TMPDIR=str(tmp_path))
    assert httpx.get(url).status_code == 200
    assert list(tmp_path.glob("dcgan-*"))
    code, printed = end(process, number)
    assert code == 0
    assert "Traceback" not in printed
    assert list(tmp_path.glob("dcgan-*")) == []


def test_a_start_deletes_what_a_killed_demo_kept_for_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, new, other = tmp_path / "dcgan-visitors-1/a/old.png", tmp_path / "dcgan-visitors-2/new.png", tmp_path / "x.png"
    for file in (old, new, other):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for file in (old, other):
        os.utime(file, (0, 0))
    delete_leftovers()
    assert [file.exists() for file in (old, new, other)] == [False, True, True]


@pytest.mark.browser
def test_a_page_outlives_its_server(browser: Browser, checkpoints: Path) -> None:
    process, url = start(checkpoints)
    with opened(browser, url, "face=people&seed=3", SIZES["desk"], faults=True) as page:
        shown(page, "seed=3&")
        expect(page.locator(".status")).to_have_text("")
        end(process)
        choose(page, 7)
        shown(page, "seed=7&")
        choose_checkpoint(page, "toons")
        expect(page.locator(".status")).to_have_text("The server does not answer. Is it still running?")
        page.wait_for_function("performance.now() > 10_000")
        with page.expect_navigation():  # its files are elsewhere
            process, _ = start(checkpoints, urlsplit(url).port)
        shown(page, "seed=7&")
        choose_checkpoint(page, "toons")
        shown(page, "face=toons&seed=7&")
    end(process)


@pytest.mark.parametrize(
    ("flags", "environment", "named"),
    [
        (["--checkpoints", "nowhere"], {}, "nowhere"),
        (["--dataroot", "nowhere"], {}, "nowhere"),
        ([], {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}, "HTTP_PROXY"),  # where nobody listens
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    checkpoints: Path, flags: list[str], environment: dict[str, str], named: str
) -> None:
    command = [sys.executable, "app.py", "--checkpoints", str(checkpoints), *flags]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(free_port()), **environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert named in done.stderr


class Proxy(BaseHTTPRequestHandler):
    """Passes what is under /demo on, with or without the prefix."""

    target = ""
    strips = False

    def answer(self) -> None:
        if self.path == "/favicon.ico":  # a browser's own idea
            self.send_response(204)
            return self.end_headers()
        if not self.path.startswith("/demo"):
            return self.send_error(404)
        path = self.path.removeprefix("/demo") if self.strips else self.path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has answered before it read all
            connection.request(self.command, path, body, headers)
        answer = connection.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while part := answer.read1(65536):
            self.wfile.write(part)
            self.wfile.flush()
        self.close_connection = True
        return None

    do_GET = do_POST = do_HEAD = answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class PatientServer(ThreadingHTTPServer):
    """Keeps as many connections waiting as a flood opens."""

    request_queue_size = 100


@pytest.fixture(scope="module")
def prefixed(checkpoints: Path) -> Iterator[str]:
    """The address of a demo that is told that it stands under /demo."""
    process, url = start(checkpoints, GRADIO_ROOT_PATH="/demo")
    yield url
    end(process)


@pytest.fixture(params=["strips the prefix", "keeps the prefix"])
def behind(request: pytest.FixtureRequest, prefixed: str) -> Iterator[str]:
    """Its address behind a proxy."""
    handler = type("Handler", (Proxy,), {"target": prefixed, "strips": request.param.startswith("strips")})
    server = PatientServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/demo/"
    server.shutdown()


@pytest.mark.browser
def test_the_page_works_behind_a_proxy(browser: Browser, behind: str) -> None:
    with opened(browser, behind, "face=people&seed=3", SIZES["desk"]) as page:
        shown(page, "seed=3&")
        choose(page, 8)
        shown(page, "seed=8&")
        page.get_by_role("meter", name="Discriminator's opinion").wait_for()
        open_tab(page, "Lab")
        page.locator("canvas.sheet[data-shown]").first.wait_for()


def test_the_page_is_compressed_but_not_the_weights(demo: str) -> None:
    page = httpx.get(demo)
    assert page.headers["Content-Encoding"] == "gzip"
    files = re.search(r"gradio_api/file=[^\"]*/(?=explore.js)", page.text)
    assert files
    weights = httpx.get(f"{demo}{files[0]}0/generator.safetensors")
    assert weights.status_code == 200
    assert "Content-Encoding" not in weights.headers


def refuse_large_bodies(url: str) -> None:
    """Ordinary requests take 1 MiB, uploads more."""
    large = b"x" * (2**20 + 1)
    for path in ("gradio_api/component_server/", "gradio_api/queue/join", "gradio_api/upload/x", "anything"):
        assert httpx.post(url + path, content=large).status_code == 413, path
    assert httpx.post(f"{url}gradio_api/upload", files={"files": ("photo.png", large)}).status_code == 200


def test_bodies_have_limits_and_state_their_length(demo: str) -> None:
    refuse_large_bodies(demo)
    assert httpx.post(f"{demo}gradio_api/upload", content=iter([b"x"])).status_code == 411
    connection = http.client.HTTPConnection(urlsplit(demo).netloc, timeout=10)
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Length", str(2**30))
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_bodies_have_limits_behind_a_proxy(behind: str) -> None:
    refuse_large_bodies(behind)


def flood(url: str) -> None:
    """Of a hundred long requests at once some wait and the rest are told that the queue is full; the page is served."""

    def send(seed: int) -> httpx.Response:
        data = [[seed, seed + 1], "spherical", 300, "mp4", 20.0, False, ""]
        return httpx.post(f"{url}gradio_api/call/interpolate_file", json={"data": data}, timeout=60)

    with ThreadPoolExecutor(50) as visitors:
        answers = list(visitors.map(send, range(100)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) > 50
    assert all(answer.status_code == 503 and "Queue is full" in answer.text for answer in refused)
    assert httpx.get(url, timeout=30).status_code == 200


def test_a_flood_is_held_off(demo: str) -> None:
    flood(demo)


def test_a_flood_is_held_off_behind_a_proxy(behind: str) -> None:
    flood(behind)


@pytest.mark.parametrize("path", ["/etc/passwd", "checkpoints", "../pyproject.toml", "dcgan/demo/app.py"])
def test_no_other_file_is_served(demo: str, path: str) -> None:
    assert httpx.get(f"{demo}gradio_api/file={path}").status_code in (403, 404)


def test_what_a_stranger_sends_to_a_server_function_is_answered_in_a_line(demo: str) -> None:
    config = httpx.get(f"{demo}config").json()
    number = next(c["id"] for c in config["components"] if "draw" in (c["props"].get("server_fns") or ()))
    for data in (None, [], {}, {"latents": 7}, {"latents": [[0.0]]}, {"latents": [[1e400] * 20]}, {"nonsense": 1}):
        request = {"data": data, "component_id": number, "fn_name": "draw", "session_hash": "x"}
        answer = httpx.post(f"{demo}gradio_api/component_server/", content=json.dumps(request))
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == ["error"]
        assert "\n" not in answer.json()["error"]
