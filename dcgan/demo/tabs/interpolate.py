"""Interpolate: the path through a few faces, scrubbed in the browser, and as a file."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from dcgan import pictures
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import answering, endpoint, marks, served
from dcgan.demo.tabs.component import component
from dcgan.pictures import data_url, encoded, grid

TYPES = {"gif": "image/gif", "webp": "image/webp", "mp4": "video/mp4"}


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and its endpoints /interpolate and /interpolate_file."""

    @answering
    def animation(format: str, seconds: float, loop: bool, **path: Any) -> str:
        """An animation of `Studio.path`, as a data URL."""
        frames = studio.path(loop=loop, **path)
        first = path.get("faces", (0,))[0]
        made = marks(studio, path.get("checkpoint", ""), **(first if isinstance(first, dict) else {"seed": first}))
        return data_url(pictures.animation(frames, format, seconds, loop, made), TYPES[format])

    component("interpolate", studio, checkpoint, [animation])

    def strip_file(
        seeds: Sequence[int] = (0, 1), path: str = "spherical", frames: int = 9, checkpoint: str = ""
    ) -> gr.FileData:
        """The faces on the way through two to eight seeds side by side, as a PNG. `path` is "spherical" or "linear"."""
        faces = studio.path(seeds, path, frames, checkpoint)
        return served(encoded(grid(faces, len(faces)), xmp=marks(studio, checkpoint, seed=seeds[0])), "faces.png")

    def animation_file(
        seeds: Sequence[int] = (0, 1),
        path: str = "spherical",
        frames: int = 32,
        format: str = "gif",
        seconds: float = 4.0,
        loop: bool = False,
        checkpoint: str = "",
    ) -> gr.FileData:
        """The way through two to eight seeds and back, or, with `loop`, on to the first, as "gif", "webp" or "mp4"."""
        faces = studio.path(seeds, path, frames, checkpoint, loop)
        made = marks(studio, checkpoint, seed=seeds[0])
        return served(pictures.animation(faces, format, seconds, loop, made), f"faces.{format}")

    endpoint("interpolate", strip_file)
    endpoint("interpolate_file", animation_file)
