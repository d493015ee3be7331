"""The page of the demo: its tabs, how Gradio serves it, and what it leaves behind."""

import os
import signal
import tempfile
import threading
import time
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Gradio reads them when it is imported: where it keeps visitors' files, and that it sends nobody statistics.
VISITORS = tempfile.TemporaryDirectory(prefix="dcgan-visitors-")
os.environ.setdefault("GRADIO_TEMP_DIR", VISITORS.name)
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import httpx
from huggingface_hub import SpaceCard
from starlette.middleware import Middleware

from dcgan.cli import ENDING, handling
from dcgan.demo.explorer.files import page_head, write_moments, write_page
from dcgan.demo.middleware import BodyLimit, LightPage
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import about, explore, find, interpolate, lab, real_vs_fake, replay, shell, words
from dcgan.demo.tabs.theme import THEME
from dcgan.errors import UserError
from dcgan.hub.card import parsed_card

MCP = find_spec("mcp") is not None  # with gradio[mcp] the endpoints for scripts are tools of language models, too

TABS = {
    "explore": ("Explore", explore),
    "interpolate": ("Interpolate", interpolate),
    "real-vs-fake": ("Real vs fake", real_vs_fake),
    "replay": ("Training replay", replay),
    "find": ("Find my face", find),
    "lab": ("Lab", lab),
    "about": ("About", about),
}


def build_demo(studio: Studio) -> gr.Blocks:
    """The page of a studio, a tab a module."""
    with gr.Blocks(title="Faces from noise", analytics_enabled=False, delete_cache=(300, 2400)) as demo:
        names = studio.checkpoints.names
        with gr.Row(elem_classes="header"):
            gr.Markdown(words("# Faces from noise"))
            checkpoint = gr.Dropdown(
                names, value=names[0], label=words("Checkpoint"), filterable=False, container=False
            )
        panels = {}
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            for id, (title, module) in TABS.items():
                with gr.Tab(words(title), id=id, elem_id=f"panel-{id}") as panels[id]:
                    module.build(studio, checkpoint)
        shell.build(studio, checkpoint, tabs, panels)
        if studio.checkpoints.broken:
            gr.Markdown("Left out: " + "; ".join(studio.checkpoints.broken), elem_classes="note")
    return demo.queue(max_size=20, api_open=False)


def launch_options(studio: Studio, files: Path) -> dict[str, Any]:
    """The options of the page's `launch`. The files that it fetches are written into the empty folder `files`."""
    write_page(files, studio.checkpoints)
    gr.set_static_paths(files)
    threading.Thread(target=write_moments, args=(files, studio.checkpoints)).start()
    return {
        "theme": THEME,
        "head": page_head(f"gradio_api/file={files.resolve().as_posix()}"),
        "i18n": words,
        "footer_links": ["api"],
        "run_history": False,  # it would store every call in the visitor's browser
        "strict_cors": True,
        "max_file_size": "200mb",  # of a visitor's own photos
        "max_threads": (os.cpu_count() or 1) + 2,  # 16 on two cores wait for Python's lock, for seconds
        "enable_monitoring": False,
        "state_session_capacity": 256,
        "mcp_server": MCP,
        "ssr_mode": False,  # on a Space the default is a Node server in between
        "app_kwargs": {"middleware": [Middleware(BodyLimit), Middleware(LightPage)]},
    }


def delete_leftovers(age: float = 3600.0) -> None:
    """Delete what visitors gave to a demo that was killed: files older than `age` seconds. A running one keeps none."""
    for file in Path(tempfile.gettempdir()).glob("dcgan-visitors-*/**/*"):
        with suppress(OSError):
            if file.is_file() and time.time() - file.stat().st_mtime > age:
                file.unlink()


def default_checkpoints(home: Path) -> str | Path:
    """home/checkpoints; in a Space made for a model on the Hub, that model, which its README names."""
    readme = home / "README.md"
    if not (home / "checkpoints").exists() and readme.exists():
        models = parsed_card(SpaceCard, readme.read_text(encoding="utf-8"), readme).data.get("models")
        if models and isinstance(models, list):
            return str(models[0])
    return home / "checkpoints"


def serve(source: str | Path, dataroot: str | None = None) -> None:
    """Serve the page of the checkpoints at `source` until Ctrl-C, SIGTERM or the end of the terminal.

    dataroot: the real images. Raises CheckpointError, DataError, UserError, or OSError: the port is taken, say.
    """
    with handling(signal.default_int_handler, *ENDING), suppress(KeyboardInterrupt):  # before Gradio waits for it
        delete_leftovers()
        studio = Studio(source, dataroot)
        studio.warm_up()
        with closing(studio), tempfile.TemporaryDirectory(prefix="dcgan-page-", ignore_cleanup_errors=True) as files:
            demo, options = build_demo(studio), launch_options(studio, Path(files))
            try:
                demo.launch(**options)
            except (ValueError, httpx.HTTPError) as error:  # Gradio could not open its own page
                raise UserError(f"the page cannot be reached from this machine: see to HTTP_PROXY ({error})") from None
