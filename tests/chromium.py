"""A Chromium for the browser tests: found, or installed where that is possible (python -m tests.chromium); pages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
DESK = {"width": 1280, "height": 800}
PATIENCE = 300_000  # milliseconds; a busy machine is slow
MISSING = "no Chromium found: install Debian's package (apt-get install chromium) or run  playwright install chromium"


def find_chromium() -> str | None:
    """The path of the system's Chromium, else of Playwright's own, else None."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return str(own) if own.is_file() else None


@contextmanager
def opened(
    browser: "Browser",
    site: str,
    link: str = "",
    faults: bool = False,
    routes: "dict[str, Callable[[Route], None]] | None" = None,
    script: str = "",
    **context_options: Any,
) -> "Iterator[Page]":
    """A page of the site. It must ask nobody else for anything, nor complain, unless `faults` are expected.

    routes: what answers in the server's place, by patterns of addresses. script: runs before those of the page.
    """
    context = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce", **context_options})
    context.add_init_script(script)
    for pattern, answer in (routes or {}).items():
        context.route(pattern, answer)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    ours = (site, "data:", "blob:", *(pattern.rstrip("*") for pattern in routes or () if "://" in pattern))
    context.on("request", lambda sent: None if sent.url.startswith(ours) else complaints.append(sent.url))
    if not faults:
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{site}#{link}")
    yield page
    context.close()
    assert not complaints, complaints


def install_chromium() -> None:
    """Try Debian's package where we may, then Playwright's own download; say what went wrong, but do not fail."""
    attempts = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        attempts.insert(
            0, ["sh", "-c", "apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium"]
        )
    for command in attempts:
        print("no Chromium yet, trying:", *command, flush=True)
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if find_chromium():
            return
        print(done.stderr.strip()[-300:])


if __name__ == "__main__":
    if find_chromium() is None:
        install_chromium()
    print("browser:", find_chromium() or MISSING)
