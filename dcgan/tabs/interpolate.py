"""Interpolate: the way from one face to another, as a strip, a loop and a file."""

from typing import Any

import gradio as gr

from dcgan.studio import Studio, encoded, grid
from dcgan.tabs import answer, base64_text, component, served, spoken

COLUMNS = 8  # of the sheet that holds all frames


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    @answer
    def path(checkpoint: str, a: int, b: int, kind: str, frames: int) -> dict[str, Any]:
        sheet = grid(studio.path(a, b, kind, frames, checkpoint), COLUMNS)
        return {"jpeg": base64_text(encoded(sheet, "jpeg")), "columns": COLUMNS, "count": frames}

    @answer
    def animation(
        checkpoint: str, a: int, b: int, kind: str, frames: int, format: str, seconds: float
    ) -> dict[str, Any]:
        faces = studio.path(a, b, kind, frames, checkpoint)
        return {"file": base64_text(studio.animation(faces, format, seconds))}

    player = component(
        "interpolate.js",
        "interpolator(element, props.value, serverEngine(server))",
        studio.summary(),
        [path, animation],
    )
    checkpoint.change(
        spoken(studio.summary), checkpoint, player, queue=False, show_progress="hidden", api_visibility="private"
    )

    def strip_file(
        seed_a: int = 0, seed_b: int = 1, path: str = "spherical", frames: int = 9, checkpoint: str = ""
    ) -> gr.FileData:
        """The faces from seed A to seed B side by side, as a PNG. `path` is "spherical" or "linear"."""
        faces = studio.path(seed_a, seed_b, path, frames, checkpoint)
        return served(encoded(grid(faces, len(faces))), f"faces-{seed_a}-to-{seed_b}.png")

    def animation_file(
        seed_a: int = 0,
        seed_b: int = 1,
        path: str = "spherical",
        frames: int = 32,
        format: str = "gif",
        seconds: float = 4.0,
        checkpoint: str = "",
    ) -> gr.FileData:
        """A loop from seed A to seed B and back. `format` is "gif" or "webp"."""
        faces = studio.path(seed_a, seed_b, path, frames, checkpoint)
        return served(studio.animation(faces, format, seconds), f"faces-{seed_a}-to-{seed_b}.{format}")

    gr.api(spoken(strip_file), api_name="interpolate")
    gr.api(spoken(animation_file), api_name="interpolate_file")
