"""Explore: a large face, its seed, and sliders for what it is made of."""

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import gradio as gr

from dcgan.demo import requests
from dcgan.demo.explorer.files import first_faces
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import endpoint, marks, served
from dcgan.demo.tabs.component import component
from dcgan.pictures import encoded


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and its endpoints /face, /random_seed and /opinion."""

    def opinion(**face: Any) -> dict[str, Any]:
        """The discriminator's opinion of a face: {"realer_than": 0 to 1, "among": "reals" or "fakes"}, or {}."""
        found = studio.opinion(**face)
        return asdict(found) if found else {}

    faces, space = first_faces(studio.checkpoints.get()), os.environ.get("SPACE_ID")
    component("explore", studio, checkpoint, faces=faces, space=space)

    def face_file(**face: Any) -> gr.FileData:
        """The face of a seed, as a PNG. `edits` sets dimensions of its latent: {"12": 1.5}.

        `directions` moves it along named ones: {"age": 2}. `walk` goes from neighbour to neighbour: [3, 12].
        `origin` is a whole latent in the seed's place, such as /find answers, `shift` one that is added. `moment` shows
        it as it was after so many images, where the checkpoint keeps generators of its training.
        """
        name = f"face-{requests.seed(face['seed'])}.png"
        pixels = studio.face(**face)
        return served(encoded(pixels, xmp=marks(studio, **face)), name)

    endpoint("face", of_a_face(face_file))
    endpoint("random_seed", studio.random_seed)
    endpoint("opinion", of_a_face(opinion))


def of_a_face(function: Callable[..., Any]) -> Callable[..., Any]:
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
        return function(**face)

    endpoint.__name__, endpoint.__doc__ = function.__name__, function.__doc__
    endpoint.__annotations__["return"] = function.__annotations__["return"]
    return endpoint
