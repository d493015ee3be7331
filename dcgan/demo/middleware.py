"""What Gradio leaves to the server around it: the size of a request's body, and the compression of the page itself."""

import re

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

UPLOAD = re.compile(r"/gradio_api/upload/?\Z")
FILE = re.compile(r"/gradio_api/|\.\w+\Z")  # Gradio compresses those that are text
MAX_BODY = 2**20  # bytes; 10,000 numbers fit in
MAX_UPLOAD = 256 * 2**20  # bytes, all its files together


class BodyLimit:
    """ASGI middleware: refuses bodies of more than 1 MiB, uploads of more than 256 MiB, and those of unstated length.

    The server holds a client to the length that it states. The path may begin with a proxy's prefix.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        refusal = _refusal(scope) if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD") else None
        if refusal:
            status, reason = refusal
            await JSONResponse({"error": reason}, status, {"Connection": "close"})(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _refusal(scope: Scope) -> tuple[int, str] | None:
    """Status and reason, for a request that is turned away unread."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0" if scope["method"] in ("OPTIONS", "DELETE") else "")
    most = MAX_UPLOAD if UPLOAD.search(scope["path"]) else MAX_BODY
    if "transfer-encoding" in headers or not length.isdecimal():
        return 411, "say how long the request is"
    return (413, f"this is too much: at most {most >> 20} MB") if int(length) > most else None


class LightPage:
    """ASGI middleware: sends the page with gzip, 40 kB in the place of 210. Files pass as they are.

    HEAD is answered without making the page: Gradio looks for its own within 3 seconds of its start, or ends.
    """

    def __init__(self, app: ASGIApp):
        self.app, self.compressing = app, GZipMiddleware(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http" or FILE.search(scope["path"]):
            await self.app(scope, receive, send)
        elif scope["method"] == "HEAD" and scope["path"].endswith("/"):
            await Response()(scope, receive, send)
        else:
            await self.compressing(scope, receive, send)
