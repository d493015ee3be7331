"""The model card: the README.md of a checkpoint folder."""

from typing import Any

from dcgan.checkpoint import origins
from dcgan.data.crop import CROPS

NO_TERMS = "not stated; the rights in the images stay with their owners"

FIGURES = {  # titles of the fields of dcgan.metrics.quality.Quality, and which values are better
    "ffd": ("Fréchet distance of face features", "lower"),
    "fd": ("Fréchet distance of random features", "lower"),
    "swd": ("sliced Wasserstein distance x 1000", "lower"),
    "precision": ("precision", "higher"),
    "recall": ("recall", "higher"),
    "density": ("density", "higher"),
    "coverage": ("coverage", "higher"),
}


def model_card(config: dict[str, Any]) -> str:
    """The text of the card, from the content of config.json."""
    model, train, data, seen = config["model"], config["train"], config["data"], config["images_seen"]
    licence = data.get("license") or NO_TERMS
    tweaks = [f"batch {train['batch_size']}", f"lr {train['lr']:g}", f"{train['loss']} loss"]
    tweaks += [f"{name.upper()} {train[name]:g}" for name in ("r1", "r2") if train[name]]
    if train["augment"]:
        how = " where D overfits" if train["adapt"] else ""
        tweaks.append(f"augmented by {', '.join(name.strip() for name in train['augment'].split(','))}{how}")
    if train["decay"]:
        tweaks.append(f"learning rates falling to a tenth over the last {train['decay']:,} images")
    if train["ema"]:
        tweaks.append(f"generator averaged with a half-life of {train['ema']:,} images")
    limits = data.get("limits") or (
        "What is rare among the training images it draws badly or not at all, and what is common too often: look at "
        "the grid above, and compare it with the people or things that you mean to show"
    )
    return f"""---
library_name: dcgan
pipeline_tag: unconditional-image-generation
tags: [dcgan, gan, faces]
---
# {config["name"]}

A DCGAN that draws {model["image_size"]} x {model["image_size"]} pictures, after {seen:,} images seen.

![seeds 0 to 63, not hand-picked](snapshots/{seen:010d}.webp)

- **Data:** {data["name"]}, {data["count"]:,} training images ({heldout(data)}).
- **Terms of the data:** {licence}.
{began(config)}- **Recipe:** `--recipe {train["recipe"]}`: {", ".join(tweaks)}.

## For whom

For looking, teaching and play. It draws pictures of nobody, and none of them is evidence of anything. Not for
identities, for documents or for judging people by their faces.

**What it does badly:** {limits}.
Pictures are {model["image_size"]} pixels wide; hands, text, hats and other rare things come out as blots.

{figures(config)}## Use

```python
from dcgan import load_checkpoint, sample

images = sample(load_checkpoint("PATH").generator, seeds=range(64))  # uint8 [64, H, W, {model["nc"]}]
```
"""


def heldout(data: dict[str, Any]) -> str:
    """How many images were never trained on; earlier versions did not write it down."""
    if data.get("heldout") is None:
        return "about a tenth more is held out and was never trained on"
    return f"{data['heldout']:,} more held out, never trained on" if data["heldout"] else "none held out"


def began(config: dict[str, Any]) -> str:
    """A line for each checkpoint that the training began from, with the terms of its data, which hold too."""
    lines = [
        f"- **Began from:** {init['name']}, after {init['images_seen']:,} images of {init['data'].get('name') or '?'}. "
        f"Terms of these, which hold too: {init['data'].get('license') or NO_TERMS}."
        for init in origins(config)
    ]
    return "".join(" ".join(line.split()) + "\n" for line in lines)  # others' words make no further lines


def figures(config: dict[str, Any]) -> str:
    """The section on quality; empty if nothing was measured."""
    metrics, floor = config["metrics"], config["floor"]
    if not metrics:
        return ""
    lines = [
        f"| {title} ({better} is better) | {metrics[name]:.3g} | {floor.get(name, float('nan')):.3g} |"
        for name, (title, better) in FIGURES.items()
        if name in metrics
    ]
    against = floor.get("against", "held-out")
    known = {"held-out": "held-out images", "training": "training images"}
    images = known.get(against, "images, training images among them")
    samples = f"{floor['n']:,} samples against as many {images}" if "n" in floor else "samples against real images"
    others = "other real training images" if against == "training" else "real training images"
    return f"""## How good it is

| {samples} | this generator | {others} instead |
|---|---|---|
{chr(10).join(lines)}

The right column is what a perfect generator would get. Crop: {CROPS[config["data"].get("crop") or "centre"]}; resizer:
Pillow's antialiased bilinear filter. `python -m dcgan evaluate` measures more.

"""
