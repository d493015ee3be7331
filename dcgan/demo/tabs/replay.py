"""Training replay: the fixed-noise faces as they came to be, beside the curves of that time."""

from typing import Any

import gradio as gr

from dcgan.demo import checkpoints
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import endpoint, served
from dcgan.demo.tabs.component import component


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and its endpoints /replay and /replay_frame."""
    component("replay", studio, checkpoint)

    def course(checkpoint: str = "") -> dict[str, Any]:
        """The course of the training: the images seen at each frame, and the curves of losses and beliefs."""
        return checkpoints.replay(studio.checkpoints.get(checkpoint))

    def frame_file(index: int = 0, checkpoint: str = "") -> gr.FileData:
        """One frame of the replay, as a WebP of 8 x 8 faces."""
        return served(checkpoints.snapshot(studio.checkpoints.get(checkpoint), index), f"frame-{index:.0f}.webp")

    endpoint("replay", course)
    endpoint("replay_frame", frame_file)
