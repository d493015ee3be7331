"""Components of our own: JavaScript modules of the explorer inside Gradio's page, and what their engine asks for."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
import torch

from dcgan.demo import requests
from dcgan.demo.studio import Studio, drawn
from dcgan.demo.tabs import answering
from dcgan.pictures import data_url, encoded, grid

MAX_LATENTS = 64
MAX_VALUE = 1000.0  # of a latent: sums of what a visitor may set are far below


def component(
    name: str,
    studio: Studio,
    checkpoint: gr.Dropdown,
    server_functions: Sequence[Callable[..., Any]] = (),
    events: Sequence[str] = (),
    **value: Any,
) -> gr.HTML:
    """The module explorer/NAME.js as a component.

    It lies beside what the page's link with the id "explorer" names, relative to the demo: to the page or, in a page
    that embeds the demo as <gradio-app src=...>, to that address.

    The module exports `mount(element, gradio)`, where gradio is {value, server, trigger}: the value {"checkpoint": the
    name, ...}, an object of the server functions and of those of `drawing`, and a function that triggers one of
    `events` with its data. It returns, or promises, an object whose `open({checkpoint})` takes each one that is chosen
    later. Server functions are made by `answering`; in JavaScript `asking` in server.js wraps them, so that what they
    refuse is an Error.
    """
    script = f"""
const embedded = element.closest("gradio-app")?.getAttribute("src");
const demo = embedded ? embedded.replace(/[/]?$/, "/") : document.baseURI;
const module = new URL("{name}.js", new URL(document.getElementById("explorer").getAttribute("href"), demo));
const gradio = {{ value: props.value, trigger, server }};
// Gradio looks here for the events: {", ".join(f'"{event}"' for event in events)}
const mounted = import(module).then(({{ mount }}) => mount(element, gradio));
mounted.catch((error) => (element.textContent = error.message));
watch("value", () => mounted.then((shown) => shown.open(props.value)));
"""
    view = gr.HTML(
        {"checkpoint": studio.checkpoints.names[0], **value},
        html_template="",
        js_on_load=script,
        apply_default_css=False,
        server_functions=[*drawing(studio), *server_functions],
    )
    checkpoint.change(None, checkpoint, view, js="(name) => ({ checkpoint: name })")
    return view


def drawing(studio: Studio) -> list[Callable[..., Any]]:
    """What explorer/engine.js asks the server for, of every component: draw, rivals, ranking and signal.

    `checkpoint` is a name, `moment` images seen or None.
    """

    @answering
    def draw(latents: list[list[float]], checkpoint: str = "", moment: int | None = None) -> dict[str, str]:
        """The faces of 1 to 64 latents side by side, {"picture": a PNG as a data URL}."""
        if not isinstance(latents, list) or not 1 <= len(latents) <= MAX_LATENTS:
            raise ValueError(f"latents must be a list of 1 to {MAX_LATENTS}")
        nz = studio.checkpoints.get(checkpoint).model.nz
        z = torch.stack([requests.latent(values, "latent", nz, MAX_VALUE) for values in latents])
        pixels = drawn(studio.checkpoints.generator(checkpoint, moment), z)
        return {"picture": data_url(encoded(grid(pixels, len(pixels))), "image/png")}

    @answering
    def rivals(checkpoint: str = "") -> dict[str, Any]:
        """The discriminator's logits of pictures among which a page ranks a face, and what they are."""
        found = studio.rivals(checkpoint)
        return {"logits": found[0].tolist(), "among": found[1]} if found else {}

    return [draw, rivals, answering(studio.ranking), answering(studio.signal)]
