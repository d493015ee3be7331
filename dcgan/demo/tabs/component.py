"""Components of our own: JavaScript modules of the explorer inside Gradio's page."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from dcgan.demo.studio import Studio
from dcgan.demo.tabs.drawing import drawing


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
    name, ...}, an object of the server functions and of those of drawing.py, and a function that triggers one of
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
