"""The files that a page fetches, in the demo and in the static page: scripts, and what draws the faces of checkpoints.

    *.js, *.css, kernel.wasm, ko.json
    0/checkpoint.json           {"summary", "directions": {name: vector}, "replay"}; as demo/checkpoints.py makes them
    0/generator.safetensors     the weights, as weights.py describes them
    0/discriminator.safetensors the same of the discriminator, where there is one
    0/moments/2016.safetensors  the same of an earlier moment, by the images seen; the demo has these
    0/snapshots/0.webp, ...     the frames of the replay
    1/...                       the second checkpoint, in the order of `Checkpoints.names`

The static page's checkpoint.json also has "ranking", "signal" and "rivals", which the demo's server measures after its
start, and "reals" where there is a 0/reals.webp.
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from dcgan.checkpoint import Checkpoint, CheckpointError
from dcgan.course import thin_snapshots
from dcgan.demo.checkpoints import Checkpoints, first_seeds, moments, replay
from dcgan.demo.explorer import EXPLORER
from dcgan.demo.explorer.weights import browser_weights
from dcgan.files import replacing
from dcgan.pictures import data_url, encoded
from dcgan.sampling import sample

# What explore.js imports: fetched with it and not after it.
IMPORTED = (
    *("address", "engine", "enlarge", "inside", "latents", "opinion", "own_sliders"),
    *("painter", "parts", "provenance", "server", "sliders"),
)


def first_faces(checkpoint: Checkpoint) -> dict[str, str]:
    """The faces to begin with, {seed: a WebP as a data URL}: they come with the page, before anything else is there."""
    seeds = first_seeds(checkpoint)
    faces = zip(seeds, sample(checkpoint.generator, seeds).numpy(), strict=True)
    return {str(seed): data_url(encoded(face, "webp"), "image/webp") for seed, face in faces}


def preloads(address: str) -> str:
    """The lines of HTML that have the scripts of Explore fetched at once; the first says where all scripts lie."""
    scripts = [f'<link rel="modulepreload" href="{address}/{name}.js">' for name in IMPORTED]
    return "".join([f'<link id="explorer" rel="modulepreload" href="{address}/explore.js">', *scripts])


def page_head(address: str) -> str:
    """The lines of HTML with which a Gradio page finds the files, relative to its own address."""
    styles = [f'<link rel="stylesheet" href="{address}/{name}.css">' for name in ("page", "explorer")]
    return "".join([*styles, preloads(address)])


def write_page(folder: Path, checkpoints: Checkpoints, **more: Any) -> None:
    """Write a page's files into an existing folder. `more`: as in `write_checkpoint`, for each checkpoint."""
    for pattern in ("*.js", "*.css", "kernel.wasm", "ko.json"):
        for file in EXPLORER.glob(pattern):
            shutil.copyfile(file, folder / file.name)
    for i, name in enumerate(checkpoints.names):
        write_checkpoint(folder / str(i), checkpoints, name, **more)


def write_checkpoint(
    folder: Path, checkpoints: Checkpoints, name: str, max_snapshots: int = 1000, known: dict[str, Any] | None = None
) -> None:
    """Write a checkpoint's files into a new folder.

    max_snapshots: of more than these a selection is written. known: more entries of checkpoint.json.
    """
    checkpoint = checkpoints.get(name)
    snapshots = thin_snapshots(checkpoint.snapshots, max_snapshots)
    (folder / "snapshots").mkdir(parents=True)
    with suppress(CheckpointError):
        (folder / "discriminator.safetensors").write_bytes(browser_weights(checkpoint.discriminator))
    about = {
        "summary": {**checkpoints.summary(name), "discriminator": (folder / "discriminator.safetensors").exists()},
        "directions": {d.name: d.vector.tolist() for d in checkpoint.directions},
        "replay": {**replay(checkpoint), "frames": [snapshot.images_seen for snapshot in snapshots]},
        **(known or {}),
    }
    (folder / "checkpoint.json").write_text(json.dumps(about, allow_nan=False), encoding="utf-8")
    (folder / "generator.safetensors").write_bytes(browser_weights(checkpoint.generator))
    for i, snapshot in enumerate(snapshots):
        shutil.copyfile(snapshot.path, folder / "snapshots" / f"{i}.webp")


def write_moments(folder: Path, checkpoints: Checkpoints) -> None:
    """Write the weights of all earlier moments into a page's folder; until they are there, a fetch of them fails.

    Ends early when the folder is removed, as it is when the demo ends.
    """
    with suppress(FileNotFoundError):
        for i, name in enumerate(checkpoints.names):
            if not folder.is_dir():
                return
            with replacing(folder / str(i) / "moments") as written:
                for moment in moments(checkpoints.get(name)):
                    weights = browser_weights(checkpoints.generator(name, moment))
                    (written / f"{moment}.safetensors").write_bytes(weights)
