"""The page's way to the server, past Gradio, whose requests take longer than a face: a WebSocket, and, where none gets
through, POST to the same address.

A question is JSON: {"n": a number, "ask": "face" or one of Answers, ...what that takes}. The answer, when it is ready,
is binary: the length of a JSON head (4 bytes), the head and bytes. The head holds n and facts, or n and `error`: one
line. A face is {"side", "channels"} and its pixels [S, S, nc].
"""

import asyncio
import inspect
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from anyio import create_task_group, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from dcgan.demo import requests
from dcgan.demo.server.answers import Answer, Answers
from dcgan.demo.server.gate import told
from dcgan.demo.studio import Studio
from dcgan.demo.turns import Busy
from dcgan.pictures import Pixels

PATH = "/ask"
LENGTH = struct.Struct("<I")
LANES = 8  # questions of a page under way; what it asks beyond them waits in its socket
TOGETHER = 32  # faces in one go: eight take as long as two or three one by one
WAITING = 128  # faces of all pages; more would wait too long
AT_ONCE = 32  # other questions of all pages, of the 40 threads that anyio has: one must be left to draw
LONGEST = 2**16  # characters of a question


class Channel:
    """Answers pages. While some faces are drawn, the next ones gather, to be drawn in one go."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self.answers: dict[str, Callable[..., Answer]] = {
            name: method for name, method in inspect.getmembers(Answers(studio), inspect.ismethod) if name[0] != "_"
        }
        self.under_way = 0
        self.waiting: list[tuple[dict[str, Any], asyncio.Future[Pixels]]] = []
        self.drawing: asyncio.Task[None] | None = None

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute(PATH, self._serve), Route(PATH, self._post, methods=["POST"])]

    async def _post(self, request: Request) -> Response:
        return Response(await self.answer(await request.body()), media_type="application/octet-stream")

    async def _serve(self, socket: WebSocket) -> None:
        """One page, until it leaves, or sends what is no text."""
        if not _same_origin(socket):
            return await socket.close()
        await socket.accept()
        lanes = asyncio.Semaphore(LANES)
        async with create_task_group() as tasks:
            with suppress(KeyError, RuntimeError):  # it sends no text, or has broken off
                async for text in socket.iter_text():
                    await lanes.acquire()
                    tasks.start_soon(self._reply, socket, text, lanes)
            tasks.cancel_scope.cancel()
        return None

    async def _reply(self, socket: WebSocket, text: str, lanes: asyncio.Semaphore) -> None:
        answer = await self.answer(text)
        with suppress(WebSocketDisconnect, RuntimeError):  # it has left
            await socket.send_bytes(answer)
        lanes.release()

    async def answer(self, question: str | bytes) -> bytes:
        """The answer to a question, both as above."""
        head: dict[str, Any] = {"n": None}
        try:
            head["n"], ask, request = _understood(question)
            facts, data = await (self._face(request) if ask == "face" else self._other(ask, request))
            head |= facts
        except Exception as error:
            head["error"], data = str(error) if isinstance(error, ValueError) else told(error), b""
        text = json.dumps(head).encode()
        return LENGTH.pack(len(text)) + text + data

    async def _other(self, ask: Any, request: dict[str, Any]) -> Answer:
        answer = self.answers[requests.choice(ask, "ask", tuple(self.answers))]
        if self.under_way >= AT_ONCE:
            raise Busy
        self.under_way += 1
        try:
            return await to_thread.run_sync(lambda: answer(**request))
        finally:
            self.under_way -= 1

    async def _face(self, state: dict[str, Any]) -> Answer:
        if len(self.waiting) >= WAITING:
            raise Busy
        coming = asyncio.get_running_loop().create_future()
        self.waiting.append((state, coming))
        if self.drawing is None or self.drawing.done():
            self.drawing = asyncio.create_task(self._draw())
        face = await coming
        return {"side": face.shape[0], "channels": face.shape[2]}, face.tobytes()

    async def _draw(self) -> None:
        while self.waiting:
            batch, self.waiting = self.waiting[:TOGETHER], self.waiting[TOGETHER:]
            drawn: list[Pixels | Exception]
            try:
                drawn = await to_thread.run_sync(self.studio.each_face, [state for state, _ in batch])
            except Exception as error:
                drawn = [error] * len(batch)
            for (_, coming), face in zip(batch, drawn, strict=True):
                if coming.cancelled():  # its page has gone
                    continue
                if isinstance(face, Exception):
                    coming.set_exception(face)
                else:
                    coming.set_result(face)


def _understood(question: str | bytes) -> tuple[int, Any, dict[str, Any]]:
    """Its number, what it asks for and with what. Raises ValueError."""
    if len(question) > LONGEST:
        raise ValueError(f"this is too much: ask in at most {LONGEST} characters")
    request = json.loads(question)
    if not isinstance(request, dict):
        raise ValueError("a question is a mapping")
    return requests.whole(request.pop("n", None), "n", 0, 2**32 - 1), request.pop("ask", None), request


def _same_origin(socket: WebSocket) -> bool:
    """Whether it is a page of ours that opens it: any page may, and read it, where it may only POST.

    Behind a proxy that changes the host, ours are refused, too, and POST.
    """
    origin = socket.headers.get("origin")  # which browsers send, and other programs need not
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")
