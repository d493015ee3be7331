"""About: what a GAN is, the checkpoint's model card, and how to train one's own."""

import gradio as gr

from dcgan.demo.checkpoints import card
from dcgan.demo.explorer.card import in_korean
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PRIVATE, endpoint, refusals, sent, translated, words
from dcgan.demo.tabs.component import component

YOUR_OWN = """## Train your own
```sh
pip install -r requirements.txt
python train.py --dataroot my_photos --out runs/mine    # a folder or a zip; hours on a CPU, minutes on a GPU
python app.py --checkpoints runs/mine                   # this page, with your faces
```"""


def build(studio: Studio, checkpoint: gr.Dropdown) -> None:
    """Build the tab and the endpoint /model_card."""

    def model_card(checkpoint: str = "") -> str:
        """The model card of a checkpoint, in Markdown."""
        return card(studio.checkpoints.get(checkpoint))

    def shown_card(event: gr.EventData) -> str:
        text = model_card(sent(event, "checkpoint"))
        return in_korean(text) if sent(event, "language") == "ko" else text

    view = component("about", studio, checkpoint, events=["card"])
    gr.Markdown(words(YOUR_OWN))
    shown = gr.Markdown(model_card())
    view.card(refusals(translated)(shown_card), None, shown, **PRIVATE)
    endpoint("model_card", model_card)
