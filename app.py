"""The demo: explore what a checkpoint can draw. `python app.py` opens it on http://127.0.0.1:7860."""

import argparse
import contextlib
import gc
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

# Nothing of what is imported is garbage, and to look for it takes a tenth of the time.
gc.disable()
# Gradio writes type stubs for all its components when it is imported, two fifths of that time, but not for what
# has no source file.
with patch("inspect.getfile", side_effect=OSError):
    import gradio as gr
from huggingface_hub import SpaceCard
from starlette.middleware import Middleware

from dcgan.checkpoint import CheckpointError
from dcgan.data.sources import DataError
from dcgan.demo.server import browser
from dcgan.demo.server.channel import Channel
from dcgan.demo.server.gate import KEPT, Gate, guarded, keep_little, keep_sweeping, sweep
from dcgan.demo.server.page import Early, Page
from dcgan.demo.studio import Studio
from dcgan.demo.tabs import (
    about,
    explore,
    find,
    interpolate,
    lab,
    of_checkpoint,
    panel,
    real_vs_fake,
    replay,
    spoken,
    tabbar,
    words,
)
from dcgan.training.malloc import M_ARENA_MAX, tune_malloc

gc.freeze()
gc.enable()

HERE = Path(__file__).parent
SYSTEM_FONTS = ("system-ui", "sans-serif")  # the demo asks nothing of the network, fonts included
THEME = gr.themes.Base(
    primary_hue="teal",
    secondary_hue="teal",
    neutral_hue="stone",
    font=SYSTEM_FONTS,
    font_mono=("ui-monospace", "monospace"),
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_400",
    button_primary_background_fill_hover_dark="*primary_300",
    button_primary_text_color="white",
    button_primary_text_color_dark="*neutral_950",
)
TABS = {
    "explore": ("Explore", explore),
    "interpolate": ("Interpolate", interpolate),
    "real-vs-fake": ("Real vs fake", real_vs_fake),
    "replay": ("Training replay", replay),
    "find": ("Find my face", find),
    "lab": ("Lab", lab),
    "about": ("About", about),
}
FILES = "dcgan-visitors-"  # how the folder of their files begins: a name that nobody else gives one
QUEUED = 20  # searches and other long requests; then the page says that it is busy
LAUNCH: dict[str, Any] = {
    "theme": THEME,
    "footer_links": ["api"],
    "run_history": False,  # it would store every call in the visitor's browser
    "strict_cors": True,
    "max_file_size": "200mb",  # of a visitor's own photos
    "enable_monitoring": False,
    "max_threads": 16,  # most of which wait for their turn in the studio
    "state_session_capacity": 256,  # of a megabyte each
    "i18n": words,
    "ssr_mode": False,  # on a Space the default is a Node server in between, for a page that our scripts draw
}


def launch_options(studio: Studio) -> dict[str, Any]:
    page = Page(studio)
    routes = [*Channel(studio).routes(), *browser.routes(studio), page.route()]
    middleware = [Middleware(Gate), Middleware(Early, page.first())]
    return {**LAUNCH, "app_kwargs": {"middleware": middleware, "routes": routes}}


# Gradio makes the whole application at three steps on the way, and anew when it is launched.
@patch.object(gr.routes.App, "create_app", lambda *_, **__: None)
def build_demo(studio: Studio) -> gr.Blocks:
    """The page."""
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)  # statistics over all requests, made at each of them
    os.environ["MPLBACKEND"] = "agg"  # else Gradio, at the first event, imports all of pyplot to find out which it is
    with gr.Blocks(title="Faces from noise", analytics_enabled=False, delete_cache=(300, 2400)) as demo:
        with gr.Row(elem_classes="header"):
            gr.Markdown(words("# Faces from noise"))
            checkpoint = gr.Dropdown(
                studio.shelf.names,
                value=studio.shelf.names[0],
                label=words("Checkpoint"),
                filterable=False,
                container=False,
            )
            # The shelf looks for it, and takes "" for the first.
            checkpoint.preprocess = lambda name: name  # type: ignore[method-assign, assignment]
        tabbar({id: title for id, (title, _) in TABS.items()})
        for id, (_, tab) in TABS.items():
            with panel(id):
                tab.build(studio, checkpoint)
        of_checkpoint("facts(element, props.value)", studio, checkpoint)
        if studio.shelf.broken:
            gr.Markdown("Left out: " + "; ".join(studio.shelf.broken), elem_classes="note")
        gr.api(spoken(studio.shelf.about), api_name="about")
        gr.api(studio.shelf.checkpoints, api_name="checkpoints")
    demo.process_api = guarded(demo.process_api)
    demo.queue(max_size=QUEUED, api_open=False)
    keep_little(demo)
    return demo


def default_checkpoints() -> str | Path:
    """Those that come along; in a Space made for a model on the Hub, that model, which its README names."""
    if (HERE / "checkpoints").exists():
        return HERE / "checkpoints"
    models = SpaceCard.load(HERE / "README.md").data.get("models")
    return models[0] if models else HERE / "checkpoints"


def serve(studio: Studio) -> None:
    """Until Ctrl-C or SIGTERM, also one that comes while it opens: Gradio can only be closed once it is open."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    demo = build_demo(studio)
    demo.launch(**launch_options(studio), prevent_thread_lock=True)
    with contextlib.suppress(KeyboardInterrupt):
        while not stopped:
            time.sleep(0.1)
    demo.close(verbose=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--checkpoints",
        default=default_checkpoints(),
        help="a run, a checkpoint folder, a folder of them, or owner/name[@revision] on the Hub",
    )
    parser.add_argument(
        "--dataroot", help="the real images that the checkpoints learned from: folder, zip or hf://datasets/OWNER/NAME"
    )
    arguments = parser.parse_args()
    tune_malloc(M_ARENA_MAX, 2)  # by default each thread keeps freed memory of its own: 400 MB under load
    try:
        studio = Studio(arguments.checkpoints, arguments.dataroot)
        studio.warm_up()
        sweep(Path(tempfile.gettempdir()), KEPT, f"{FILES}*")  # of a demo that was killed
        with tempfile.TemporaryDirectory(prefix=FILES) as files:  # visitors', and nobody else's
            os.environ["GRADIO_TEMP_DIR"] = gr.routes.DEFAULT_TEMP_DIR = files
            keep_sweeping(Path(files))
            serve(studio)
    except (CheckpointError, DataError, OSError) as error:  # OSError: the port is taken, say
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # sys.exit would tear threads that still compute out of the middle of C++, which aborts
