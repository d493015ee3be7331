"""Real vs fake: real images for the component real_vs_fake.js, visitors' own among them, and endpoints for scripts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from dcgan.demo import real_vs_fake, uploads
from dcgan.demo.real_vs_fake import Reals
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PRIVATE, answering, endpoint, marks, refusals, served, translated, uploaded, words
from dcgan.demo.tabs.component import component
from dcgan.pictures import GRID, Pixels, data_url, encoded, grid
from dcgan.provenance import COMPOSITE

KEPT = 3000  # seconds that a visitor's photos stay
READING: dict[str, Any] = {"concurrency_id": "photos", "concurrency_limit": 1, **PRIVATE, "queue": True}


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and its endpoints /real_vs_fake, /nearest and /likeness."""

    @answering
    def reals(checkpoint: str = "", shuffle: int = 0) -> dict[str, Any]:
        return _answer(real_vs_fake.reals(studio, checkpoint, shuffle))

    @answering
    def quiz(checkpoint: str = "") -> dict[str, Any]:
        return _answer(real_vs_fake.quiz(studio, checkpoint))

    @answering
    def nearest(seed: int, checkpoint: str = "") -> dict[str, Any]:
        images, found = studio.closest(seed, checkpoint=checkpoint)
        return {"picture": _sheet(images), "distances": found.distances, "closer_than": found.closer_than}

    own = gr.State(time_to_live=KEPT, delete_callback=_remove)  # the path of the sheet of a visitor's photos
    with gr.Row(elem_classes="own"):
        photos = gr.UploadButton(
            str(words("Use my own photos as the real ones")),
            file_count="multiple",
            file_types=["image", ".heic", ".heif", ".zip"],
        )
        folder = gr.UploadButton(str(words("Use a whole folder of mine")), file_count="directory")
        forget = gr.Button(str(words("Forget my photos")), visible=False)
    view = component("real_vs_fake", studio, checkpoint, [reals, quiz, nearest])

    def take(files: list[dict[str, Any]], checkpoint: str, before: str | None) -> Iterator[tuple[Any, ...]]:
        yield gr.skip(), {"reading": True}, gr.skip()
        with refusals(translated):
            try:
                known = studio.checkpoints.get(checkpoint)
                paths = [uploaded(file) for file in files]
                pixels = uploads.own_photos(paths, known.model.image_size, known.model.nc, known.crop)
            except ValueError:
                yield gr.skip(), {"reading": False}, gr.skip()
                raise
        sheet = served(encoded(grid(pixels)), "own.png")
        _remove(before)
        yield sheet.path, {"own": {"picture": sheet, "count": len(pixels)}}, gr.update(visible=True)

    def drop(before: str | None) -> tuple[None, dict[str, Any], Any]:
        _remove(before)
        return None, {"own": None}, gr.update(visible=False)

    for upload in (folder, photos):  # preprocess=False: Gradio's own leaves an empty file behind for each
        upload.upload(take, [upload, checkpoint, own], [own, view, forget], preprocess=False, **READING)
    forget.click(drop, own, [own, view, forget], **PRIVATE)

    def grid_files(shuffle: int = 0, checkpoint: str = "") -> tuple[gr.FileData, gr.FileData, str]:
        """64 real images, 64 fakes of the seeds from 64 * shuffle on, and a sentence that says what they are."""
        real, fake, note = real_vs_fake.grids(studio, shuffle, checkpoint)
        fakes = encoded(fake, xmp=marks(studio, checkpoint, seed=int(shuffle) * GRID**2))
        return served(encoded(real), f"real-{shuffle:.0f}.png"), served(fakes, f"fake-{shuffle:.0f}.png"), note

    def closest_file(seed: int = 0, count: int = 6, checkpoint: str = "") -> gr.FileData:
        """The face of a seed and the training images nearest to it side by side, as a PNG."""
        images, _ = studio.closest(seed, count, checkpoint)
        faces = np.concatenate([studio.face(seed, checkpoint)[None], images])
        made = marks(studio, checkpoint, COMPOSITE, seed=seed)
        return served(encoded(grid(faces, len(faces)), xmp=made), f"nearest-{seed:.0f}.png")

    def likeness(seed: int = 0, checkpoint: str = "") -> dict[str, Any]:
        """How close the face of a seed comes to its nearest training images, and to what share of held-out ones."""
        _, found = studio.closest(seed, checkpoint=checkpoint)
        return {"distances": found.distances, "closer_than": found.closer_than}

    endpoint("real_vs_fake", grid_files)
    endpoint("nearest", closest_file)
    endpoint("likeness", likeness)


def _answer(reals: Reals) -> dict[str, Any]:
    pixels = reals.pixels
    shown = {"picture": None, "count": 0} if pixels is None else {"picture": _sheet(pixels), "count": len(pixels)}
    return {**shown, "checkpoint": reals.checkpoint, "note": reals.note}


def _sheet(pixels: Pixels) -> str:
    return data_url(encoded(grid(pixels)), "image/png")


def _remove(path: str | None) -> None:
    if path:
        Path(path).unlink(missing_ok=True)
