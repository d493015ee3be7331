"""What every tab shows: a line that describes the checkpoint, and an address that leads to tab, checkpoint, face."""

from typing import Any

import gradio as gr

from dcgan.demo.checkpoints import about
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PRIVATE, PUBLIC, as_event, of_checkpoint
from dcgan.demo.tabs.drawing import drawing


def build(studio: Studio, checkpoint: gr.Dropdown, tabs: gr.Tabs, panels: dict[str, gr.Tab]) -> None:
    """Build it, and the endpoints /about and /checkpoints. panels: the tabs by their ids."""
    view = of_checkpoint("shell", studio, checkpoint, drawing(studio), events=["tab", "checkpoint"])

    def show_tab(event: gr.EventData) -> Any:
        return gr.Tabs(selected=event.id) if event.id in panels else gr.skip()

    def show_checkpoint(event: gr.EventData) -> Any:
        return event.name if event.name in studio.checkpoints.names else gr.skip()

    view.tab(show_tab, None, tabs, **PRIVATE)
    view.checkpoint(show_checkpoint, None, checkpoint, **PRIVATE)
    for id, panel in panels.items():
        panel.select(None, None, None, js=f'() => dispatchEvent(new CustomEvent("tab-shown", {{ detail: "{id}" }}))')

    def in_words(checkpoint: str = "") -> str:
        """A checkpoint in words: size, data set, images seen, licence."""
        return about(studio.checkpoints.get(checkpoint))

    gr.api(as_event(in_words), api_name="about", **PUBLIC)
    gr.api(studio.checkpoints.figures, api_name="checkpoints", **PUBLIC)
