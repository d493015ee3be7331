"""About: what a GAN is, the checkpoint's model card, and how to train one's own."""

import gradio as gr

from dcgan.demo.checkpoints import card
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import PRIVATE, endpoint, refusals, words
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

    component("about", studio, checkpoint)
    gr.Markdown(words(YOUR_OWN))
    shown = gr.Markdown(model_card())
    checkpoint.change(refusals()(model_card), checkpoint, shown, preprocess=False, api_name="shown_card", **PRIVATE)
    endpoint("model_card", model_card)
