"""The faces that a page asks for while a slider moves, over a WebSocket: Gradio's requests take longer than a face.

A question is JSON, {"n": a number, ...what Studio.face takes}. Its answer is binary, HEAD and the pixels [S, S, nc],
or, for a mistake, JSON: {"n": the number, "error": one line}. Answers come as they are ready.
"""

import asyncio
import json
import struct
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from anyio import create_task_group, to_thread
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from dcgan import asked
from dcgan.pictures import Pixels
from dcgan.studio import Studio
from dcgan.tabs.gate import told
from dcgan.turns import Busy

PATH = "/faces"
HEAD = struct.Struct("<III")  # n, side, channels
LANES = 8  # questions of a page under way; what it asks beyond them waits in its socket
TOGETHER = 16  # faces in one go: eight take as long as two or three one by one
WAITING = 128  # of all pages; more would wait too long
LONGEST = 2**16  # characters of a question


class Channel:
    """Draws what several visitors ask for in one go: while some faces are drawn, the next ones gather."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self.waiting: list[tuple[dict[str, Any], asyncio.Future[Pixels]]] = []
        self.drawing: asyncio.Task[None] | None = None

    def route(self) -> WebSocketRoute:
        return WebSocketRoute(PATH, self._serve)

    async def _serve(self, socket: WebSocket) -> None:
        """One page, until it leaves, or sends what is no text."""
        if not _same_origin(socket):
            return await socket.close()
        await socket.accept()
        lanes = asyncio.Semaphore(LANES)
        async with create_task_group() as tasks:
            with suppress(KeyError):
                async for text in socket.iter_text():
                    await lanes.acquire()
                    tasks.start_soon(self._reply, socket, text, lanes)
            tasks.cancel_scope.cancel()
        return None

    async def _reply(self, socket: WebSocket, text: str, lanes: asyncio.Semaphore) -> None:
        answer = await self._answer(text)
        with suppress(WebSocketDisconnect, RuntimeError):  # it has left
            await (socket.send_bytes(answer) if isinstance(answer, bytes) else socket.send_text(answer))
        lanes.release()

    async def _answer(self, text: str) -> bytes | str:
        n = None
        try:
            n, state = _question(text)
            face = await self._face(state)
            return HEAD.pack(n, face.shape[0], face.shape[2]) + face.tobytes()
        except Exception as error:
            return json.dumps({"n": n, "error": str(error) if isinstance(error, ValueError) else told(error)})

    async def _face(self, state: dict[str, Any]) -> Pixels:
        if len(self.waiting) >= WAITING:
            raise Busy
        face = asyncio.get_running_loop().create_future()
        self.waiting.append((state, face))
        if self.drawing is None or self.drawing.done():
            self.drawing = asyncio.create_task(self._draw())
        return await face

    async def _draw(self) -> None:
        while self.waiting:
            batch, self.waiting = self.waiting[:TOGETHER], self.waiting[TOGETHER:]
            drawn: list[Pixels | Exception]
            try:
                drawn = await to_thread.run_sync(self.studio.each_face, [state for state, _ in batch])
            except Exception as error:
                drawn = [error] * len(batch)
            for (_, face), answer in zip(batch, drawn, strict=True):
                if face.cancelled():  # its page has gone
                    continue
                if isinstance(answer, Exception):
                    face.set_exception(answer)
                else:
                    face.set_result(answer)


def _question(text: str) -> tuple[int, dict[str, Any]]:
    """Its number, and what is asked. Raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError(f"this is too much: ask in at most {LONGEST} characters")
    question = json.loads(text)
    if not isinstance(question, dict):
        raise ValueError("a question is a mapping")
    return asked.whole(question.pop("n", None), "n", 0, 2**32 - 1), question


def _same_origin(socket: WebSocket) -> bool:
    """Whether it was a page of ours that asks. Browsers say which one it was; other programs need not."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")
