"""The demo that lets a visitor's own browser draw."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from dcgan.checkpoint import load_checkpoint
from dcgan.demo.explorer.weights import browser_weights
from dcgan.demo.server.browser import WORKER
from dcgan.demo.studio import Studio
from tests.browser import opened
from tests.demo_fixtures import MOMENTS, checkpoints, demo  # noqa: F401
from tests.test_static import DESK, assert_shows, choose, shown

DRAWS = "Your browser draws"


@pytest.fixture
def page(browser: Browser, demo: str) -> Iterator[Page]:  # noqa: F811
    with opened(browser, demo, "face=toons&seed=3", DESK, faults=True) as page:
        shown(page, "seed=3&")
        yield page


def asked(page: Page) -> list[str]:
    """The files of the browser's engine that the page asks for, from now on."""
    names: list[str] = []
    page.context.on(
        "request", lambda sent: names.append(sent.url.split("/browser/")[1]) if "/browser/" in sent.url else None
    )
    return names


@pytest.mark.browser
def test_a_visitors_browser_draws_the_same_face(page: Page, checkpoints: Path) -> None:  # noqa: F811
    studio = Studio(checkpoints)
    names = asked(page)
    choose(page, 5)
    assert_shows(shown(page, "seed=5&"), studio.face(5, checkpoint="toons"))
    assert names == []  # nothing is fetched before the visitor wants it
    page.get_by_text("In my browser").click()
    expect(page.get_by_text(DRAWS)).to_be_visible()
    assert {"generator.safetensors?name=toons", "checkpoint.json?name=toons"} <= set(names)
    page.route("**/gradio_api/**", lambda route: route.abort())  # whoever draws from now on, it is not the server
    for number in (6, 2**32 - 1):
        choose(page, number)
        assert_shows(shown(page, f"seed={number}&"), studio.face(number, checkpoint="toons"))
    slider = page.get_by_role("slider", name="age, from younger to older", exact=True)
    slider.fill("1.5")
    assert_shows(shown(page, "d=age%3A1.5"), studio.face(2**32 - 1, checkpoint="toons", directions={"age": 1.5}))
    page.get_by_role("tab", name="Interpolate").click()
    canvas = shown(page, "spherical 17")
    seeds = [int(number) for number in (canvas.get_attribute("data-shown") or "").split()[1:3]]
    page.get_by_role("slider", name="Position on the way").fill("0.5")
    expect(canvas).to_have_attribute("data-position", "0.500")
    assert_shows(canvas, studio.path(seeds, "spherical", 17, "toons")[8])


@pytest.mark.browser
def test_what_only_the_server_can_do_it_goes_on_doing(page: Page, demo: str, checkpoints: Path) -> None:  # noqa: F811
    studio = Studio(checkpoints)
    page.get_by_text("In my browser").click()
    expect(page.get_by_text(DRAWS)).to_be_visible()
    page.evaluate("location.hash = 'face=people&seed=4'")  # a link to another checkpoint, which is fetched in turn
    expect(page.get_by_text("Fetching the generator")).to_be_visible()
    expect(page.get_by_text(DRAWS)).to_be_visible()
    assert_shows(shown(page, "face=people&seed=4&"), studio.face(4, checkpoint="people"))
    expect(page.get_by_role("meter", name="Discriminator's opinion")).to_be_visible()
    page.get_by_role("slider", name="Time machine").fill("1")
    then = studio.face(4, checkpoint="people", moment=MOMENTS[1])
    assert_shows(shown(page, f"t={MOMENTS[1]}"), then)
    assert np.abs(then.astype(int) - studio.face(4, checkpoint="people")).max() > 10
    page.get_by_text("On the server").click()
    expect(page.get_by_text(DRAWS)).to_be_hidden()
    choose(page, 8)
    shown(page, "seed=8&")


@pytest.mark.browser
@pytest.mark.parametrize("file", ["*.wasm", "worker.js*", "checkpoint.json*"])
@pytest.mark.parametrize("busy", [False, True])
def test_where_a_browser_cannot_the_server_goes_on(page: Page, checkpoints: Path, file: str, busy: bool) -> None:  # noqa: F811
    page.route(f"**/browser/{file}", lambda route: route.fulfill(status=503) if busy else route.abort())
    page.get_by_text("In my browser").click()
    expect(page.get_by_text("The server goes on.")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.workers == []
    expect(page.get_by_label("On the server")).to_be_checked()
    choose(page, 7)
    assert_shows(shown(page, "seed=7&"), Studio(checkpoints).face(7, checkpoint="toons"))


def test_the_demo_serves_the_generator_and_what_runs_it(demo: str, checkpoints: Path) -> None:  # noqa: F811
    first = httpx.get(f"{demo}browser/generator.safetensors?name=toons")
    assert first.content == browser_weights(load_checkpoint(checkpoints / "toons").generator)
    again = httpx.get(
        f"{demo}browser/generator.safetensors?name=toons", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    other = httpx.get(f"{demo}browser/generator.safetensors?name=people")
    assert other.headers["ETag"] != first.headers["ETag"]
    for name in WORKER:
        answer = httpx.get(f"{demo}browser/{name}")
        assert answer.status_code == 200
        assert ("wasm" if name.endswith("wasm") else "javascript") in answer.headers["Content-Type"]
        assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "file",
    [
        "generator.safetensors?name=nobody",
        "checkpoint.json?name=../wreck",
        "package.json",
        "..%2f..%2fpackage.json",
        "engine.js",
    ],
)
def test_the_demo_serves_nothing_else(demo: str, file: str) -> None:  # noqa: F811
    answer = httpx.get(f"{demo}browser/{file}")
    assert answer.status_code == 404
    assert "Traceback" not in answer.text
