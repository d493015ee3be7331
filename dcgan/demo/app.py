"""The demo: explore what a checkpoint can draw, on http://127.0.0.1:7860."""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

# Gradio reads them when it is imported: where it keeps visitors' files, and that it sends nobody statistics.
VISITORS = tempfile.TemporaryDirectory(prefix="dcgan-visitors-")
os.environ.setdefault("GRADIO_TEMP_DIR", VISITORS.name)
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from huggingface_hub import SpaceCard
from starlette.middleware import Middleware

from dcgan.checkpoint import CheckpointError
from dcgan.data.sources import DataError
from dcgan.demo.explorer.files import page_head, write_moments, write_page
from dcgan.demo.limits import BodyLimit
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import about, explore, find, interpolate, lab, real_vs_fake, replay, shell, words
from dcgan.demo.tabs.theme import THEME

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
        "ssr_mode": False,  # on a Space the default is a Node server in between
        "app_kwargs": {"middleware": [Middleware(BodyLimit)]},
    }


def delete_leftovers(age: float = 3600.0) -> None:
    """Delete what visitors gave to a demo that was killed: files older than `age` seconds. A running one keeps none."""
    for file in Path(tempfile.gettempdir()).glob("dcgan-visitors-*/**/*"):
        with suppress(OSError):
            if file.is_file() and time.time() - file.stat().st_mtime > age:
                file.unlink()


def default_checkpoints(home: Path) -> str | Path:
    """home/checkpoints; in a Space made for a model on the Hub, that model, which its README names."""
    if not (home / "checkpoints").exists() and (home / "README.md").exists():
        models = SpaceCard.load(home / "README.md").data.get("models")
        return models[0] if models else home / "checkpoints"
    return home / "checkpoints"


@contextmanager
def opened_demo(argv: list[str] | None = None, home: Path = Path()) -> Iterator[tuple[gr.Blocks, dict[str, Any]]]:
    """The page that a command line asks for, and the options to launch it with until Ctrl-C or SIGTERM.

    home: the folder of the default checkpoints. What the user can mend ends the program with one line and status 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dcgan demo", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--checkpoints",
        default=default_checkpoints(home),
        help="a run, a checkpoint folder, a folder of them, or owner/name[@revision] on the Hub",
    )
    parser.add_argument(
        "--dataroot", help="the real images that the checkpoints learned from: folder, zip or hf://datasets/OWNER/NAME"
    )
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    delete_leftovers()
    try:
        studio = Studio(arguments.checkpoints, arguments.dataroot)
        studio.warm_up()
        with closing(studio), tempfile.TemporaryDirectory(prefix="dcgan-page-", ignore_cleanup_errors=True) as files:
            yield build_demo(studio), launch_options(studio, Path(files))
    except (CheckpointError, DataError, OSError) as error:  # OSError: the port is taken, say
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before Gradio waits for it
        sys.exit(0)


def main(argv: list[str] | None = None) -> int:
    """Serve the demo: `dcgan demo`."""
    with opened_demo(argv) as (demo, options):
        demo.launch(**options)
    return 0
