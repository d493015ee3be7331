"""Explore: a large face, its seed, and sliders for what it is made of."""

from typing import Any

import gradio as gr

from dcgan.studio import Studio, encoded
from dcgan.tabs import answer, base64_text, component, served, spoken


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    @answer
    def latent(checkpoint: str, seed: int) -> dict[str, Any]:
        return {"z": [round(value, 4) for value in studio.latent(seed, checkpoint)]}

    @answer
    def ranking(checkpoint: str) -> dict[str, Any]:
        return {"ranking": studio.ranking(checkpoint)}

    @answer
    def face(checkpoint: str, seed: int, truncation: float, edits: dict[str, float]) -> dict[str, Any]:
        return {"png": base64_text(encoded(studio.face(seed, truncation, edits, checkpoint)))}

    explorer = component(
        "explorer.js",
        "explorer(element, props.value, serverEngine(server), (name) => trigger('checkpoint', { name }))",
        studio.summary(),
        [latent, ranking, face],
    )
    checkpoint.change(
        spoken(studio.summary), checkpoint, explorer, queue=False, show_progress="hidden", api_visibility="private"
    )

    # A link that someone followed may lead to another checkpoint.
    def follow(event: gr.EventData) -> str | dict[str, Any]:
        return event.name if event.name in studio.names else gr.skip()

    explorer.checkpoint(follow, None, checkpoint, queue=False, show_progress="hidden", api_visibility="private")

    def face_file(
        seed: int = 0, truncation: float = 1.0, edits: dict[str, float] | None = None, checkpoint: str = ""
    ) -> gr.FileData:
        """The face of a seed, as a PNG. `edits` sets dimensions of its latent: {"12": 1.5}."""
        return served(encoded(studio.face(seed, truncation, edits, checkpoint)), f"face-{seed}.png")

    gr.api(spoken(face_file), api_name="face")
    gr.api(studio.random_seed, api_name="random_seed")
