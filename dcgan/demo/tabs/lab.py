"""Lab: a slider of one's own from a few faces, and sums of faces."""

import gradio as gr

from dcgan.demo.studio import Studio
from dcgan.demo.tabs import endpoint
from dcgan.demo.tabs.component import component


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and its endpoints /slider and /arithmetic."""
    component("lab", studio, checkpoint)
    endpoint("slider", studio.slider)
    endpoint("arithmetic", studio.arithmetic)
