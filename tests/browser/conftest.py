"""The running demo and its page, for the tests in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.page import SIZES, shown
from tests.chromium import opened
from tests.demo_fixtures import checkpoints, demo, studio  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, demo: str) -> Iterator[Page]:  # noqa: F811
    """The page, opened on a desk unless the test names a size. It must neither complain nor ask anyone else."""
    size = SIZES[getattr(request, "param", "desk")]
    with opened(browser, demo, "face=people&seed=3", viewport=size) as page:
        shown(page, "seed=3&")
        yield page
