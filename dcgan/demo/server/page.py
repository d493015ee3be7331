"""The scripts and styles of the page that are our own, ahead of Gradio's: those in Gradio's `head` come after them."""

import hashlib
import json

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dcgan.demo.explorer import bundle, source
from dcgan.demo.studio import Studio

SCRIPTS = (
    *("parts.js", "engine.js", "latents.js", "worker_engine.js", "own_engine.js", "tabbar.js", "explorer.js"),
    *("ahead.js", "interpolate.js", "real_vs_fake.js", "replay.js", "find.js", "lab.js", "about.js"),
)
STYLES = ("colours.css", "page.css", "explorer.css", "ahead.css")
# What the components begin with. All else is the scripts' own.
NAMES = "whenSeen, serverEngine, engine, ahead, tabbar, interpolator, realVsFake, replayer, finder, lab, about, facts"


class Page:
    """The scripts as a file of their own, with all that Explore needs to begin at once; and the lines, styles included,
    that the page begins with to fetch it.
    """

    def __init__(self, studio: Studio):
        summary = json.dumps(studio.shelf.summary())
        begin = f"const engine = eitherEngine(serverEngine());\nconst ahead = exploreAhead({summary}, engine);"
        text = f"globalThis.page = (() => {{\n{bundle(SCRIPTS)}\n{begin}\nreturn {{ {NAMES} }};\n}})();"
        self.script = text.encode()
        self.address = f"page-{hashlib.sha256(self.script).hexdigest()[:12]}.js"

    def route(self) -> Route:
        def answer(_: Request) -> Response:
            headers = {"Cache-Control": "public, max-age=31536000, immutable"}  # another one has another name
            return Response(self.script, 200, headers, "text/javascript")

        return Route(f"/{self.address}", answer)

    def first(self) -> bytes:
        styles = "".join(f'<style class="own">{source(name)}</style>' for name in STYLES)
        return f'<script>{{{source("early.js")}}}</script><script src="{self.address}" defer></script>{styles}'.encode()


class Early:
    """ASGI middleware that puts `first` at the beginning of the page."""

    def __init__(self, app: ASGIApp, first: bytes):
        self.app, self.first = app, first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def insert(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "content-length" in headers:
                    headers["content-length"] = str(int(headers["content-length"]) + len(self.first))
            elif message.get("body"):
                message["body"] = message["body"].replace(b"<head>", b"<head>" + self.first, 1)
            await send(message)

        page = scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET"
        await self.app(scope, receive, insert if page else send)
