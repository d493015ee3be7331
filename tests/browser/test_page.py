"""The page in a real browser, at the sizes of a desk and of a phone."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from dcgan.demo.studio import Studio
from tests.chromium import opened
from tests.demo_fixtures import checkpoints, demo  # noqa: F401

pytestmark = pytest.mark.browser

SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
CLOSE = 2  # of 255 levels: what may lie between Python's pixels and the browser's


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, demo: str) -> Iterator[Page]:  # noqa: F811
    """The page, opened. It must neither complain nor ask anyone else for anything."""
    with opened(browser, demo, "face=people&seed=3", SIZES[request.param]) as page:
        shown(page, "seed=3&")
        yield page


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:  # noqa: F811
    return Studio(checkpoints)


def face(page: Page) -> Locator:
    return page.locator("canvas.face").filter(visible=True)


def shown(page: Page, link: str = "") -> dict[str, str]:
    """The recipe of the face on the canvas, once it holds `link`."""
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
        return np.asarray(image.convert("RGB"))


def test_the_browser_draws_what_the_studio_draws(page: Page, studio: Studio) -> None:
    expect(page.locator(".status")).to_have_text("")  # the worker is there
    page.route("**/component_server*", lambda route: route.abort())
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_label("Seed", exact=True).press("Enter")
    shown(page, "seed=7&")
    drawn = pixels(face(page)).astype(int)
    assert np.abs(drawn - studio.face(7, checkpoint="people")).max() <= CLOSE
    assert drawn.std() > 5
