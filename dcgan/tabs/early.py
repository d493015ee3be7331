"""A script ahead of all others on the page: what stands in Gradio's `head` runs after its own."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dcgan.tabs import EXPLORER

SCRIPT = f"<head><script>{{{(EXPLORER / 'early.js').read_text(encoding='utf-8')}}}</script>".encode()


class Early:
    """ASGI middleware that puts dcgan/explorer/early.js first."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def insert(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "content-length" in headers:
                    headers["content-length"] = str(int(headers["content-length"]) + len(SCRIPT) - len(b"<head>"))
            elif message.get("body"):
                message["body"] = message["body"].replace(b"<head>", SCRIPT, 1)
            await send(message)

        page = scope["type"] == "http" and scope["path"] == "/"
        await self.app(scope, receive, insert if page else send)
