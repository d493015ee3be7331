"""The page in Chromium, on the same machine and with 100 ms to the server and back: how soon the first picture is there
after `python app.py`, how long from a slider's input event to the painted face, and how many faces a drag paints; and
of a first visit what it fetches before its first face, and how far the page's parts move meanwhile.

python -m benchmarks.ui_latency [checkpoints]
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import threading
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.load import served
from tests.chromium import ARGUMENTS, MISSING, PATIENCE, find_chromium

ROOT = Path(__file__).parents[1]
# As Lighthouse has it: 150 ms to the server and back, 1.6 Mbit/s down, 0.75 up.
SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 94_000}
# The slider gets a value; the time until the frame after its face is on the canvas, in milliseconds.
PRESS = """([slider, value]) => new Promise((done) => {
  const canvas = document.querySelector('canvas.face');
  const begun = performance.now();
  const watch = new MutationObserver(() => {
    if (new URLSearchParams(canvas.dataset.shown).get('truncation') !== String(value)) return;
    watch.disconnect();
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => done(performance.now() - begun);
      port2.postMessage(null);  // runs when the frame has been painted
    });
  });
  watch.observe(canvas, { attributes: true, attributeFilter: ['data-shown'] });
  slider.value = value;
  slider.dispatchEvent(new Event('input'));
})"""
# The slider gets a new value before each frame; a frame counts if its face is another one than the frame's before.
DRAG = """async ([slider, seconds]) => {
  const canvas = document.querySelector('canvas.face');
  const begun = performance.now();
  let [painted, before, frames] = [0, canvas.dataset.shown, 0];
  for (let now = begun; now - begun < 1000 * seconds; frames++) {
    slider.value = 1 + Math.sin(now / 500);
    slider.dispatchEvent(new Event('input'));
    now = await new Promise(requestAnimationFrame);
    if (canvas.dataset.shown !== before) painted++;
    before = canvas.dataset.shown;
  }
  const passed = (performance.now() - begun) / 1000;
  return [painted / passed, frames / passed];
}"""


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


def visit(page: Page, port: int) -> float:
    """Open the page; the time in seconds since 1970 when it has its first picture."""
    page.set_default_timeout(PATIENCE)
    page.add_init_script("""new MutationObserver((_, observer) => {
        const canvas = document.querySelector('canvas.face');
        if (!canvas?.getContext('2d').getImageData(0, 0, 1, 1).data[3]) return;
        window.first = (performance.timeOrigin + performance.now()) / 1000;
        observer.disconnect();
    }).observe(document, { subtree: true, childList: true, attributes: true })""")
    page.goto(f"http://127.0.0.1:{port}")
    page.wait_for_function("window.first")
    return page.evaluate("window.first")


def arrive(browser: Browser, port: int, slowly: bool) -> str:
    """A first visit in words: seconds and bytes until the first face, and layout shift until the page is ready."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    if slowly:
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW_4G)
    page.add_init_script("""window.shift = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => { window.shift += entry.value; }))
            .observe({ type: 'layout-shift', buffered: true })""")
    began = time.time()
    first = visit(page, port) - began
    fetched = page.evaluate("""performance.getEntries()
        .filter((entry) => performance.timeOrigin + entry.responseEnd < 1000 * window.first)
        .reduce((sum, entry) => sum + (entry.transferSize ?? 0), 0)""")
    page.get_by_role("button", name="Neighbour 8", exact=True).wait_for()
    shift = page.evaluate("window.shift")
    page.context.close()
    return f"first face after {first:.1f} s and {fetched / 1000:,.0f} kB, layout shift {shift:.3f}"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="?", default=ROOT / "checkpoints")
    parser.add_argument("--presses", type=int, default=60, help="changes to take the median of (default: 60)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a drag (default: 3)")
    flags = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        parser.exit(2, MISSING + "\n")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        browser.new_page().close()
        began = time.time()
        with served(str(flags.checkpoints), subprocess.DEVNULL) as (_, port):
            print(f"first picture {visit(browser.new_page(), port) - began:.1f} s after python app.py", flush=True)
            for name, slowly in (("fast", False), ("slow 4G", True)):
                print(f"{name:>11}: {arrive(browser, port, slowly)}", flush=True)
            for name, at in (("loopback", port), ("100 ms away", distant(port, 0.1))):
                context = browser.new_context(viewport={"width": 1280, "height": 800})  # and with it an empty cache
                page, began = context.new_page(), time.time()
                first = visit(page, at) - began
                page.get_by_role("button", name="Neighbour 8", exact=True).wait_for()
                slider = page.get_by_role("slider", name="variety, from average to unusual").element_handle()
                page.wait_for_function("!document.querySelector('.status').textContent")
                values = [round(0.3 + i / 100, 2) for i in range(flags.presses)]
                presses = [page.evaluate(PRESS, [slider, value]) for value in values]
                painted, frames = page.evaluate(DRAG, [slider, flags.seconds])
                print(
                    f"{name:>11}: first picture after {first:.1f} s, slider to painted face median "
                    f"{statistics.median(presses):.0f} ms, a drag paints {painted:.0f} of {frames:.0f} frames a second",
                    flush=True,
                )
                context.close()
        browser.close()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
