"""Lab: a slider of one's own from a few faces, and sums of faces."""

import gradio as gr

from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PUBLIC, as_event, of_checkpoint
from dcgan.demo.tabs.drawing import drawing


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and its endpoints /slider and /arithmetic."""
    of_checkpoint("lab", studio, checkpoint, drawing(studio))

    def own_slider(having: list[int] | None = None, lacking: list[int] | None = None, checkpoint: str = "") -> list:
        """A direction from the seeds of faces that have a trait and of faces that lack it: `shift` of /face is a
        multiple of it, -3 to 3."""
        return studio.slider(having or [], lacking or [], checkpoint)

    def sum_of_faces(
        start: list[int] | None = None,
        minus: list[int] | None = None,
        plus: list[int] | None = None,
        checkpoint: str = "",
    ) -> list:
        """The mean of some seeds' latents, less a mean, and a mean added: a latent, as `origin` of /face."""
        return studio.arithmetic(start or [], minus or [], plus or [], checkpoint)

    gr.api(as_event(own_slider), api_name="slider", **PUBLIC)
    gr.api(as_event(sum_of_faces), api_name="arithmetic", **PUBLIC)
