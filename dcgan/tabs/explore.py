"""Explore: a large face, its seed, and sliders for what it is made of."""

from dataclasses import asdict
from typing import Any

import gradio as gr

from dcgan.pictures import encoded
from dcgan.studio import Studio
from dcgan.tabs import component, either_engine, served, spoken


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    explorer = component(
        f"explorer(element, props.value, {either_engine()}, (name) => trigger('checkpoint', {{ name }}))",
        studio.summary(),
    )
    checkpoint.change(
        spoken(studio.summary), checkpoint, explorer, queue=False, show_progress="hidden", api_visibility="private"
    )

    # A link that someone followed may lead to another checkpoint.
    def follow(event: gr.EventData) -> str | dict[str, Any]:
        return event.name if event.name in studio.names else gr.skip()

    explorer.checkpoint(follow, None, checkpoint, queue=False, show_progress="hidden", api_visibility="private")

    def face_file(
        seed: int = 0,
        truncation: float = 1.0,
        edits: dict[str, float] | None = None,
        checkpoint: str = "",
        directions: dict[str, float] | None = None,
        walk: list[int] | None = None,
        origin: list[float] | None = None,
        shift: list[float] | None = None,
        moment: int | None = None,
    ) -> gr.FileData:
        """The face of a seed, as a PNG. `edits` sets dimensions of its latent: {"12": 1.5}.

        `directions` moves it along named ones: {"age": 2}. `walk` goes from neighbour to neighbour: [3, 12].
        `origin` is a whole latent in the seed's place, such as /find answers, `shift` one that is added. `moment` shows
        it as it was after so many images, where the checkpoint keeps generators of its training.
        """
        face = studio.face(
            seed,
            checkpoint,
            moment,
            truncation=truncation,
            edits=edits,
            directions=directions,
            walk=walk,
            origin=origin,
            shift=shift,
        )
        return served(encoded(face), f"face-{seed}.png")

    def opinion(
        seed: int = 0,
        truncation: float = 1.0,
        edits: dict[str, float] | None = None,
        checkpoint: str = "",
        directions: dict[str, float] | None = None,
        walk: list[int] | None = None,
        origin: list[float] | None = None,
        shift: list[float] | None = None,
        moment: int | None = None,
    ) -> dict[str, Any]:
        """What the discriminator thinks of a face: {"realer_than": 0 to 1, "among": "reals" or "fakes"}."""
        found = studio.opinion(
            checkpoint,
            seed=seed,
            truncation=truncation,
            edits=edits,
            directions=directions,
            walk=walk,
            origin=origin,
            shift=shift,
            moment=moment,
        )
        return asdict(found) if found else {}

    gr.api(spoken(face_file), api_name="face")
    gr.api(studio.random_seed, api_name="random_seed")
    gr.api(spoken(opinion), api_name="opinion")
