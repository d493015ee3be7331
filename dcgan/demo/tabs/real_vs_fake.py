"""Real vs fake: what a checkpoint learned from beside what it makes up, nearest training images, and a quiz."""

from dataclasses import asdict
from typing import Any

import gradio as gr
import numpy as np

from dcgan.demo import real_vs_fake as comparison
from dcgan.demo import requests
from dcgan.demo.sentences import spelled
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PRIVATE, base64_text, component, served, spoken, words
from dcgan.pictures import Pixels, encoded, grid

KEPT = 3000  # seconds that a visitor's pictures stay


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    own = gr.State(time_to_live=KEPT)  # the visitor's pictures, uint8 [N, nc, S, S]
    view = component("real_vs_fake", {}, events=("grids", "closest", "quiz"))
    with gr.Row(elem_classes="own"):
        # Events of Gradio's: only these know whose pictures they are asked about.
        folder = gr.UploadButton(str(words("Use a folder of my own as reals")), file_count="directory", size="sm")
        photos = gr.UploadButton(
            str(words("Use photos or a zip of my own")), file_count="multiple", file_types=["image", ".zip"], size="sm"
        )
        forget = gr.Button(words("Forget my photos"), size="sm", visible=False)

    def grids(shuffle: int, checkpoint: str, own: Pixels | None) -> dict[str, Any]:
        pair = comparison.real_vs_fake(studio, shuffle, checkpoint, own)
        real = None if pair.real is None else _png(pair.real)
        return {"kind": "grids", "shuffle": shuffle, "real": real, "fake": _png(pair.fake), "note": pair.note}

    def show_grids(checkpoint: str, own: Pixels | None, event: gr.EventData) -> dict[str, Any]:
        return _answer(event, grids, event.shuffle, checkpoint, own)

    def show_closest(checkpoint: str, event: gr.EventData) -> dict[str, Any]:
        return _answer(event, closest, event.seed, checkpoint)

    def closest(seed: int, checkpoint: str) -> dict[str, Any]:
        images, found = studio.closest(seed, checkpoint=checkpoint)
        return {
            "kind": "closest",
            "seed": seed,
            "face": _png(studio.face(seed, checkpoint=checkpoint)),
            "images": [_png(image) for image in images],
            "distances": found.distances,
            "closer_than": found.closer_than,
        }

    def show_quiz(checkpoint: str, own: Pixels | None, event: gr.EventData) -> dict[str, Any]:
        return _answer(event, quiz, checkpoint, own)

    def quiz(checkpoint: str, own: Pixels | None) -> dict[str, Any]:
        found = comparison.quiz(studio, checkpoint, own)
        return {"kind": "quiz", **asdict(found), "pictures": [_png(image) for image in found.pictures]}

    def take(files: list[str], checkpoint: str) -> tuple[Any, Any, Any]:
        pixels = studio.own_photos(files, checkpoint)
        return pixels, _answer(None, grids, 0, checkpoint, pixels), gr.update(visible=True)

    view.grids(show_grids, [checkpoint, own], view, **PRIVATE)
    view.closest(show_closest, checkpoint, view, **PRIVATE)
    view.quiz(show_quiz, [checkpoint, own], view, **PRIVATE)
    checkpoint.change(lambda *chosen: _answer(None, grids, 0, *chosen), [checkpoint, own], view, **PRIVATE)
    for upload in (folder, photos):
        upload.upload(spoken(take), [upload, checkpoint], [own, view, forget], **{**PRIVATE, "queue": True})
    forget.click(
        lambda checkpoint: (None, _answer(None, grids, 0, checkpoint, None), gr.update(visible=False)),
        checkpoint,
        [own, view, forget],
        **PRIVATE,
    )

    def grid_files(shuffle: int = 0, checkpoint: str = "") -> tuple[gr.FileData, gr.FileData, str]:
        """64 real images, 64 fakes of the seeds from 64 * shuffle on, and a sentence that says what they are."""
        pair = comparison.real_vs_fake(studio, shuffle, checkpoint)
        if pair.real is None:
            raise ValueError(spelled(pair.note))
        real, fake = (
            served(encoded(p), f"{name}-{shuffle}.png") for p, name in ((pair.real, "real"), (pair.fake, "fake"))
        )
        return real, fake, spelled(pair.note)

    def closest_file(seed: int = 0, count: int = 6, checkpoint: str = "") -> gr.FileData:
        """The face of a seed and the training images nearest to it side by side, as a PNG."""
        images, _ = studio.closest(seed, count, checkpoint)
        faces = np.concatenate([studio.face(seed, checkpoint=checkpoint)[None], images])
        return served(encoded(grid(faces, len(faces))), f"nearest-{seed}.png")

    def likeness(seed: int = 0, checkpoint: str = "") -> dict[str, Any]:
        """How close the face of a seed comes to its nearest training images, and to what share of held-out ones."""
        _, found = studio.closest(seed, checkpoint=checkpoint)
        return {"distances": found.distances, "closer_than": found.closer_than}

    gr.api(spoken(grid_files), api_name="real_vs_fake")
    gr.api(spoken(closest_file), api_name="nearest")
    gr.api(spoken(likeness), api_name="likeness")


def _png(pixels: Pixels) -> str:
    return base64_text(encoded(pixels))


def _answer(event: gr.EventData | None, function: Any, *details: Any) -> dict[str, Any]:
    """What the function says, or in its place the visitor's mistake, with the id of the page's request, if any."""
    # A file's description in its place would be served as the file.
    name = {"id": requests.whole(event.id, "id", 0, 2**32)} if event else {}
    try:
        return {**name, **function(*details)}
    except ValueError as error:
        return {**name, "kind": "error", "error": str(error)}
