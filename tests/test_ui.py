"""The page in a real browser, at the sizes of a desk and of a phone."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from dcgan.studio import Studio
from tests.browser import ARGUMENTS, MISSING, find_chromium
from tests.demo_fixtures import FRAMES, NZ, checkpoints, demo  # noqa: F401

pytestmark = pytest.mark.browser

SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
TABS = ("Explore", "Interpolate", "Real vs fake", "Training replay")
PATIENCE = 60_000  # milliseconds; a busy machine is slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, demo: str) -> Iterator[Page]:  # noqa: F811
    """The page, opened. It must neither complain nor ask anyone else for anything."""
    context = browser.new_context(viewport=SIZES[request.param], reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    ours = (demo, "data:", "blob:")
    page.on("request", lambda sent: None if sent.url.startswith(ours) else complaints.append(sent.url))
    page.goto(f"{demo}#face=people&seed=3")
    shown(page, "seed=3&")
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:  # noqa: F811
    return Studio(checkpoints)


def face(page: Page) -> Locator:
    return page.get_by_role("tabpanel").locator("canvas.face").filter(visible=True)


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


def slider_value(page: Page, name: str) -> str:
    return page.get_by_role("slider", name=name, exact=True).input_value()


def first_dimension(page: Page) -> tuple[str, Locator]:
    """The first latent slider, and its name."""
    slider = page.get_by_role("slider", name="Dimension ").first
    expect(slider).to_be_visible()
    return slider.get_attribute("aria-label") or "", slider


def test_each_tab_shows_its_pictures_and_fits(page: Page) -> None:
    for name in TABS:
        tab = page.get_by_role("tab", name=name, exact=True)
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        if name == "Real vs fake":
            for alt in ("64 real images in a grid", "64 generated faces in a grid"):
                picture = page.get_by_alt_text(alt)
                expect(picture).to_be_visible()
                picture.evaluate("image => image.decode()")
                assert picture.evaluate("image => image.naturalWidth") == 512
            expect(page.get_by_text("--dataroot")).to_be_visible()
        else:
            shown(page)
            assert pixels(face(page)).std() > 5, f"{name} paints nothing"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"


def test_a_drag_ends_with_the_face_of_its_last_value(page: Page, studio: Studio) -> None:
    before = pixels(face(page))
    name, slider = first_dimension(page)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    for i in range(30):
        page.mouse.move(box["x"] + box["width"] * (0.1 + 0.8 * i / 29), y)
    page.mouse.up()
    dimension, value = name.removeprefix("Dimension "), slider_value(page, name)
    recipe = shown(page, f"z={dimension}%3A{value}")
    assert float(value) > 1.5
    assert not np.array_equal(pixels(face(page)), before)
    wanted = studio.face(int(recipe["seed"]), edits={dimension: float(value)})
    assert np.array_equal(pixels(face(page)), wanted)


def test_keyboard_moves_and_resets_a_slider(page: Page) -> None:
    name, slider = first_dimension(page)
    before = float(slider_value(page, name))
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert float(slider_value(page, name)) > before
    shown(page, "z=")
    page.get_by_role("button", name=f"Reset {name.lower()}", exact=True).first.click()
    page.wait_for_function("!document.querySelector('canvas.face').dataset.shown.includes('z=')")
    assert float(slider_value(page, name)) == pytest.approx(before, abs=0.01)


def test_every_dimension_can_be_reached(page: Page) -> None:
    page.get_by_text(f"All {NZ} dimensions").click()
    for dimension in range(NZ):
        expect(page.get_by_role("slider", name=f"Dimension {dimension}", exact=True).last).to_be_visible()


def test_a_seed_has_its_face_and_back_undoes_the_dice(page: Page, studio: Studio) -> None:
    seed = page.get_by_label("Seed", exact=True)
    seed.fill("7")
    seed.press("Enter")
    shown(page, "seed=7&")
    assert np.array_equal(pixels(face(page)), studio.face(7))
    page.get_by_role("button", name="Random seed").click()
    page.wait_for_function("!document.querySelector('canvas.face').dataset.shown.includes('seed=7&')")
    page.go_back()
    shown(page, "seed=7&")
    expect(seed).to_have_value("7")


def test_a_link_opens_the_same_face(page: Page, demo: str, studio: Studio) -> None:  # noqa: F811
    page.goto("about:blank")
    page.goto(f"{demo}#face=toons&seed=5&truncation=0.7&z=2:1.5")
    shown(page, "face=toons&seed=5&truncation=0.7&z=2%3A1.5")
    assert np.array_equal(pixels(face(page)), studio.face(5, 0.7, {2: 1.5}, "toons"))
    expect(page.get_by_text("toons set")).to_be_visible()


def test_saved_pictures_are_png_of_both_sizes(page: Page) -> None:
    for size in (64, 512):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save {size} px").click()
        assert download.value.suggested_filename.endswith(f"{size}px.png")


def test_another_checkpoint_changes_face_and_words(page: Page) -> None:
    page.get_by_label("Checkpoint").click()
    page.get_by_role("option", name="toons").click()
    shown(page, "face=toons")
    expect(page.get_by_text("toons set")).to_be_visible()
    page.get_by_role("tab", name="Interpolate").click()
    shown(page, "toons")


def test_the_way_is_scrubbed_played_and_downloaded(page: Page) -> None:
    page.get_by_role("tab", name="Interpolate").click()
    shown(page)
    scrubber = page.get_by_role("slider", name="Position between A and B")
    scrubber.focus()
    page.keyboard.press("End")
    expect(face(page)).to_have_attribute("data-position", "1.000")
    end = pixels(face(page))
    page.get_by_role("button", name="Show the face at 0%").click()
    expect(face(page)).to_have_attribute("data-position", "0.000")
    assert not np.array_equal(pixels(face(page)), end)
    page.get_by_role("button", name="Play", exact=True).filter(visible=True).click()
    expect(face(page)).not_to_have_attribute("data-position", "0.000")
    page.get_by_role("button", name="Pause", exact=True).filter(visible=True).click()
    page.get_by_text("Linear", exact=True).click()
    shown(page, "linear")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download GIF").click()
    assert download.value.suggested_filename.endswith(".gif")


def test_the_replay_is_scrubbed_and_played(page: Page) -> None:
    page.get_by_role("tab", name="Training replay").click()
    expect(face(page)).to_have_attribute("data-shown", f"people {len(FRAMES) - 1}")
    scrubber = page.get_by_role("slider", name="Moment of the training")
    scrubber.focus()
    page.keyboard.press("Home")
    expect(face(page)).to_have_attribute("data-shown", "people 0")
    expect(page.get_by_text("0 images seen", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Play", exact=True).filter(visible=True).click()
    expect(face(page)).to_have_attribute("data-shown", f"people {len(FRAMES) - 1}")
    expect(page.get_by_text("20,000 images seen").first).to_be_visible()


def test_shuffle_shows_others(page: Page) -> None:
    page.get_by_role("tab", name="Real vs fake").click()
    picture = page.get_by_alt_text("64 generated faces in a grid")
    expect(picture).to_be_visible()
    before = picture.get_attribute("src") or ""
    page.get_by_role("button", name="Shuffle", exact=True).click()
    expect(picture).not_to_have_attribute("src", before)
