"""What stands between the open internet and Gradio: only the routes and sizes that the page needs, and one line for
whatever goes wrong."""

import os
import re
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder, is_in_or_equal
from gradio_client.utils import is_file_obj_with_meta, traverse
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dcgan.demo.turns import BUSY

# Of Gradio's own the rest stays shut: routes that fetch an address, keep a session for ever or call ffmpeg.
SHUT = re.compile(
    r"/gradio_api/(?!(api|app_id|call|cancel|heartbeat|info|login_check|openapi\.json|queue|reset|run"
    r"|startup-events|theme\.css|upload|upload_progress|file=(?!\w\w+:))(/|$|(?<==)))|/monitoring|/svelte"
)
PAST_THE_QUEUE = re.compile(r"/gradio_api/(run|api)\b")
AT_ONCE = 64  # of these; more would wait too long
MAX_ASKED = 2**20  # bytes of a request; 10,000 numbers fit in
MAX_UPLOADED = 256 * 2**20  # bytes of an upload, all its files together
RESERVE = 2**30  # bytes of the disk that uploads leave free
KEPT = 3000  # seconds that anything of a visitor stays, photos or results ...
SWEPT = 300  # ... looked through so often: gone within the hour
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}  # no frame options: Spaces are framed


class Gate:
    """ASGI middleware. What fails within is answered in a line, and leaves one in the log."""

    def __init__(self, app: ASGIApp):
        self.app, self.under_way = app, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun, counted = False, bool(PAST_THE_QUEUE.match(scope["path"]))

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        self.under_way += counted
        try:
            refusal = _refusal(scope)
            if counted and self.under_way > AT_ONCE:
                refusal = 503, BUSY
            if refusal:
                await JSONResponse({"error": refusal[1]}, refusal[0])(scope, receive, answer)
            else:
                await self.app(scope, receive, answer)
        except Exception as error:
            if not begun:
                await JSONResponse({"error": told(error)}, 400)(scope, receive, answer)
        finally:
            self.under_way -= counted
        return None


def _refusal(scope: Scope) -> tuple[int, str] | None:
    """Status and reason, where a request is turned away unread."""
    if SHUT.match(scope["path"]):
        return 404, "there is nothing here"
    if scope["method"] != "POST":
        return None
    length = Headers(scope=scope).get("content-length", "")
    upload = scope["path"].startswith("/gradio_api/upload")
    if not length.isdecimal():
        return 411, "say how long the request is"
    if int(length) > (MAX_UPLOADED if upload else MAX_ASKED):
        return 413, f"this is too much: give at most {(MAX_UPLOADED if upload else MAX_ASKED) >> 20} MB"
    if upload and shutil.disk_usage(Path(get_upload_folder()).parent).free < RESERVE + int(length):
        return 507, "there is no room for it now: try again in an hour"
    return None


def told(error: Exception) -> str:
    """What a visitor hears: a mistake that has a message for them, else that it was one; where, only the log knows."""
    if isinstance(error, gr.Error):
        return error.message.partition("\n")[0][:250]
    where = traceback.extract_tb(error.__traceback__)[-1]
    print(f"refused: {type(error).__name__} at {where.filename}:{where.lineno}", file=sys.stderr)
    return "this request cannot be understood"


def uploaded(path: str) -> str:
    """The path of a file that a visitor has uploaded. Gradio would also take folders, and fetch addresses."""
    if not (is_in_or_equal(path, get_upload_folder()) and Path(path).is_file()):
        raise gr.Error("this file was not uploaded")
    return path


def guarded(process_api: Callable[..., Awaitable[dict[str, Any]]]) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Blocks.process_api, through which every event goes: it takes no other files than uploads, and fails in a line."""

    async def process(*args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            if kwargs.get("iterator") is None:  # a generator that goes on may have removed its upload
                traverse(kwargs["inputs"], lambda file: uploaded(file["path"]), is_file_obj_with_meta)
            return await process_api(*args, **kwargs)
        except Exception as error:
            raise gr.Error(told(error), print_exception=False) from None

    return process


def keep_little(demo: gr.Blocks) -> None:
    """Of what Gradio does for features that are shut here, do without what costs most.

    For links to a session's state it keeps what every component shows in it: a megabyte a session, and 50 ms for a
    new one. And it looks for queued events a thousand times a second.
    """
    begin = SessionState.__init__

    def begin_without(self: SessionState, blocks: gr.Blocks) -> None:
        begin(self, SimpleNamespace(default_config=blocks.default_config, blocks=()))  # type: ignore[arg-type]

    SessionState.__init__ = begin_without  # type: ignore[method-assign]
    SessionState._update_config = lambda *_: None  # type: ignore[method-assign]
    SessionState._update_value_in_config = lambda *_: None  # type: ignore[method-assign]
    demo._queue.sleep_when_free, demo._queue.progress_update_sleep_when_free = 0.02, 0.1  # seconds


def sweep(folder: Path, age: float, pattern: str = "*") -> None:
    """Remove what lies in a folder for longer than `age` seconds, also uploads that were broken off."""
    for path in folder.glob(pattern):
        try:
            if time.time() - path.stat().st_mtime <= age:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError:  # someone else was faster, or it is someone else's
            continue


def keep_sweeping(folder: Path) -> None:
    """Sweep a folder as long as the program runs."""

    def work() -> None:
        while True:
            time.sleep(SWEPT)
            sweep(folder, KEPT)
            os.utime(folder)  # it is in use, should another demo start

    threading.Thread(target=work, daemon=True).start()
