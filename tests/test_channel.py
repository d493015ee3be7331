"""Faces over a WebSocket: each visitor gets their own, together, within bounds, and one line for what is wrong."""

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from dcgan.demo.server import channel
from dcgan.demo.server.channel import LANES, LENGTH, LONGEST, PATH, TOGETHER, Channel
from dcgan.demo.studio import Studio
from dcgan.demo.turns import BUSY
from dcgan.pictures import Pixels
from tests.demo_fixtures import MOMENTS, NZ, checkpoints, demo  # noqa: F401
from tests.test_trust import GOOD, HOSTILE, STATE, is_a_sentence

FACES: tuple[dict[str, Any], ...] = (
    {"seed": 3},
    {"seed": 3, "checkpoint": "toons", "directions": {"age": 1.5}},
    {"seed": 3, "checkpoint": "people", "moment": MOMENTS[1]},
    {"origin": [0.5] * NZ, "shift": [0.1] * NZ},
    {"seed": 4, "truncation": 0.5, "edits": {"3": 1.0}, "walk": [2, 9]},
)


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:  # noqa: F811
    return Studio(checkpoints)


@pytest.fixture
def address(demo: str) -> str:  # noqa: F811
    return demo.rstrip("/").replace("http", "ws") + PATH


def understood(answer: bytes | str) -> tuple[dict[str, Any], bytes]:
    """The head of an answer, and its bytes."""
    assert isinstance(answer, bytes)
    (length,) = LENGTH.unpack_from(answer)
    begin = LENGTH.size + length
    return json.loads(answer[LENGTH.size : begin]), answer[begin:]


def answer(page: ClientConnection) -> tuple[int, Pixels | str]:
    """The number, and the face or what was wrong."""
    head, data = understood(page.recv(timeout=60))
    if "error" in head:
        return head["n"], head["error"]
    side, channels = head["side"], head["channels"]
    return head["n"], np.frombuffer(data, np.uint8).reshape(side, side, channels)


def ask(page: ClientConnection, question: Any) -> Pixels | str:
    question = {"ask": "face", **question} if isinstance(question, dict) else question
    page.send(question if isinstance(question, str | bytes) else json.dumps(question))
    return answer(page)[1]


def test_everyone_gets_the_faces_that_they_asked_for(address: str, studio: Studio) -> None:
    wanted = [studio.face(**face) for face in FACES]
    assert len({face.tobytes() for face in wanted}) == len(FACES)
    got: list[dict[int, Any]] = [{} for _ in range(6)]

    def visitor(found: dict[int, Any]) -> None:
        with connect(address) as page:
            for n, face in enumerate(FACES * 4):
                page.send(json.dumps({"n": n, "ask": "face", **face}))
            found.update(answer(page) for _ in FACES * 4)

    threads = [threading.Thread(target=visitor, args=(found,)) for found in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in got:
        assert len(found) == 4 * len(FACES)
        for n, face in found.items():
            assert np.array_equal(face, wanted[n % len(FACES)])


def test_it_answers_whatever_it_is_asked(address: str, studio: Studio, capfd: pytest.CaptureFixture[str]) -> None:
    good = {"n": 1, **{name: GOOD[name] for name in STATE}}
    questions = [{**good, name: value} for name in good for value in HOSTILE]
    strange = ["", "nonsense", "[" * 50_000, "NaN", '{"n": 1e999}', '{"n": 1, "n": 2, "seed": {}}', "\u0000"]
    with connect(address) as page:
        for question in (*questions, *HOSTILE, {**good, "surplus": 1}, {**good, "self": 1}, {"seed": 1}, *strange):
            said = ask(page, question)
            assert not isinstance(said, str) or is_a_sentence(said), (question, said)
        assert ask(page, "x" * (LONGEST + 1)) == f"this is too much: ask in at most {LONGEST} characters"
        assert ask(page, {"n": 1, "seed": -1}) == "seed must be a whole number from 0 to 4294967295, not -1"
        assert np.array_equal(ask(page, {"n": 1, "seed": 5}), studio.face(5))
    with connect(address) as page, pytest.raises(ConnectionClosed):
        ask(page, b"\x00\x01")
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_mistake_does_not_spoil_the_faces_of_others(studio: Studio) -> None:
    answers = studio.each_face([{"seed": 1}, {"seed": -1}, {"sead": 1}, {"seed": 2, "checkpoint": "toons"}])
    assert np.array_equal(answers[0], studio.face(1))
    assert [type(wrong) for wrong in answers[1:3]] == [ValueError, TypeError]
    assert np.array_equal(answers[3], studio.face(2, "toons"))


def test_only_pages_of_its_own_may_read_the_answers(address: str) -> None:
    host = address.split("/")[2]
    with connect(address, origin=f"http://{host}") as page:  # type: ignore[arg-type]
        assert not isinstance(ask(page, {"n": 1}), str)
    for origin in ("https://elsewhere.example", "http://127.0.0.1.elsewhere.example", "null"):
        with pytest.raises(InvalidStatus):
            connect(address, origin=origin)  # type: ignore[arg-type]
        posted = httpx.post(address.replace("ws", "http"), json={"n": 1, "ask": "face"}, headers={"origin": origin})
        assert "access-control-allow-origin" not in posted.headers


def test_a_page_that_leaves_in_the_middle_takes_nothing_with_it(
    address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(5):
        with connect(address, close_timeout=0.1) as page:
            for n in range(200):
                page.send(json.dumps({"n": n, "ask": "face", "seed": n}))
            page.socket.close()
    with connect(address) as page:
        assert not isinstance(ask(page, {"n": 1}), str)
    time.sleep(0.2)
    assert "Exception" not in "".join(capfd.readouterr())


class Painter:
    """Stands in for a Studio: it draws when it is told to, and remembers how many faces at a time."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go = threading.Event()
        self.error: Exception | None = None

    def each_face(self, states: Sequence[dict[str, Any]]) -> list[Any]:
        self.go.wait(60)
        self.batches.append(len(states))
        if self.error:
            raise self.error
        return [np.full((1, 1, 1), state["seed"], np.uint8) for state in states]


async def ask_many(drawing: Channel, painter: Painter, count: int) -> list[tuple[dict[str, Any], bytes]]:
    questions = [asyncio.create_task(drawing.answer(f'{{"n": {n}, "ask": "face", "seed": {n}}}')) for n in range(count)]
    await asyncio.sleep(0.05)
    painter.go.set()
    return [understood(answer) for answer in await asyncio.gather(*questions)]


def test_those_who_wait_are_drawn_together_and_one_too_many_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "WAITING", 2 * TOGETHER + 8)
    painter = Painter()
    answers = asyncio.run(ask_many(Channel(painter), painter, 2 * TOGETHER + 11))  # type: ignore[arg-type]
    assert painter.batches[0] <= painter.batches[1] == TOGETHER
    told = [head["error"] for head, _ in answers if "error" in head]
    assert told == [BUSY] * (2 * TOGETHER + 11 - sum(painter.batches))
    assert told
    for n, (head, data) in enumerate(answers):
        assert head["n"] == n
        assert "error" in head or data == bytes([n])


def test_what_goes_wrong_is_told_to_all_who_waited() -> None:
    painter = Painter()
    painter.error = RuntimeError("no memory")
    answers = asyncio.run(ask_many(Channel(painter), painter, 3))  # type: ignore[arg-type]
    assert answers == [({"n": n, "error": "this request cannot be understood"}, b"") for n in range(3)]


def test_a_flood_from_one_page_waits_in_its_socket(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = 0, 0
    answer_one = Channel.answer

    async def counted(self: Channel, text: str | bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        said = await answer_one(self, text)
        under_way -= 1
        return said

    monkeypatch.setattr(Channel, "answer", counted)
    with connect(address) as page:
        for n in range(100):
            page.send(json.dumps({"n": n, "ask": "face", "seed": n}))
        assert {answer(page)[0] for _ in range(100)} == set(range(100))
    assert 1 < most <= LANES
