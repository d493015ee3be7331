"""What a page fetches once a visitor lets their own browser draw the faces."""

import hashlib
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dcgan.demo.explorer import EXPLORER
from dcgan.demo.explorer.weights import browser_weights
from dcgan.demo.studio import Studio

WORKER = ("worker.js", "cpu_generator.js", "kernel.wasm")


def routes(studio: Studio) -> list[Route]:
    """For a Starlette application."""

    @cache
    def weights(name: str) -> tuple[bytes, str]:
        file = browser_weights(studio.shelf.checkpoint(name).generator)
        return file, f'"{hashlib.sha256(file).hexdigest()}"'

    def answer(request: Request) -> Response:
        file, name = request.path_params["file"], request.query_params.get("name", "")
        if file in WORKER:
            return FileResponse(EXPLORER / file, headers={"Cache-Control": "no-cache"})  # it must fit the weights
        try:
            if file == "checkpoint.json":
                return JSONResponse(known(studio, name))
            if file == "generator.safetensors":
                content, tag = weights(name)
                headers = {"ETag": tag, "Cache-Control": "no-cache"}  # kept, and asked for whether it is the same
                if request.headers.get("If-None-Match") == tag:
                    return Response(None, 304, headers)
                return Response(content, 200, headers, "application/octet-stream")
        except ValueError as error:
            return PlainTextResponse(str(error), 404)
        return PlainTextResponse("no such file", 404)

    return [Route("/browser/{file}", answer)]


def known(studio: Studio, name: str = "") -> dict[str, Any]:
    """What a browser has to know of a checkpoint to draw its faces."""
    directions = {d.name: d.vector.tolist() for d in studio.shelf.checkpoint(name).directions}
    return {"summary": studio.shelf.summary(name), "directions": directions}
