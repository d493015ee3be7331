"""The server's part of the page's engine (explorer/engine.js): server functions of every component that draws faces."""

from collections.abc import Callable
from typing import Any

import torch

from dcgan.demo import requests
from dcgan.demo.studio import Studio, drawn
from dcgan.demo.tabs import answering
from dcgan.pictures import data_url, encoded, grid

MAX_LATENTS = 64
MAX_VALUE = 1000.0  # of a latent: sums of what a visitor may set are far below


def drawing(studio: Studio) -> list[Callable[..., Any]]:
    """The server functions draw, rivals, ranking and signal. `checkpoint` is a name, `moment` images seen or None."""

    @answering
    def draw(latents: list[list[float]], checkpoint: str = "", moment: int | None = None) -> dict[str, str]:
        """The faces of 1 to 64 latents side by side, {"picture": a PNG as a data URL}."""
        if not isinstance(latents, list) or not 1 <= len(latents) <= MAX_LATENTS:
            raise ValueError(f"latents must be a list of 1 to {MAX_LATENTS}")
        nz = studio.checkpoints.get(checkpoint).model.nz
        z = torch.stack([requests.latent(values, "latent", nz, MAX_VALUE) for values in latents])
        pixels = drawn(studio.checkpoints.generator(checkpoint, moment), z)
        return {"picture": data_url(encoded(grid(pixels, len(pixels))), "image/png")}

    @answering
    def rivals(checkpoint: str = "") -> dict[str, Any]:
        """The discriminator's logits of pictures among which a page ranks a face, and what they are."""
        found = studio.rivals(checkpoint)
        return {"logits": found[0].tolist(), "among": found[1]} if found else {}

    return [draw, rivals, answering(studio.ranking), answering(studio.signal)]
