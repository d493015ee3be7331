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

from dcgan.demo.explorer import source
from dcgan.demo.server.gate import uploaded
from dcgan.demo.server.page import NAMES
from dcgan.demo.studio import Studio

P = ParamSpec("P")
R = TypeVar("R")

# Of an event that only serves the page: at once, without a sign, and not for scripts.
PRIVATE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

KOREAN = json.loads(source("ko.json"))  # {English: Korean}, for Gradio and for our components
words = gr.I18n(ko=KOREAN, en={text: text for text in KOREAN})


def component(start: str, value: dict[str, Any], events: Sequence[str] = ()) -> gr.HTML:
    """A component of our own, drawn by the scripts in dcgan/explorer/ when it is first seen.

    start: the JavaScript call that makes it. A new value goes to its `open`. events: those that it triggers.
    """
    script = f"""
const {{ {NAMES} }} = globalThis.page;
// {", ".join(f"'{event}'" for event in events)}: Gradio looks for their names here
whenSeen(element, () => {{
  const shown = {start};
  watch('value', () => shown.open(props.value));
}});"""
    return gr.HTML(value, html_template="", js_on_load=script, apply_default_css=False)


def of_checkpoint(start: str, studio: Studio, checkpoint: gr.Dropdown) -> gr.HTML:
    """A component that is given the summary of the checkpoint chosen, and of each one chosen later."""
    view = component(start, studio.shelf.summary())
    checkpoint.change(spoken(studio.shelf.summary), checkpoint, view, **PRIVATE)
    return view


def tabbar(names: dict[str, str]) -> gr.HTML:
    """The row of tabs, {id: title}; each opens the panel of its id. Gradio's own hides what does not fit a phone."""
    return component("tabbar(element, props.value)", names)


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
