"""Interpolate: the way through a few faces, scrubbed in the browser, and as a file."""

import gradio as gr

from dcgan.demo.studio import Studio
from dcgan.demo.tabs import of_checkpoint, served, spoken
from dcgan.pictures import encoded, grid


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    of_checkpoint("interpolator(element, props.value, engine)", studio, checkpoint)

    def strip_file(
        seeds: list[int] | None = None, path: str = "spherical", frames: int = 9, checkpoint: str = ""
    ) -> gr.FileData:
        """The faces on the way through two to eight seeds side by side, as a PNG. `path` is "spherical" or "linear"."""
        faces = studio.path([0, 1] if seeds is None else seeds, path, frames, checkpoint)
        return served(encoded(grid(faces, len(faces))), "faces.png")

    def animation_file(
        seeds: list[int] | None = None,
        path: str = "spherical",
        frames: int = 32,
        format: str = "gif",
        seconds: float = 4.0,
        loop: bool = False,
        checkpoint: str = "",
    ) -> gr.FileData:
        """The way through two to eight seeds and back, or, with `loop`, on to the first, as "gif", "webp" or "mp4"."""
        faces = studio.path([0, 1] if seeds is None else seeds, path, frames, checkpoint, loop)
        return served(studio.animation(faces, format, seconds, loop), f"faces.{format}")

    gr.api(spoken(strip_file), api_name="interpolate")
    gr.api(spoken(animation_file), api_name="interpolate_file")
