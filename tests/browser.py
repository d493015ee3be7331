"""A Chromium for the browser tests: found, or installed where that is possible (python -m tests.browser)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
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
