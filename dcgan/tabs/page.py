"""The scripts of the page that are our own, ahead of Gradio's: what stands in Gradio's `head` runs after them."""

import hashlib

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dcgan.explorer import bundle, source

SCRIPTS = (
    *("parts.js", "engine.js", "latents.js", "onnx_engine.js", "own_engine.js", "tabbar.js"),
    *("explorer.js", "interpolate.js", "real_vs_fake.js", "replay.js", "find.js", "lab.js", "about.js", "poster.js"),
)
# What the components begin with. All else is the scripts' own.
NAMES = (
    "whenSeen, serverEngine, eitherEngine, "
    "tabbar, explorer, interpolator, realVsFake, replayer, finder, lab, about, facts"
)
PAGE = f"globalThis.page = (() => {{\n{bundle(SCRIPTS)}\nreturn {{ {NAMES} }};\n}})();".encode()
ADDRESS = f"page-{hashlib.sha256(PAGE).hexdigest()[:12]}.js"
FIRST = (
    f'<head><script>{{{source("early.js")}}}</script><script src="{ADDRESS}" defer></script>'
    f"<style>{source('poster.css')}</style>"
).encode()


def route() -> Route:
    def script(_: Request) -> Response:
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}  # another one has another name
        return Response(PAGE, 200, headers, "text/javascript")

    return Route(f"/{ADDRESS}", script)


class Early:
    """ASGI middleware that puts them first in the page."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def insert(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "content-length" in headers:
                    headers["content-length"] = str(int(headers["content-length"]) + len(FIRST) - len(b"<head>"))
            elif message.get("body"):
                message["body"] = message["body"].replace(b"<head>", FIRST, 1)
            await send(message)

        page = scope["type"] == "http" and scope["path"] == "/"
        await self.app(scope, receive, insert if page else send)
