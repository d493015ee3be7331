"""Lab: a slider of one's own from a few faces, and sums of faces."""

from typing import Any

import gradio as gr

from dcgan.pictures import encoded, grid
from dcgan.studio import Studio
from dcgan.tabs import answer, base64_text, component, spoken

COLUMNS = 6


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    @answer
    def sheet(checkpoint: str, faces: list[Any], columns: int = COLUMNS) -> dict[str, Any]:
        return {"jpeg": base64_text(encoded(grid(studio.faces(faces, checkpoint), columns), "jpeg"))}

    @answer
    def slider(checkpoint: str, having: list[Any], lacking: list[Any]) -> dict[str, Any]:
        return {"vector": studio.slider(having, lacking, checkpoint)}

    @answer
    def arithmetic(checkpoint: str, start: list[Any], minus: list[Any], plus: list[Any]) -> dict[str, Any]:
        return {"origin": studio.arithmetic(start, minus, plus, checkpoint)}

    view = component(
        "lab.js", "lab(element, props.value, serverEngine(server))", studio.summary(), [sheet, slider, arithmetic]
    )
    checkpoint.change(
        spoken(studio.summary), checkpoint, view, queue=False, show_progress="hidden", api_visibility="private"
    )

    def own_slider(having: list[int] | None = None, lacking: list[int] | None = None, checkpoint: str = "") -> list:
        """A direction from the seeds of faces that have a trait and of faces that lack it: `shift` of /face is a
        multiple of it, -3 to 3."""
        return studio.slider(having or [], lacking or [], checkpoint)

    def sum_of_faces(
        start: list[int] | None = None,
        minus: list[int] | None = None,
        plus: list[int] | None = None,
        checkpoint: str = "",
    ) -> list:
        """The mean of some seeds' latents, less a mean, and a mean added: a latent, as `origin` of /face."""
        return studio.arithmetic(start or [], minus or [], plus or [], checkpoint)

    gr.api(spoken(own_slider), api_name="slider")
    gr.api(spoken(sum_of_faces), api_name="arithmetic")
