"""Make a page of plain files, for a static Space: the demo's components, with faces drawn by the visitor's browser."""

import argparse
import json
import shlex
import sys
from contextlib import suppress
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from huggingface_hub import SpaceCard, SpaceCardData
from markdown_it import MarkdownIt

from dcgan.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from dcgan.cli import guarded, new_folder, nonempty, user_path, user_source
from dcgan.data import load_images
from dcgan.data.sources import DrawnSource, is_drawn
from dcgan.demo.checkpoints import Checkpoints, about, card, fake_logits, ranking, signal
from dcgan.demo.explorer import EXPLORER
from dcgan.demo.explorer.card import in_korean
from dcgan.demo.explorer.files import first_faces, preloads, write_page
from dcgan.demo.explorer.weights import browser_weights
from dcgan.hub.command import repo_id, save_thumbnail, upload
from dcgan.hub.pull import local_folder
from dcgan.latent.arithmetic import response
from dcgan.metrics.quality import evenly
from dcgan.pictures import grid, picture

TITLE = "Faces from noise"
MAX_SNAPSHOTS = 60  # of 45 kB
MAX_REALS = 256  # of 3 kB
MAX_SIZE = 20_000_000  # bytes
ROOM = 1_000_000  # of these, for scripts, the card and a thumbnail
# Files of an older version that are deleted from a static Space.
PATTERNS = (
    *("index.html", "page.*", "*.js", "*.css", "ko.json", "kernel.wasm", "checkpoint.json", "generator.*", "ort*"),
    *("0/*", "snapshots/*", "README.md", "thumbnail.jpg"),
)


def write_static(
    folder: Path, source: str, title: str = TITLE, dataroot: str | None = None, space: str | None = None
) -> None:
    """Write the page of one checkpoint into an empty folder.

    space: owner/name of the Space that it will be, for the links that visitors copy.
    source: run, checkpoint folder, or owner/name[@revision] on the Hub. dataroot: folder, zip or Hub data set with real
    images to publish; by default the drawn faces for a checkpoint that was trained on them, and none for another.
    Raises CheckpointError or DataError.
    """
    checkpoint = load_checkpoint(local_folder(source))
    checkpoints = Checkpoints(checkpoint.folder)
    if checkpoints.broken:
        raise CheckpointError(checkpoints.broken[0])
    known: dict[str, Any] = {
        "ranking": ranking(checkpoint.generator),
        "signal": signal(response(checkpoint.generator)),
    }
    with suppress(CheckpointError):  # there is no discriminator
        known["rivals"] = {"logits": fake_logits(checkpoint).tolist(), "among": "fakes"}
    if dataroot or checkpoint.is_drawn:
        (folder / "0").mkdir()
        known["reals"] = write_reals(folder / "0" / "reals.webp", checkpoint, dataroot)
    write_page(folder, checkpoints, max_snapshots=MAX_SNAPSHOTS, known=known)
    write_moments(folder / "0", checkpoints)
    # A card may be anyone's: HTML in it is shown as text.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    cards = {"card": markdown.render(card(checkpoint)), "korean_card": markdown.render(in_korean(card(checkpoint)))}
    faces = escape(json.dumps(first_faces(checkpoint)))
    template = Template((EXPLORER / "static.html").read_text(encoding="utf-8"))
    page = template.substitute(cards, faces=faces, scripts=preloads("."), space=space or "")
    (folder / "index.html").write_text(page, encoding="utf-8")

    save_thumbnail(checkpoint, folder / "thumbnail.jpg")
    front = SpaceCardData(
        title=title,
        sdk="static",
        app_file="index.html",
        license="mit",
        emoji="🎭",
        colorFrom="indigo",
        colorTo="pink",
        short_description="A DCGAN that draws faces in your browser",
    )
    words = "Nobody you see here exists. A DCGAN draws them in your browser."
    text = f"---\n{front.to_yaml()}\n---\n\n# {title}\n\n{words}\n\n{about(checkpoint)}\n"
    SpaceCard(text).save(folder / "README.md")


def write_moments(folder: Path, checkpoints: Checkpoints) -> None:
    """Write generators of the time machine into a checkpoint's folder: as many as fit into a page, evenly spread."""
    about = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    all_moments = about["summary"]["moments"]
    each = (folder / "generator.safetensors").stat().st_size
    room = max(0, (MAX_SIZE - ROOM - size_of(folder)) // each)
    kept = [all_moments[i] for i in evenly(np.arange(len(all_moments)), room)]
    if len(kept) < len(all_moments):
        print(f"static: {len(kept)} of the time machine's {len(all_moments)} moments fit", file=sys.stderr)
    (folder / "moments").mkdir()
    for moment in kept:
        weights = browser_weights(checkpoints.generator(moment=moment))
        (folder / "moments" / f"{moment}.safetensors").write_bytes(weights)
    about["summary"]["moments"] = kept
    (folder / "checkpoint.json").write_text(json.dumps(about, allow_nan=False), encoding="utf-8")


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def write_reals(file: Path, checkpoint: Checkpoint, dataroot: str | None) -> dict[str, Any]:
    """Write a WebP of real images, eight in a row, and return how many they are and the sentence that says so.

    They are those at `dataroot`, or drawn faces. Raises DataError if there are none.
    """
    drawn, model = dataroot is None or is_drawn(dataroot), checkpoint.model
    source, limit = dataroot or DrawnSource(), MAX_REALS if drawn else None
    images = load_images(source, model.image_size, model.nc, limit=limit, crop=checkpoint.crop, every=checkpoint.every)
    chosen = images.batch(evenly(np.arange(len(images)), MAX_REALS))
    picture(grid(chosen.permute(0, 2, 3, 1).numpy())).save(file, quality=90)
    return {"count": len(chosen), "note": "Real: {count} drawn faces." if drawn else "Real: {count} photos."}


@guarded("static")
def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dcgan static", description="Make a page of plain files, for a static Space."
    )
    parser.add_argument("out", type=user_path, help="folder to write; it must be new or empty")
    parser.add_argument(
        "--checkpoint",
        type=user_source,
        default="checkpoints/faces",
        help="run, checkpoint folder or owner/name on the Hub (default: checkpoints/faces)",
    )
    parser.add_argument(
        "--dataroot",
        type=user_source,
        help="folder, zip or hf://datasets/OWNER/NAME, of which 256 pictures are published beside the fakes (default: "
        "none; the drawn faces for a checkpoint that was trained on them)",
    )
    parser.add_argument("--title", type=nonempty, default=TITLE, help="the Space's title (default: %(default)s)")
    parser.add_argument("--push", type=repo_id, metavar="OWNER/NAME", help="upload it, too, as this static Space")
    parser.add_argument("--private", action="store_true", help="make that Space private (only when it is made)")
    flags = parser.parse_args(argv)
    with new_folder(flags.out) as folder:
        write_static(folder, flags.checkpoint, flags.title, flags.dataroot, flags.push)
    if (size := size_of(flags.out)) > MAX_SIZE:
        large = f"'{flags.out}' has {size / 1e6:.1f} MB: above {MAX_SIZE / 1e6:.0f} MB visitors wait long"
        print(f"static: {large}; fewer filters (train.py --ngf) make a smaller one", file=sys.stderr)
    if flags.push:
        print(upload(flags.out, flags.push, "The page", PATTERNS, private=flags.private, space_sdk="static"))
    else:
        server = f"python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(flags.out))}"
        print(f"wrote {flags.out}; try it with:  {server}")
    return 0
