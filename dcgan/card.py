"""The model card: the README.md of a checkpoint folder."""

from typing import Any


def model_card(config: dict[str, Any]) -> str:
    """The card's text for a config.json's content."""
    model, train, data, seen = config["model"], config["train"], config["data"], config["images_seen"]
    licence = data.get("license") or "not stated; the rights in the images stay with their owners"
    tweaks = [f"batch {train['batch_size']}", f"lr {train['lr']:g}", f"{train['loss']} loss"]
    if train["augment"]:
        tweaks.append(f"augmented by {train['augment'].replace(',', ', ')}")
    if train["ema"]:
        tweaks.append(f"generator averaged with a half-life of {train['ema']:,} images")
    return f"""---
library_name: dcgan
pipeline_tag: unconditional-image-generation
tags: [dcgan, gan, faces]
---
# {config["name"]}

A DCGAN that draws {model["image_size"]} x {model["image_size"]} pictures, after {seen:,} images seen.

![seeds 0 to 63, not hand-picked](snapshots/{seen:010d}.webp)

- **Data:** {data["name"]}, {data["count"]:,} training images (a tenth more is held out and was never trained on).
- **Terms of the data:** {licence}.
- **Recipe:** `--recipe {train["recipe"]}`: {", ".join(tweaks)}.

```python
from dcgan import load_checkpoint, sample

images = sample(load_checkpoint("PATH").generator, seeds=range(64))  # uint8 [64, H, W, {model["nc"]}]
```
"""
