"""Real vs fake: what a checkpoint learned from, beside what it makes up."""

from typing import Any

import gradio as gr

from dcgan.studio import MAX_SHUFFLE, Studio, picture
from dcgan.tabs import spoken


def build(studio: Studio, checkpoint: gr.Dropdown, tab: gr.Tab) -> None:
    with gr.Row(elem_classes="shuffle"):
        note = gr.Markdown(elem_classes="note")
        shuffle = gr.Number(0, label="Shuffle number", precision=0, minimum=0, maximum=MAX_SHUFFLE, container=False)
        again = gr.Button("Shuffle", variant="primary")
    with gr.Row(elem_classes="grids"):
        real = _grid("Real", "64 real images in a grid")
        fake = _grid("Fake", "64 generated faces in a grid")

    def real_vs_fake(shuffle: int, checkpoint: str) -> tuple[Any, Any, str]:
        """64 real images beside 64 fakes of the seeds from 64 * shuffle on, and a sentence that says what they are."""
        pair = studio.real_vs_fake(shuffle, checkpoint)
        return None if pair.real is None else picture(pair.real), picture(pair.fake), pair.note

    gr.on(
        [tab.select, shuffle.change, checkpoint.change],
        spoken(real_vs_fake),
        [shuffle, checkpoint],
        [real, fake, note],
        api_name="real_vs_fake",
        show_progress="minimal",
        trigger_mode="always_last",
    )
    # The number is the visitor's own; the server keeps nothing.
    again.click(None, None, shuffle, js=f"() => Math.floor(Math.random() * {MAX_SHUFFLE + 1})")


def _grid(title: str, alt: str) -> gr.Image:
    with gr.Column(min_width=280, elem_classes="grid"):
        gr.Markdown(f"### {title}")
        return gr.Image(
            label=title,
            alt_text=alt,
            format="png",
            interactive=False,
            show_label=False,
            container=False,
            buttons=[],
            elem_classes="faces",
        )
