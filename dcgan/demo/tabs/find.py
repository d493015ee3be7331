"""Find my face: the generated face nearest to a visitor's photo, searched before their eyes."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from PIL import Image

from dcgan.demo import inversion
from dcgan.demo.inversion import Found
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PRIVATE, base64_text, refusals, uploaded, words
from dcgan.pictures import Pixels, encoded, enlarged, picture

SHOWN = 256  # pixels: the side of a picture on the page
PICTURE: dict[str, Any] = {"interactive": False, "buttons": [], "format": "png", "height": SHOWN}
QUEUE: dict[str, Any] = {"concurrency_id": "find", "concurrency_limit": 2}  # searches at once; others wait
HINT = (
    "Give a photo with a face in it: the nearest face that the generator can draw is searched, in about ten seconds. "
    "The photo serves the search alone and is deleted within the hour."
)
LOOKING = "Looking for the face … The first photo after a start takes some seconds longer."
SEARCHING = "Searching, levels of 255 apart"
FOUND = "Nearest face found, levels of 255 apart"
STOPPED = "Stopped: this is the nearest face so far."
NO_FACE = "No face was found in this photo: its centre is used."


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and its endpoint /find."""
    with gr.Row(elem_classes="find"):
        photo = gr.Image(
            sources=["upload", "webcam", "clipboard"], type="filepath", label=words("Photo"), height=SHOWN, buttons=[]
        )
        with gr.Column():
            state = gr.Markdown(words(HINT))
            centre = gr.Markdown(words(NO_FACE), visible=False)
            bar = gr.HTML(0, html_template='<progress max="1" value="${value}"></progress>', visible=False)
            with gr.Row(visible=False) as result:
                target = gr.Image(label=words("Your photo"), **PICTURE)
                face = gr.Image(label=words("Nearest face"), **PICTURE)
            with gr.Row(elem_classes="own"):
                edit = gr.Button(words("Edit in Explore"), variant="primary", size="sm", visible=False)
                stop = gr.Button(words("Stop"), size="sm", visible=False)
    outputs = [state, centre, bar, result, target, face, edit, stop]

    def update(text: str, found: Found | None = None, checkpoint: str = "") -> dict[Any, Any]:
        """What the page shows: a text, and the best face so far if there is one."""
        if found is None:
            hidden = {part: gr.update(visible=False) for part in (centre, bar, result, edit, stop)}
            return {state: words(text), **hidden}
        searching = found.done < 1
        return {
            state: f"{words(text)}: {found.error:.1f}",
            centre: gr.update(visible=not found.face_found),
            bar: gr.update(value=found.done, visible=searching),
            result: gr.update(visible=True),
            target: _large(found.target),
            face: _large(found.face),
            edit: gr.update(link=_link(studio.checkpoints.name(checkpoint), found.origin), visible=not searching),
            stop: gr.update(visible=searching),
        }

    def show(photo: dict[str, Any] | None, checkpoint: str) -> Iterator[dict[Any, Any]]:
        if photo is None:
            yield update(HINT)
            return
        yield update(LOOKING)
        with refusals():
            try:
                for found in inversion.find(studio, uploaded(photo), checkpoint):
                    yield update(SEARCHING if found.done < 1 else FOUND, found, checkpoint)
            except ValueError:
                yield update(HINT)
                raise

    # preprocess=False: Gradio's own answers a file that is no picture with a traceback that names it.
    searching = photo.input(
        show, [photo, checkpoint], outputs, preprocess=False, show_progress="hidden", api_visibility="private", **QUEUE
    )
    stopped = {
        state: words(STOPPED),
        bar: gr.update(visible=False),
        stop: gr.update(visible=False),
        edit: gr.update(visible=True),
    }
    stop.click(lambda: stopped, None, [state, bar, stop, edit], cancels=[searching], **PRIVATE)
    photo.clear(lambda: update(HINT), None, outputs, cancels=[searching], **PRIVATE)

    def find(photo: gr.FileData | None = None, checkpoint: str = "") -> Iterator[dict[str, Any]]:
        """The face nearest to that of a photo, better and better, a few times a second for about ten seconds.

        `origin` is its latent, as /face takes it. `face` and `target`, the photo's crop, are PNGs in base64.
        """
        with refusals():
            for found in inversion.find(studio, uploaded(photo), checkpoint):
                pictures = {name: base64_text(encoded(getattr(found, name))) for name in ("target", "face")}
                yield {"kind": "found", "checkpoint": checkpoint, **asdict(found), **pictures}

    gr.api(find, api_name="find", **QUEUE)


def _large(pixels: Pixels) -> Image.Image:
    return enlarged(picture(pixels), max(1, SHOWN // pixels.shape[0]))


def _link(checkpoint: str, origin: list[float]) -> str:
    """The address of a face in Explore, as explorer/address.js reads it."""
    latent = ".".join(str(round(100 * value)) for value in origin)
    return "#" + urlencode({"face": checkpoint, "seed": 0, "truncation": 1, "o": latent})
