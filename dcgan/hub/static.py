"""The explorer as plain files, for a static Space: the generator runs in the visitor's browser.

python -m dcgan.hub.push static OUT --checkpoint RUN
"""

import json
import shutil
from pathlib import Path
from string import Template

from huggingface_hub import SpaceCard

from dcgan.checkpoint import CheckpointError, load_checkpoint, thin_snapshots
from dcgan.demo.explorer import EXPLORER, bundle, source
from dcgan.demo.explorer.weights import browser_weights
from dcgan.demo.server.browser import WORKER, known
from dcgan.demo.studio import Studio
from dcgan.hub.onnx_model import to_onnx
from dcgan.hub.onnx_runtime import BUILD, ROOT, fetched_runtime
from dcgan.hub.pull import local_folder
from dcgan.hub_errors import HubError
from dcgan.latent import arithmetic
from dcgan.pictures import enlarged, grid, picture
from dcgan.sampling import sample

SCRIPTS = (
    *("parts.js", "engine.js", "latents.js", "worker_engine.js", "tabbar.js"),
    *("explorer.js", "interpolate.js", "replay.js", "arithmetic.js", "about.js", "static.js"),
)
MAX_SNAPSHOTS = 60  # 50 kB each
MAX_SIZE = 40_000_000  # bytes of a page that is still soon there
# What is ours in a static Space: deleted there where a new version has none of that name.
STATIC_FILES = (
    *("index.html", "page.*", *WORKER, "checkpoint.json", "generator.*", "ort*", "snapshots/*.webp"),
    *("README.md", "thumbnail.jpg"),
)
STYLES = ("colours.css", "page.css", "explorer.css", "static.css")


def write_static(folder: Path, run: str, title: str | None = None) -> None:
    """Write the page that explores the checkpoint of `run` into a folder. Raises CheckpointError or HubError."""
    checkpoint = load_checkpoint(local_folder(run))
    studio = Studio(checkpoint.folder)
    if studio.shelf.broken:
        raise CheckpointError(studio.shelf.broken[0])
    model = to_onnx(checkpoint.generator)
    runtime = fetched_runtime()

    (folder / "generator.onnx").write_bytes(model)
    (folder / "generator.safetensors").write_bytes(browser_weights(checkpoint.generator))
    for name in BUILD:
        shutil.copyfile(runtime / "dist" / name, folder / name)
    snapshots = thin_snapshots(checkpoint.snapshots, MAX_SNAPSHOTS)
    about = {**known(studio), "ranking": studio.ranking(), "replay": studio.shelf.replay()}
    about["summary"]["moments"] = []
    about["replay"]["frames"] = [snapshot.images_seen for snapshot in snapshots]
    signal = arithmetic.expected(arithmetic.response(checkpoint.generator))
    about["signal"] = [[float(f"{value:.6g}") for value in row] for row in signal.tolist()]
    (folder / "checkpoint.json").write_text(json.dumps(about, allow_nan=False), encoding="utf-8")
    (folder / "snapshots").mkdir()
    for i, snapshot in enumerate(snapshots):
        shutil.copyfile(snapshot.path, folder / "snapshots" / f"{i}.webp")
    _write_page(folder, studio.shelf.card())

    faces = sample(checkpoint.generator, range(32)).numpy()
    enlarged(picture(grid(faces)), max(1, 128 // faces.shape[1])).save(folder / "thumbnail.jpg", quality=88)
    card = SpaceCard((ROOT / "README.md").read_text(encoding="utf-8"))
    kept = ("emoji", "colorFrom", "colorTo", "pinned", "license", "short_description")
    front = {name: card.data[name] for name in kept}
    card.data = type(card.data)(title=title or card.data["title"], sdk="static", app_file="index.html", **front)
    words = "Nobody you see here exists. A DCGAN draws them in your browser."
    card.text = f"# {card.data['title']}\n\n{words}\n\n{studio.shelf.about()}\n"
    (folder / "README.md").write_text(str(card), encoding="utf-8")


def _write_page(folder: Path, card: str) -> None:
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise HubError("the static page needs markdown-it-py: pip install -r requirements-static.txt") from None
    # A card is its author's, who may be anyone: HTML in it is shown, not obeyed.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    page = Template(source("static.html"))
    text = page.substitute(card=markdown.render(card))
    (folder / "index.html").write_text(text, encoding="utf-8")
    (folder / "page.js").write_text(bundle(SCRIPTS), encoding="utf-8")
    (folder / "page.css").write_text("\n".join(map(source, STYLES)), encoding="utf-8")
    for name in WORKER:
        shutil.copyfile(EXPLORER / name, folder / name)
