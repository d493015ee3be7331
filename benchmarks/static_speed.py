"""The static page in Chromium: how soon its first face is there, and how many faces a second are painted in a drag:
by a slider that moves before each frame, and by the mouse, whose driver needs a part of the same cores.

python -m benchmarks.static_speed [checkpoint]
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

from dcgan.hub.static import main as static
from tests.chromium import ARGUMENTS, MISSING, find_chromium

# The slider gets a new value before each frame; a frame counts if its face is another one than the frame's before.
DRAG = """async ([slider, seconds]) => {
  const canvas = document.querySelector('canvas.face');
  const begun = performance.now();
  let [painted, before, frames] = [0, canvas.dataset.shown, 0];
  for (let now = begun; now - begun < 1000 * seconds; frames++) {
    slider.value = 2 * Math.sin(now / 500);
    slider.dispatchEvent(new Event('input'));
    now = await new Promise(requestAnimationFrame);
    if (canvas.dataset.shown !== before) painted++;
    before = canvas.dataset.shown;
  }
  const passed = (performance.now() - begun) / 1000;
  return [painted / passed, frames / passed];
}"""
# Counts the faces painted from now on.
COUNT = """() => {
  const canvas = document.querySelector('canvas.face');
  let before = canvas.dataset.shown;
  window.painted = 0;
  const look = () => {
    if (canvas.dataset.shown !== before) window.painted++;
    before = canvas.dataset.shown;
    requestAnimationFrame(look);
  };
  look();
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


def mouse_drag(page: Page, slider: Locator, moves: int = 120) -> tuple[float, float]:
    """Moves of the mouse and faces painted, a second, on the way along a slider."""
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 9, y)
    page.mouse.down()
    page.evaluate(COUNT)
    begun = time.perf_counter()
    page.mouse.move(box["x"] + box["width"] - 9, y, steps=moves)
    passed = time.perf_counter() - begun
    painted = page.evaluate("window.painted")
    page.mouse.up()
    return moves / passed, painted / passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="checkpoints/faces")
    parser.add_argument("--visits", type=int, default=5, help="times that the page is opened anew (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a drag on each visit (default: 3)")
    flags = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        parser.exit(2, MISSING + "\n")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary) / "page"
        if code := static([str(folder), "--checkpoint", flags.checkpoint]):
            parser.exit(code)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        ready, painted, frames, by_mouse = [], [], [], []
        for _ in range(flags.visits):
            context = browser.new_context(viewport={"width": 1280, "height": 800})  # and with it an empty cache
            page = context.new_page()
            page.set_default_timeout(120_000)  # a busy machine is slow
            begun = time.perf_counter()
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            page.locator("canvas.face[data-shown]").first.wait_for()
            ready.append(time.perf_counter() - begun)
            slider = page.locator(".row .range").first
            slider.evaluate("slider => (window.slider = slider)")
            page.get_by_role("button", name="Neighbour 8", exact=True).wait_for()
            per_second = page.evaluate(f"seconds => ({DRAG})([window.slider, seconds])", flags.seconds)
            painted.append(per_second[0])
            frames.append(per_second[1])
            by_mouse.append(mouse_drag(page, slider))
            context.close()
        browser.close()
        server.shutdown()
    print(
        f"folder {size / 1e6:.1f} MB; first face after {statistics.median(ready):.1f} s (best {min(ready):.1f}); "
        f"faces painted in a drag {statistics.median(painted):.0f}/s (best {max(painted):.0f}) of "
        f"{statistics.median(frames):.0f} frames/s; by the mouse {statistics.median(m for _, m in by_mouse):.0f}/s of "
        f"{statistics.median(m for m, _ in by_mouse):.0f} moves/s; medians of {flags.visits} visits, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
