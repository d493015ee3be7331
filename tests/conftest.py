"""What the test files share: a cache and a Hub of their own, pictures made by code, a browser, a command's refusal."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from dcgan.__main__ import main
from tests import hub_stub
from tests.chromium import ARGUMENTS, MISSING, PATIENCE, find_chromium

# Background jobs of a shell ignore the one, nohup the other, and tests send both.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


settings.register_profile(
    "tests",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    derandomize=True,
    database=None,
    max_examples=60,
)
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes the cache of the user who runs it."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_CACHE", str(cache))
        patch.setenv("OMP_NUM_THREADS", "1")  # of programs that tests start: as many run at once as there are cores
        yield cache


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS, timeout=PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[hub_stub.Hub]:
    """An empty Hub, an empty cache of what was fetched from it, and clients that lose no time between their tries."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    sleep = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: sleep(min(seconds, 0.01)))
    hub_stub.hub.reset()
    yield hub_stub.hub
    hub_stub.hub.reset()


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Call it with a command that must end with exit code 2 and one line on stderr, for that line."""

    def call(*command: object) -> str:
        capsys.readouterr()
        assert main([str(part) for part in command]) == 2
        lines = capsys.readouterr().err.splitlines()
        (line,) = [line for line in lines if line.strip() and "%|" not in line]  # but for progress bars
        return line

    return call


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Whatever ran before, a test and the fixtures made for it draw the same random numbers."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The networks here are too small to share between cores, and sums come out in one order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 soft blots, 24 px wide and 28 px high."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for i in range(40):
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((24, 28), Image.Resampling.BICUBIC).save(folder / f"blot{i:02d}.png")
    return folder
