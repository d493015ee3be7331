"""From `python app.py` to the first picture, and from a slider's input event to the painted face, in Chromium: on the
same machine, and with 100 ms to the server and back.

python -m benchmarks.ui_latency [checkpoints]
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from playwright.sync_api import Page, TimeoutError, ViewportSize, sync_playwright

from app import HERE
from tests.chromium import ARGUMENTS, MISSING, find_chromium

PATIENCE = 60_000  # milliseconds
DESK = ViewportSize(width=1280, height=800)
DRAGS, MOVES = 4, 40
PREPARED = 40  # seconds until what the server prepares in the background is done
# Every input event of the slider is timed until the first frame after its face is on the canvas.
WATCH = """slider => {
  const canvas = document.querySelector('canvas.face');
  const dimension = slider.getAttribute('aria-label').match(/\\d+/)[0];
  const begun = new Map();
  const key = (value) => `${dimension}:${Number(value)}`;
  window.times = [];
  slider.addEventListener('input', (event) => begun.set(key(slider.value), event.timeStamp), true);
  window.shows = () => new URLSearchParams(canvas.dataset.shown).get('z') === key(slider.value);
  new MutationObserver(() => {
    const began = begun.get(new URLSearchParams(canvas.dataset.shown).get('z'));
    if (began === undefined) return;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        window.times.push(performance.now() - began);
        window.ontime?.();
      };
      port2.postMessage(null);  // runs when the frame has been painted
    });
  }).observe(canvas, { attributes: true, attributeFilter: ['data-shown'] });
}"""


# The times when the page has a face, with its sliders, and when it has its tabs, in seconds since 1970.
SEEN = """
window.seen = {};
new MutationObserver(() => {
  const now = (performance.timeOrigin + performance.now()) / 1000;
  if (document.querySelector('canvas.face[data-shown]')) seen.face ??= now;
  if (document.querySelector('[role=tab][aria-selected=true]')) seen.tabs ??= now;
}).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-shown', 'aria-selected'] });
"""


def measure(page: Page, url: str, count: int) -> tuple[list[float], list[float], int]:
    """Times in ms of single key presses and of faces shown during a drag, and how many drags ended on another face."""
    page.goto(f"{url}#seed=3", timeout=PATIENCE)
    page.locator("details.all").evaluate("details => (details.open = true)")  # folded where there are named directions
    slider = page.get_by_role("slider", name="Dimension ").first
    slider.wait_for(timeout=PATIENCE)
    page.locator("canvas.face[data-shown]").first.wait_for(timeout=PATIENCE)
    page.wait_for_timeout(2000)  # until the dimensions are in the order of their effect
    slider.evaluate(WATCH)
    slider.focus()
    for _ in range(10):  # connections and caches
        press(page)
    page.evaluate("times.length = 0")
    for _ in range(count):
        press(page)
    keys = page.evaluate("times.splice(0)")
    wrong, box = 0, slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    for drag in range(DRAGS):
        page.mouse.move(box["x"] + box["width"] / 2, y)
        page.mouse.down()
        for i in range(MOVES):
            part = (i if drag % 2 else MOVES - 1 - i) / (MOVES - 1)
            page.mouse.move(box["x"] + box["width"] * (0.1 + 0.8 * part), y)
            page.evaluate("new Promise(requestAnimationFrame)")
        page.mouse.up()
        try:
            page.wait_for_function("shows()", timeout=PATIENCE)
            page.evaluate("new Promise((done) => setTimeout(done, 1000))")  # nothing older may come after it
            wrong += not page.evaluate("shows()")
        except TimeoutError:
            wrong += 1
    return keys, page.evaluate("times"), wrong


@contextmanager
def served(checkpoints: str) -> Iterator[int]:
    """`python app.py`, from when it listens: its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(HERE / "app.py"), "--checkpoints", checkpoints]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as server:
        while server.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        try:
            yield port
        finally:
            server.terminate()


def visit(page: Page, port: int, began: float) -> tuple[float, float]:
    """After how many seconds a new visitor has a face with its sliders, and the tabs. The page is closed after it."""
    page.add_init_script(SEEN)
    page.goto(f"http://127.0.0.1:{port}", timeout=PATIENCE)
    page.wait_for_function("seen.face && seen.tabs", timeout=PATIENCE)
    face, tabs = page.evaluate("[seen.face, seen.tabs]")
    page.close()
    return face - began, tabs - began


def press(page: Page) -> None:
    # A promise, and not a look at every frame, which would make the page draw frames that nobody asked for.
    before = page.evaluate("(window.timed = new Promise((done) => (window.ontime = done)), times.length)")
    page.keyboard.press("ArrowRight" if before % 40 < 20 else "ArrowLeft")
    page.evaluate("window.timed")


def distant(port: int, round_trip: float) -> int:
    """The port of a proxy that holds back everything by half of `round_trip` seconds each way."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(65536):
            loop.call_later(round_trip / 2, writer.write, data)
        loop.call_later(round_trip / 2, writer.close)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, down), carry(up, writer), return_exceptions=True)

    loop = asyncio.new_event_loop()  # in a thread of its own: Playwright has one here
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), loop).result()
    return server.sockets[0].getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="?", default=HERE / "checkpoints")
    parser.add_argument("--presses", type=int, default=60, help="key presses to take the median of (default: 60)")
    flags = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        parser.exit(2, MISSING + "\n")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page, began = browser.new_page(viewport=DESK), time.time()
        with served(str(flags.checkpoints)) as port:
            first = visit(page, port, began)
            time.sleep(PREPARED)
            page = browser.new_context(viewport=DESK).new_page()
            later = visit(page, port, time.time())
            print(
                f"first face, with sliders, {first[0]:.1f} s after python app.py, the other tabs {first[1]:.1f} s; "
                f"a later visitor's after {later[0]:.1f} and {later[1]:.1f} s",
                flush=True,
            )
            for name, at in (("loopback", port), ("100 ms away", distant(port, 0.1))):
                page = browser.new_page(viewport=DESK)
                keys, drags, wrong = measure(page, f"http://127.0.0.1:{at}/", flags.presses)
                print(
                    f"{name:>11}: key press median {statistics.median(keys):.0f} ms, drag median "
                    f"{statistics.median(drags):.0f} ms, {len(drags)} faces in {DRAGS * MOVES} moves, "
                    f"{wrong} of {DRAGS} drags ended on another face",
                    flush=True,
                )
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
