"""The page in Chromium: how soon its first picture is there after `python app.py`; and of a first visit on the same
machine, from 100 ms away and on a slow 4G what it fetches until its first face, how far the page's parts move, how long
it is from a slider's input event to the painted face, and how many faces a drag paints.

python -m benchmarks.ui_latency [checkpoints]
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.chromium import ARGUMENTS, DESK, MISSING, PATIENCE, find_chromium
from tests.demo_fixtures import ROOT, program

# To the server and back, in ms, and bytes a second; as Lighthouse has slow 4G: 1.6 Mbit/s down, 0.75 up.
NETWORKS = {
    "loopback": None,
    "100 ms away": {"latency": 100, "downloadThroughput": -1, "uploadThroughput": -1},
    "slow 4G": {"latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 94_000},
}
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


# Remembers when the page has its first picture, in milliseconds since 1970, and how far its parts have moved.
WATCH = """
window.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => { window.shift += entry.value; }))
  .observe({ type: 'layout-shift', buffered: true });
new MutationObserver((_, observer) => {
  const canvas = document.querySelector('canvas.face');
  if (!canvas?.getContext('2d').getImageData(0, 0, 1, 1).data[3]) return;
  window.first = performance.timeOrigin + performance.now();
  observer.disconnect();
}).observe(document, { subtree: true, childList: true, attributes: true })"""
FETCHED = """performance.getEntries()
  .filter((entry) => performance.timeOrigin + entry.responseEnd < window.first)
  .reduce((sum, entry) => sum + (entry.transferSize ?? 0), 0)"""


def first_visit(browser: Browser, url: str, network: dict[str, int] | None, flags: argparse.Namespace) -> str:
    """A visit with an empty cache, in words."""
    page = browser.new_context(viewport=DESK).new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script(WATCH)
    if network:
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", {"offline": False, **network})
    began = time.time()
    page.goto(url)
    page.wait_for_function("window.first")
    first, fetched = page.evaluate("window.first") / 1000 - began, page.evaluate(FETCHED)
    page.get_by_role("button", name="Neighbour 8", exact=True).wait_for()
    page.wait_for_function("!document.querySelector('.status').textContent")
    shift = page.evaluate("window.shift")
    slider = page.get_by_role("slider", name="variety, from average to unusual").element_handle()
    presses = [page.evaluate(PRESS, [slider, round(0.3 + i / 100, 2)]) for i in range(flags.presses)]
    painted, frames = page.evaluate(DRAG, [slider, flags.seconds])
    page.context.close()
    return (
        f"first face after {first:.1f} s and {fetched / 1000:,.0f} kB, layout shift {shift:.3f}, slider to painted "
        f"face median {statistics.median(presses):.0f} ms, a drag paints {painted:.0f} of {frames:.0f} frames a second"
    )


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
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page, began = browser.new_page(), time.time()
        page.add_init_script(WATCH)
        with program(Path(folder, "log.txt"), "--checkpoints", flags.checkpoints) as demo:
            page.goto(demo.url)
            page.wait_for_function("window.first")
            print(f"first picture {page.evaluate('window.first') / 1000 - began:.1f} s after python app.py", flush=True)
            for name, network in NETWORKS.items():
                print(f"{name:>11}: {first_visit(browser, demo.url, network, flags)}", flush=True)
        browser.close()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
