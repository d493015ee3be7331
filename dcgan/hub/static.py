"""The explorer as plain files, for a static Space: the generator runs in the visitor's browser.

python -m dcgan.hub.push static OUT --checkpoint RUN
"""

from pathlib import Path
from string import Template

from huggingface_hub import SpaceCard

from dcgan.checkpoint import CheckpointError, load_checkpoint
from dcgan.demo.explorer import EXPLORER
from dcgan.demo.explorer.files import write_page
from dcgan.demo.studio import Studio
from dcgan.hub.onnx_runtime import ROOT
from dcgan.hub.pull import local_folder
from dcgan.hub_errors import HubError
from dcgan.pictures import enlarged, grid, picture
from dcgan.sampling import sample

MAX_SNAPSHOTS = 60  # 50 kB each
MAX_SIZE = 40_000_000  # bytes of a page that is still soon there
# What is ours in a static Space: deleted there where a new version has none of that name.
STATIC_FILES = (
    *("index.html", "page.*", "*.js", "ko.json", "kernel.wasm", "checkpoint.json", "generator.*", "ort*", "0/*"),
    *("README.md", "thumbnail.jpg"),
)
STYLES = ("static.css", "page.css", "explorer.css")


def write_static(folder: Path, run: str, title: str | None = None) -> None:
    """Write the page that explores the checkpoint of `run` into a folder. Raises CheckpointError or HubError."""
    checkpoint = load_checkpoint(local_folder(run))
    studio = Studio(checkpoint.folder)
    if studio.shelf.broken:
        raise CheckpointError(studio.shelf.broken[0])
    signal = [[float(f"{value:.6g}") for value in row] for row in studio.signal()]
    known = {"ranking": studio.ranking(), "signal": signal, "summary": {**studio.shelf.summary(), "moments": []}}
    write_page(folder, studio.shelf, max_snapshots=MAX_SNAPSHOTS, known=known)
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
    page = Template((EXPLORER / "static.html").read_text(encoding="utf-8"))
    text = page.substitute(card=markdown.render(card))
    (folder / "index.html").write_text(text, encoding="utf-8")
    styles = [(EXPLORER / name).read_text(encoding="utf-8") for name in STYLES]
    (folder / "page.css").write_text("\n".join(styles), encoding="utf-8")
