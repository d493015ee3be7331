"""How tests look at the page."""

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page

from tests.chromium import DESK

SIZES: dict[str, Any] = {"desk": DESK, "phone": {"width": 390, "height": 844}}
TABS = ("Explore", "Interpolate", "Real vs fake", "Training replay", "Find my face", "Lab", "About")
CLOSE = 2  # of 255 levels: what may lie between Python's pixels and the browser's


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def plain_files(folder: Path) -> Iterator[str]:
    """The address of a plain server of the files in a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def face(page: Page) -> Locator:
    """The large picture of the tab that is open."""
    return page.locator("canvas.face").filter(visible=True)


def shown(page: Page, link: str = "") -> dict[str, str]:
    """The recipe of the large picture, once it holds `link`."""
    page.wait_for_function(
        """link => [...document.querySelectorAll('canvas.face')].some(
            (canvas) => canvas.checkVisibility() && canvas.dataset.shown?.includes(link))""",
        arg=link,
    )
    return {key: values[0] for key, values in parse_qs(face(page).get_attribute("data-shown")).items()}


def pixels(canvas: Locator) -> np.ndarray:
    """What is painted, [H, W, 3]."""
    png = base64.b64decode(canvas.evaluate("canvas => canvas.toDataURL()").partition(",")[2])
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def assert_shows(page: Page, wanted: np.ndarray) -> None:
    """The large picture has these pixels [S, S, nc]."""
    drawn = pixels(face(page))
    assert np.abs(drawn - wanted).max() <= CLOSE
    assert drawn.std() > 5


def choose(page: Page, seed: int) -> None:
    field = page.get_by_label("Seed", exact=True)
    field.fill(str(seed))
    field.press("Enter")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    page.wait_for_function(
        "name => document.querySelector('[role=tab][aria-selected=true]').innerText === name", arg=name
    )


def choose_checkpoint(page: Page, name: str) -> None:
    page.get_by_label("Checkpoint").click()
    page.get_by_role("option", name=name).click()


def wait_for_the_link_in_the_clipboard(page: Page, part: str) -> None:
    """Wait until the page's address, which holds `part`, has been copied."""
    page.evaluate("setInterval(async () => { window.copied = await navigator.clipboard.readText(); }, 100)")
    page.wait_for_function("part => window.copied === location.href && location.href.includes(part)", arg=part)
