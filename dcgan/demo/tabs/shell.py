"""What every tab shows: a line about who draws, and an address that leads to tab, checkpoint, face."""

from typing import Any

import gradio as gr

from dcgan.demo.checkpoints import about
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PRIVATE, endpoint, sent
from dcgan.demo.tabs.component import component


def build(studio: Studio, checkpoint: gr.Dropdown, tabs: gr.Tabs, panels: dict[str, gr.Tab]) -> None:
    """Build it, and the endpoints /about and /checkpoints. panels: the tabs by their ids."""
    view = component("shell", studio, checkpoint, events=["tab", "checkpoint"])

    def show_tab(event: gr.EventData) -> Any:
        id = sent(event, "id")
        return gr.Tabs(selected=id) if id in panels else gr.skip()

    def show_checkpoint(event: gr.EventData) -> Any:
        name = sent(event, "name")
        return name if name in studio.checkpoints.names else gr.skip()

    view.tab(show_tab, None, tabs, **PRIVATE)
    view.checkpoint(show_checkpoint, None, checkpoint, **PRIVATE)
    for id, panel in panels.items():
        panel.select(None, None, None, js=f'() => dispatchEvent(new CustomEvent("tab-shown", {{ detail: "{id}" }}))')

    def in_words(checkpoint: str = "") -> str:
        """A checkpoint in words: size, data set, images seen, licence."""
        return about(studio.checkpoints.get(checkpoint))

    endpoint("about", in_words)
    endpoint("checkpoints", studio.checkpoints.figures)
