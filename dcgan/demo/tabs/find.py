"""Find my face: the generated face nearest to a visitor's photo, searched before their eyes."""

import secrets
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from dcgan.demo import inversion, uploads
from dcgan.demo.checkpoints import first_seeds
from dcgan.demo.inversion import Found
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import KOREAN, PRIVATE, marks, refusals, served, uploaded, words
from dcgan.pictures import Pixels, base64_text, encoded, enlarged, picture
from dcgan.provenance import face_link

SHOWN = 256  # pixels: the side of a picture on the page
PICTURE: dict[str, Any] = {"interactive": False, "buttons": [], "format": "png", "height": SHOWN}
QUEUE: dict[str, Any] = {"concurrency_id": "find", "concurrency_limit": 2}  # searches at once; others wait
HINT = (
    "Give a photo with a face in it and see, in about ten seconds, the nearest face that can be drawn here. "
    "The photo serves for that alone and is deleted within the hour."
)
EXAMPLE = "Try it with a made-up face"
SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".avif")
LOOKING = "Looking for the face … The first photo after a start takes some seconds longer."
SEARCHING = "Searching … Mean difference in brightness (0 to 255)"
FOUND = "Nearest face found. Mean difference in brightness (0 to 255)"
STOPPED = "Stopped: this is the nearest face so far."
NO_FACE = "No face was found in this photo: its centre is used."


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and its endpoint /find."""
    with gr.Row(elem_classes="find"):
        with gr.Column():
            photo = gr.Image(
                sources=["upload", "webcam", "clipboard"],
                type="filepath",
                label=words("Photo"),
                height=SHOWN,
                buttons=[],
            )
            with gr.Row(elem_classes="own"):
                example = gr.Button(words(EXAMPLE))
        with gr.Column():
            state = gr.Markdown(words(HINT))
            centre = gr.Markdown(words(NO_FACE), visible=False)
            bar = gr.HTML(0, html_template='<progress max="1" value="${value}"></progress>', visible=False)
            with gr.Row(visible=False) as result:
                target = gr.Image(label=words("Your photo"), **PICTURE)
                face = gr.Image(label=words("Nearest face"), **PICTURE)
            with gr.Row(elem_classes="own"):
                edit = gr.Button(str(words("Edit in Explore")), variant="primary", visible=False)
                stop = gr.Button(str(words("Stop")), visible=False)
    outputs = [photo, state, centre, bar, result, target, face, edit, stop]

    def update(text: str, found: Found | None = None, checkpoint: str = "") -> dict[Any, Any]:
        """What the page shows: a text, and the best face so far if there is one."""
        if found is None:
            hidden = {part: gr.update(visible=False) for part in (centre, bar, result, edit, stop)}
            return {state: words(text) if text in KOREAN else f"{text[:1].upper()}{text[1:]}", **hidden}
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

    def show(given: dict[str, Any] | None, checkpoint: str) -> Iterator[Any]:
        if given is None:  # taken away, by `clear` or for a refusal
            yield gr.skip()
            return
        yield update(LOOKING)
        try:
            path = uploaded(given)
            # HEIC, say. It comes with every answer: the page may still put the file itself there after the first.
            readable = {} if path.suffix.lower() in SHOWN_BY_BROWSERS else {photo: uploads.photo(path)}
            for found in inversion.find(studio, path, checkpoint):
                yield {**update(SEARCHING if found.done < 1 else FOUND, found, checkpoint), **readable}
        except ValueError as reason:  # beside the photo, where it stays
            yield {photo: None, **update(str(reason))}

    def show_example(checkpoint: str) -> Iterator[Any]:
        """The same for a generated face."""
        seed = secrets.choice(first_seeds(studio.checkpoints.get(checkpoint)))
        given = served(encoded(np.asarray(_large(studio.face(seed, checkpoint)).convert("RGB"))), "example.png")
        yield {photo: given.path}
        yield from show({"path": given.path}, checkpoint)

    # preprocess=False: Gradio's own answers a file that is no picture with a traceback that names it.
    options = {**PRIVATE, **QUEUE, "queue": True, "preprocess": False}
    searching = photo.input(show, [photo, checkpoint], outputs, **options)
    trying = example.click(show_example, checkpoint, outputs, **options)
    hidden, shown = gr.update(visible=False), gr.update(visible=True)
    stopped = {state: words(STOPPED), bar: hidden, stop: hidden, edit: shown}
    stop.click(lambda: stopped, None, [state, bar, stop, edit], cancels=[searching, trying], **PRIVATE)
    # A photo that is taken away is an input, too: what is cancelled must have reached the server.
    photo.clear(lambda: None, **PRIVATE).then(
        lambda: update(HINT), None, outputs, cancels=[searching, trying], **PRIVATE
    )

    def find(photo: gr.FileData | None = None, checkpoint: str = "") -> Iterator[dict[str, Any]]:
        """The face nearest to that of a photo, better and better, a few times a second for about ten seconds.

        `origin` is its latent, as /face takes it. `face` and `target`, the photo's crop, are PNGs in base64.
        """
        with refusals():
            for found in inversion.find(studio, uploaded(photo), checkpoint):
                made = marks(studio, checkpoint, origin=found.origin)
                pictures = {
                    "target": base64_text(encoded(found.target)),
                    "face": base64_text(encoded(found.face, xmp=made)),
                }
                yield {"kind": "found", "checkpoint": checkpoint, **asdict(found), **pictures}

    gr.api(find, api_name="find", **QUEUE)


def _large(pixels: Pixels) -> Image.Image:
    return enlarged(picture(pixels), max(1, SHOWN // pixels.shape[0]))


def _link(checkpoint: str, origin: list[float]) -> str:
    """The address of a face in Explore, as explorer/address.js reads it."""
    return "#" + face_link(checkpoint, origin=origin)
