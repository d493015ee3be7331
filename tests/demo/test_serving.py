"""The demo as a server: where it can be served, behind proxies, and what it refuses."""

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from dcgan.demo.app import delete_leftovers
from dcgan.demo.command import check_environment
from tests.browser.page import choose, choose_checkpoint, open_tab, shown
from tests.chromium import opened
from tests.demo_fixtures import PATIENT, ROOT, program
from tests.ports import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::]"])
def test_each_address_of_this_machine_can_be_served_at(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_NAME", host)
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    check_environment()


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
def test_a_page_outlives_its_server(browser: Browser, checkpoints: Path, tmp_path: Path) -> None:
    flags = "--checkpoints", checkpoints
    with ExitStack() as stack:
        first = stack.enter_context(program(tmp_path / "first", *flags))
        page = stack.enter_context(opened(browser, first.url, "face=people&seed=3", faults=True))
        shown(page, "seed=3&")
        expect(page.locator(".status")).to_have_text("")
        first.end()
        choose(page, 7)
        shown(page, "seed=7&")
        choose_checkpoint(page, "toons")
        expect(page.locator(".status")).to_have_text("The server does not answer. Is it still running?")
        page.wait_for_function("performance.now() > 10_000")
        page.evaluate("window.outlived = true")
        stack.enter_context(program(tmp_path / "second", *flags, port=urlsplit(first.url).port))
        page.wait_for_function("!window.outlived")  # it has been loaded again: its files are elsewhere
        shown(page, "seed=7&")
        choose_checkpoint(page, "toons")
        shown(page, "face=toons&seed=7&")


def test_a_proxy_that_hides_the_demo_from_itself_is_named_in_one_line(checkpoints):
    nobody = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "GRADIO_SERVER_PORT": str(free_port())}
    command = [sys.executable, "app.py", "--checkpoints", str(checkpoints)]
    environment = {**os.environ, **nobody}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "HTTP_PROXY" in done.stderr


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
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, **PATIENT)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
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

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def prefixed(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo that is told that it stands under /demo."""
    log = tmp_path_factory.mktemp("prefixed") / "log"
    with program(log, "--checkpoints", checkpoints, GRADIO_ROOT_PATH="/demo") as demo:
        yield demo.url


@pytest.fixture(params=[True, False], ids=["strips the prefix", "keeps the prefix"])
def behind(request: pytest.FixtureRequest, prefixed: str) -> Iterator[str]:
    """Its address behind a proxy."""
    handler = type("Handler", (Proxy,), {"target": prefixed, "strips": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/demo/"
    server.shutdown()


@pytest.mark.browser
def test_the_page_works_behind_a_proxy(browser: Browser, behind: str) -> None:
    with opened(browser, behind, "face=people&seed=3") as page:
        shown(page, "seed=3&")
        choose(page, 8)
        shown(page, "seed=8&")
        page.get_by_text("Discriminator's opinion").click()
        page.get_by_text("To the discriminator, more real than").wait_for()
        open_tab(page, "Lab")
        page.locator("canvas.sheet[data-shown]").first.wait_for()


def test_the_page_is_compressed_but_not_the_weights(demo: str) -> None:
    page = httpx.get(demo, **PATIENT)
    assert page.headers["Content-Encoding"] == "gzip"
    files = re.search(r"gradio_api/file=[^\"]*/(?=explore.js)", page.text)
    assert files
    weights = httpx.get(f"{demo}{files[0]}0/generator.safetensors", **PATIENT)
    assert weights.status_code == 200
    assert "Content-Encoding" not in weights.headers


@pytest.fixture(params=["alone", "behind a proxy that strips the prefix", "behind a proxy that keeps the prefix"])
def address(request: pytest.FixtureRequest) -> str:
    """Where requests reach a demo: a proxy makes no more of a difference to it than the path."""
    if request.param == "alone":
        return request.getfixturevalue("demo")
    return request.getfixturevalue("prefixed") + "demo/" * ("keeps" in request.param)


def status_of(url: str, length: int) -> int:
    """The status that answers the head of a request with a body of so many bytes, which is not sent."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, **PATIENT)
    connection.putrequest("POST", parts.path)
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    return connection.getresponse().status


def test_bodies_have_limits_and_state_their_length(address: str) -> None:
    """Ordinary requests take 1 MiB, uploads more."""
    for path in ("gradio_api/component_server/", "gradio_api/queue/join", "gradio_api/upload/x", "anything"):
        assert status_of(address + path, 2**20 + 1) == 413, path
    upload = f"{address}gradio_api/upload"
    assert status_of(upload, 2**30) == 413
    assert httpx.post(upload, content=iter([b"x"]), **PATIENT).status_code == 411
    photo = {"files": ("photo.png", bytes(2**20 + 1))}
    assert httpx.post(upload, files=photo, **PATIENT).status_code == 200


def test_of_a_flood_some_wait_the_rest_are_told_that_the_queue_is_full_and_the_page_is_served(address: str) -> None:
    def send(seed: int) -> httpx.Response:
        data = [[seed, seed + 1], "spherical", 300, "mp4", 20.0, False, ""]
        return httpx.post(f"{address}gradio_api/call/interpolate_file", json={"data": data}, **PATIENT)

    with ThreadPoolExecutor(50) as visitors:
        answers = list(visitors.map(send, range(100)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert all(answer.status_code == 503 and "Queue is full" in answer.text for answer in refused)
    assert httpx.get(address, **PATIENT).status_code == 200
