"""What the tabs share: components of our own, server functions, and errors that a visitor can read."""

import base64
import json
import os
import secrets
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from dcgan.demo.explorer import EXPLORER
from dcgan.demo.studio import Studio

P = ParamSpec("P")
R = TypeVar("R")

# Of an event that only serves the page: at once, without a sign, and not for scripts.
PRIVATE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# Of endpoints for scripts: a few compute at once, the others wait in Gradio's queue.
PUBLIC: dict[str, Any] = {"concurrency_id": "scripts", "concurrency_limit": 2}

KOREAN = json.loads((EXPLORER / "ko.json").read_text(encoding="utf-8"))  # {English: Korean}
words = gr.I18n(ko=KOREAN, en={text: text for text in KOREAN})


def component(
    name: str, value: Any, server_functions: Sequence[Callable[..., Any]] = (), events: Sequence[str] = ()
) -> gr.HTML:
    """A component of our own: the module explorer/NAME.js, beside the page's link with the id "explorer".

    The module exports `mount(element, gradio)`, where gradio is {value, server, trigger}: the value, an object of the
    server functions, and a function that triggers one of `events` with its data. It returns, or promises, an object
    whose `open(value)` takes each later value. Server functions are made by `answering`; in JavaScript `asking` in
    server.js wraps them, so that what they refuse is an Error.
    """
    script = f"""
const module = new URL("{name}.js", document.getElementById("explorer").href);
const gradio = {{ value: props.value, trigger, server: typeof server === "undefined" ? {{}} : server }};
// Gradio looks here for the events: {", ".join(f'"{event}"' for event in events)}
const mounted = import(module).then(({{ mount }}) => mount(element, gradio));
mounted.catch((error) => (element.textContent = error.message));
watch("value", () => mounted.then((shown) => shown.open(props.value)));
"""
    return gr.HTML(
        value,
        html_template="",
        js_on_load=script,
        apply_default_css=False,
        server_functions=list(server_functions) or None,
    )


def of_checkpoint(
    name: str,
    studio: Studio,
    checkpoint: gr.Dropdown,
    server_functions: Sequence[Callable[..., Any]] = (),
    events: Sequence[str] = (),
    **value: Any,
) -> gr.HTML:
    """A component of value {"checkpoint": its name, ...}, which hears of each checkpoint that is chosen later."""
    view = component(name, {"checkpoint": studio.checkpoints.names[0], **value}, server_functions, events)
    checkpoint.change(None, checkpoint, view, js="(name) => ({ checkpoint: name })")
    return view


def answering(function: Callable[..., R]) -> Callable[[dict[str, Any]], R | dict[str, str]]:
    """The function as a server function: its keyword arguments come as one mapping from a stranger.

    A ValueError is answered as {"error": its message}.
    """

    def answer(request: dict[str, Any]) -> R | dict[str, str]:
        try:
            return function(**request)
        except ValueError as error:
            return {"error": str(error)}
        except TypeError:
            return {"error": "this request cannot be understood"}

    answer.__name__ = function.__name__
    return answer


def as_event(function: Callable[P, R]) -> Callable[P, R]:
    """The function as an event: a visitor's mistake becomes a message, not a traceback."""

    @wraps(function)
    def event(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            raise refusal(error) from None

    return event


def refusal(error: ValueError) -> gr.Error:
    """What Gradio shows a visitor in place of a result: the message, in their language where it is known."""
    message = str(error)
    return gr.Error(str(words(message)) if message in KOREAN else message, print_exception=False)


def base64_text(data: bytes) -> str:
    """Bytes as text in base64."""
    return base64.b64encode(data).decode("ascii")


def data_url(data: bytes, kind: str) -> str:
    """The bytes of a file as an address; kind: "image/png", say."""
    return f"data:{kind};base64,{base64_text(data)}"


def uploaded(file: Any) -> Path:
    """The path of a file that a visitor has uploaded, given as Gradio describes files: {"path", ...}.

    Raises ValueError for every other file of the machine: Gradio itself checks only descriptions that say they are one.
    """
    path = Path(file["path"]).resolve() if isinstance(file, dict) and isinstance(file.get("path"), str) else None
    if path is None or not path.is_relative_to(Path(os.environ["GRADIO_TEMP_DIR"]).resolve()) or not path.is_file():
        raise ValueError("this file was not uploaded")
    return path


def served(data: bytes, name: str) -> gr.FileData:
    """The data as a file of its own for one answer, in the folder that Gradio serves and tidies."""
    file = Path(os.environ["GRADIO_TEMP_DIR"]) / secrets.token_hex(16) / name  # nobody guesses it
    file.parent.mkdir(parents=True)
    file.write_bytes(data)
    return gr.FileData(path=str(file))
