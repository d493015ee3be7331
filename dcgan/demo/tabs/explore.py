"""Explore: a large face, its seed, and sliders for what it is made of."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import gradio as gr

from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PRIVATE, of_checkpoint, served, spoken
from dcgan.pictures import encoded


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    explorer = of_checkpoint("ahead.settle(element, (name) => trigger('checkpoint', { name }))", studio, checkpoint)

    # A link that someone followed may lead to another checkpoint.
    def follow(event: gr.EventData) -> str | dict[str, Any]:
        return event.name if event.name in studio.shelf.names else gr.skip()

    explorer.checkpoint(follow, None, checkpoint, **PRIVATE)

    def face_file(face: dict[str, Any]) -> gr.FileData:
        """The face of a seed, as a PNG. `edits` sets dimensions of its latent: {"12": 1.5}.

        `directions` moves it along named ones: {"age": 2}. `walk` goes from neighbour to neighbour: [3, 12].
        `origin` is a whole latent in the seed's place, such as /find answers, `shift` one that is added. `moment` shows
        it as it was after so many images, where the checkpoint keeps generators of its training.
        """
        return served(encoded(studio.face(**face)), f"face-{face['seed']:.0f}.png")

    def opinion(face: dict[str, Any]) -> dict[str, Any]:
        """What the discriminator thinks of a face: {"realer_than": 0 to 1, "among": "reals" or "fakes"}."""
        found = studio.opinion(**face)
        return asdict(found) if found else {}

    gr.api(spoken(of_a_face(face_file)), api_name="face")
    gr.api(studio.random_seed, api_name="random_seed")
    gr.api(spoken(of_a_face(opinion)), api_name="opinion")


def of_a_face(function: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """The function of what makes a face, with the parameters that a client sees."""

    def endpoint(
        seed: int = 0,
        truncation: float = 1.0,
        edits: dict[str, float] | None = None,
        checkpoint: str = "",
        directions: dict[str, float] | None = None,
        walk: list[int] | None = None,
        origin: list[float] | None = None,
        shift: list[float] | None = None,
        moment: int | None = None,
    ) -> Any:
        face: dict[str, Any] = {"seed": seed, "truncation": truncation, "edits": edits, "checkpoint": checkpoint}
        face |= {"directions": directions, "walk": walk, "origin": origin, "shift": shift, "moment": moment}
        return function(face)

    endpoint.__name__, endpoint.__doc__ = function.__name__, function.__doc__
    endpoint.__annotations__["return"] = function.__annotations__["return"]
    return endpoint
