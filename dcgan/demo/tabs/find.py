"""Find my face: the generated face nearest to a visitor's photo, searched before their eyes."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import gradio as gr

from dcgan.demo import inversion as search
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PRIVATE, base64_text, component, words
from dcgan.pictures import encoded

AT_ONCE = 2  # searches; whoever comes later waits in Gradio's queue


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    with gr.Row(elem_classes="find"):
        photo = gr.Image(
            sources=["upload", "webcam", "clipboard"],
            type="filepath",
            label=words("Photo"),
            height=260,
            buttons=[],
        )
        view = component("find", {}, events=["stop"])

    def find(photo: str | None = None, checkpoint: str = "") -> Iterator[dict[str, Any]]:
        """The face nearest to that of a photo, better and better, a few times a second for about ten seconds.

        `origin` is its latent, as /face takes it. `face` and `target`, the photo's crop, are PNGs in base64.
        """
        if photo is None:  # taken away again
            yield {"kind": "nothing"}
            return
        yield {"kind": "looking"}
        try:
            for found in search.find(studio, photo, checkpoint):
                pictures = {name: base64_text(encoded(getattr(found, name))) for name in ("target", "face")}
                yield {"kind": "found", "checkpoint": checkpoint, **asdict(found), **pictures}
        except ValueError as error:
            yield {"kind": "refused"}
            raise gr.Error(str(error), print_exception=False) from None

    searching = photo.input(
        find,
        [photo, checkpoint],
        view,
        api_name="find",
        show_progress="hidden",  # its view says how far it is
        concurrency_limit=AT_ONCE,
        concurrency_id="find",
    )
    view.stop(None, None, None, cancels=[searching], **PRIVATE)
    photo.clear(lambda: {"kind": "nothing"}, None, view, **PRIVATE)  # whose script then stops what is under way
