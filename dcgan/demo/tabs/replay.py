"""Training replay: the fixed-noise faces as they came to be, beside the curves of that time."""

from typing import Any

import gradio as gr

from dcgan.demo import checkpoints
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PUBLIC, as_event, of_checkpoint, served
from dcgan.demo.tabs.drawing import drawing


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and its endpoints /replay and /replay_frame."""
    of_checkpoint("replay", studio, checkpoint, drawing(studio))

    def course(checkpoint: str = "") -> dict[str, Any]:
        """The course of the training: the images seen at each frame, and the curves of losses and beliefs."""
        return checkpoints.replay(studio.checkpoints.get(checkpoint))

    def frame_file(index: int = 0, checkpoint: str = "") -> gr.FileData:
        """One frame of the replay, as a WebP of 8 x 8 faces."""
        return served(checkpoints.snapshot(studio.checkpoints.get(checkpoint), index), f"frame-{index:.0f}.webp")

    gr.api(as_event(course), api_name="replay", **PUBLIC)
    gr.api(as_event(frame_file), api_name="replay_frame", **PUBLIC)
