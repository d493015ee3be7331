"""What the tabs share: server functions, endpoints, errors that a visitor can read, and files for one answer."""

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from dcgan.demo.explorer import EXPLORER
from dcgan.demo.studio import Studio
from dcgan.provenance import GENERATED, face_link, xmp

R = TypeVar("R")

# Of an event that only serves the page: at once, without a sign, and not for scripts.
PRIVATE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

KOREAN = json.loads((EXPLORER / "ko.json").read_text(encoding="utf-8"))  # {English: Korean}
words = gr.I18n(ko=KOREAN, en={text: text for text in KOREAN})


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


@contextmanager
def refusals(said: Callable[[str], str] = str) -> Iterator[None]:
    """In its block, or a function that it decorates, a ValueError is answered in one line, as `said` has it."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(said(str(error)), print_exception=False) from None


def translated(text: str) -> str:
    """A text that the page shows in its language, if it can."""
    return str(words(text)) if text in KOREAN else text


def sent(event: gr.EventData, name: str) -> str:
    """A text that the page sends with an event; "" where a stranger sends anything else."""
    try:
        value = getattr(event, name, "")
    except TypeError:  # the data is no mapping
        value = ""
    return value if isinstance(value, str) else ""


def endpoint(name: str, function: Callable[..., Any]) -> None:
    """Make a function the endpoint /NAME for scripts: two calls compute at once, others wait in Gradio's queue."""
    gr.api(refusals()(function), api_name=name, concurrency_id="scripts", concurrency_limit=2)


def uploaded(file: Any) -> Path:
    """The path of a file that a visitor has uploaded, given as Gradio describes files: {"path", ...}.

    Raises ValueError for every other file of the machine: Gradio itself checks only descriptions that say they are one.
    """
    path = Path(file["path"]).resolve() if isinstance(file, dict) and isinstance(file.get("path"), str) else None
    if path is None or not path.is_relative_to(Path(os.environ["GRADIO_TEMP_DIR"]).resolve()) or not path.is_file():
        raise ValueError("this file was not uploaded")
    return path


def marks(studio: Studio, checkpoint: str = "", kind: str = GENERATED, **face: Any) -> bytes:
    """The XMP of a picture, by the face that it shows or begins with: what `Studio.face` takes, known to be valid."""
    name = studio.checkpoints.name(checkpoint)
    return xmp(studio.checkpoints.get(name), face_link(name, **face), kind)


def served(data: bytes, name: str) -> gr.FileData:
    """The data as a file of its own for one answer, in the folder that Gradio serves and tidies."""
    file = Path(os.environ["GRADIO_TEMP_DIR"]) / secrets.token_hex(16) / name  # nobody guesses it
    file.parent.mkdir(parents=True)
    file.write_bytes(data)
    return gr.FileData(path=str(file))
