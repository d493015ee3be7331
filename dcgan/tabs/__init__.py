"""What the tabs share: the page's own components, and errors that a visitor can read."""

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr
from gradio.data_classes import ImageData, ListFiles
from gradio.utils import get_upload_folder

from dcgan import browser
from dcgan.tabs.gate import told, uploaded

P = ParamSpec("P")
R = TypeVar("R")

EXPLORER = Path(__file__).parent.parent / "explorer"
KOREAN = (EXPLORER / "ko.json").read_text(encoding="utf-8")  # {English: Korean}, for Gradio and for our components
words = gr.I18n(ko=json.loads(KOREAN), en={text: text for text in json.loads(KOREAN)})
SHARED = ("parts.js", "engine.js")
# In the head rather than as Gradio's `css`, which rewrites every selector.
HEAD = "".join(
    f"<style>{(EXPLORER / name).read_text(encoding='utf-8')}</style>" for name in ("page.css", "explorer.css")
)


def component(
    script: str, start: str, value: dict[str, Any], functions: Sequence[Callable] = (), more: Sequence[str] = ()
) -> gr.HTML:
    """A component of our own, drawn by dcgan/explorer/`script` when it is first seen.

    start: the JavaScript call that makes it. functions: of the server, for it to ask. more: other scripts that it
    takes. A new value goes to its `open`.
    """
    sources = [(EXPLORER / name).read_text(encoding="utf-8") for name in (*SHARED, *more, script)]
    begin = f"whenSeen(element, () => {{\nconst shown = {start};\nwatch('value', () => shown.open(props.value));\n}});"
    return gr.HTML(
        value,
        html_template="",
        js_on_load="\n".join([f"const KOREAN = {KOREAN};", *sources, begin]),
        apply_default_css=False,
        server_functions=list(functions),
    )


def either_engine() -> tuple[str, tuple[str, ...]]:
    """The engine of a component that a visitor's own browser may draw for, in JavaScript, and the scripts it takes."""
    if browser.at_hand():
        return "eitherEngine(serverEngine(server))", ("latents.js", "onnx_engine.js", "own_engine.js")
    return "serverEngine(server)", ()


def tabbar(names: dict[str, str]) -> gr.HTML:
    """The row of tabs, {id: title}; each opens the panel of its id. Gradio's own hides what does not fit a phone."""
    return component("tabbar.js", "tabbar(element, props.value)", names)


def panel(id: str) -> gr.Column:
    return gr.Column(elem_id=f"panel-{id}")


def spoken(function: Callable[P, R]) -> Callable[P, R]:
    """The function as an event: a visitor's mistake becomes a message, not a traceback."""

    @wraps(function)
    def event(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return event


def answer(function: Callable[..., dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """The function as one that the page's scripts call with a mapping; a mistake becomes {"error": one line}."""

    def server_function(request: Any) -> dict[str, Any]:
        try:
            return function(**request)
        except Exception as error:  # not a mapping, or one of other names than the function's, say
            return {"error": str(error) if isinstance(error, ValueError) else told(error)}

    server_function.__name__ = function.__name__  # under which the page finds it
    return server_function


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def photo_path(picture: ImageData | None) -> str | None:
    """In the place of gr.Image's own preprocessing, which answers a file that is no picture with a traceback."""
    return uploaded(picture.path) if picture and picture.path else None


def photo_paths(files: ListFiles | None) -> list[str]:
    """In the place of gr.UploadButton's own preprocessing, which leaves an empty file behind for each."""
    return [uploaded(file.path) for file in files or ()]


def served(data: bytes, name: str) -> gr.FileData:
    """The data as a file of its own for one answer, in the folder that Gradio serves and tidies."""
    file = Path(get_upload_folder()) / secrets.token_hex(16) / name  # nobody guesses it
    file.parent.mkdir(parents=True)
    file.write_bytes(data)
    return gr.FileData(path=str(file))
