"""The page in a real browser, at the sizes of a desk and of a phone."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, WebSocketRoute, expect

from app import build_demo, launch_options
from dcgan.demo.explorer import EXPLORER
from dcgan.demo.studio import Studio
from tests.browser import PATIENCE, opened
from tests.demo_fixtures import FRAMES, NZ, checkpoints, demo, make_checkpoint  # noqa: F401

pytestmark = pytest.mark.browser

SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
TABS = ("Explore", "Interpolate", "Real vs fake", "Training replay", "Find my face", "Lab", "About")


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
            expect(page.get_by_text("that people learned from")).to_be_visible()
        elif name == "Find my face":
            expect(page.get_by_text("Give a photo with a face in it")).to_be_visible()
        elif name == "Lab":
            expect(page.get_by_label("Faces to mark")).to_have_attribute("data-shown", re.compile("people"))
            total = page.get_by_label("The sum, with its neighbours")
            expect(total).to_have_attribute("data-shown", re.compile("people"))
            assert pixels(total).std() > 5
        elif name == "About":
            expect(page.get_by_role("heading", name="What a GAN is")).to_be_visible()
            expect(page.get_by_role("heading", name="a card")).to_be_visible()
            expect(page.get_by_role("heading", name="Train your own")).to_be_visible()
        else:
            shown(page)
            assert pixels(face(page)).std() > 5, f"{name} paints nothing"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
        cut = page.evaluate("""() => {
            const beyond = (one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth;
            return [...document.querySelectorAll('button, input, canvas')].filter(beyond).map((one) => one.outerHTML);
        }""")
        assert cut == [], f"{name} is cut off"
        assert page.get_by_role("tablist").bounding_box()["height"] < 90, "more than two rows of tabs"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_on_any_tab(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.reload()
    shown(page)
    found = []
    for name in TABS:
        page.get_by_role("tab", name=name, exact=True).click()
        page.locator(".explorer").filter(visible=True).first.wait_for()
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found.append((name, violation["id"], [node["html"][:120] for node in violation["nodes"]]))
    assert found == []


@pytest.mark.parametrize("link", ["", "#face=toons&seed=7&truncation=0.5"])
@pytest.mark.parametrize("size", SIZES)
def test_explore_is_at_work_before_gradio_is_and_moves_in(
    browser: Browser,
    demo: str,  # noqa: F811
    studio: Studio,
    size: str,
    link: str,
) -> None:
    context = browser.new_context(viewport=SIZES[size])
    page = context.new_page()
    page.route("**/assets/*.js", lambda route: None)  # held back
    page.goto(demo + link, wait_until="commit")
    early = page.locator(".ahead")
    truncation = page.get_by_role("slider", name="Truncation")
    truncation.press("ArrowLeft")
    value = truncation.input_value()
    page.locator(f".ahead canvas[data-shown*='truncation={value}']").wait_for()
    canvas = page.locator("canvas.face").first
    picture, place = pixels(canvas), canvas.bounding_box()
    expect(early).to_have_count(1)
    page.unroute("**/assets/*.js")  # which lets them go
    page.get_by_role("tab", name="Explore").wait_for()
    expect(early).to_have_count(0)
    expect(truncation).to_be_focused()
    recipe = shown(page)
    assert value == ("0.49" if link else "0.99") == recipe["truncation"]
    assert recipe["face"] == ("toons" if link else "people")
    expect(page.get_by_label("Checkpoint")).to_have_value(recipe["face"])
    assert np.array_equal(picture, pixels(canvas))
    assert np.array_equal(picture, studio.face(int(recipe["seed"]), recipe["face"], truncation=float(value)))
    assert list(place.values()) == pytest.approx(list(canvas.bounding_box().values()), abs=2)
    page.get_by_role("button", name="Undo").click()
    shown(page, f"truncation={0.5 if link else 1}")
    context.close()


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


@pytest.mark.parametrize("broken", [None, "shut", "breaks off", "silent"])
def test_faces_come_over_a_web_socket_and_where_there_is_none_all_the_same(
    page: Page,
    demo: str,  # noqa: F811
    studio: Studio,
    broken: str | None,
) -> None:
    def shut(socket: WebSocketRoute) -> None:
        if broken == "shut":
            socket.close()
        else:
            socket.on_message(lambda _: socket.close() if broken == "breaks off" else None)

    def impatient(route: Route) -> None:
        script = route.fetch()
        route.fulfill(response=script, body=script.text().replace("SILENT = 20000", "SILENT = 500"))

    if broken == "silent":
        page.route("**/page-*.js", impatient)
    if broken:
        page.route_web_socket(re.compile("/ask$"), shut)
    page.goto(f"{demo}#seed=6")
    page.reload()
    shown(page, "seed=6&")
    asked: list[str] = []
    page.on("request", lambda sent: asked.append((sent.post_data_json or {}).get("ask", "")))
    page.get_by_role("slider", name="Truncation").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    shown(page, "seed=6&truncation=0.97")
    assert np.array_equal(pixels(face(page)), studio.face(6, truncation=0.97))
    assert ("face" in asked) == bool(broken)


def test_keyboard_moves_and_resets_a_slider(page: Page) -> None:
    name, slider = first_dimension(page)
    before = float(slider_value(page, name))
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert float(slider_value(page, name)) > before
    shown(page, "z=")
    page.get_by_role("button", name=f"Reset {name}", exact=True).click()
    page.wait_for_function("!document.querySelector('canvas.face').dataset.shown.includes('z=')")
    assert float(slider_value(page, name)) == pytest.approx(before, abs=0.01)


def test_keys_in_a_row_are_one_step_of_undo(page: Page) -> None:
    truncation = page.get_by_role("slider", name="Truncation")
    for _ in range(5):
        truncation.press("ArrowLeft")
    shown(page, "truncation=0.95")
    page.keyboard.press("Control+z")  # not waiting until it is sure that no key follows
    shown(page, "truncation=1")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.keyboard.press("Control+Shift+z")
    shown(page, "truncation=0.95")


def test_a_finger_that_scrolls_the_page_moves_no_slider(page: Page) -> None:
    truncation = page.get_by_role("slider", name="Truncation")
    truncation.dispatch_event("pointerdown")
    truncation.evaluate("slider => { slider.value = 0.2; slider.dispatchEvent(new Event('input')); }")
    shown(page, "truncation=0.2")
    truncation.dispatch_event("pointercancel")
    shown(page, "truncation=1")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


@pytest.mark.parametrize("width", [761, 820, 1000])
def test_sliders_are_wide_enough_on_a_tablet(browser: Browser, demo: str, width: int) -> None:  # noqa: F811
    with opened(browser, demo, "face=toons&seed=3", {"width": width, "height": 1100}) as page:
        shown(page)
        slider = page.get_by_role("slider", name="age").bounding_box()
        assert slider["width"] > 150
        assert slider["x"] + slider["width"] < width
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_shows_beside_a_face_that_stays_in_view(browser: Browser, demo: str) -> None:  # noqa: F811
    with opened(browser, demo, "face=toons&seed=3", {"width": 640, "height": 400}) as page:
        shown(page)
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(300)
        screen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        top = screen[: int(face(page).bounding_box()["height"])]
        assert len(np.unique(top[:, :100].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("sockets", [True, False])
def test_what_a_dead_server_left_empty_is_filled_when_it_is_back(
    browser: Browser,
    demo: str,  # noqa: F811
    sockets: bool,
) -> None:
    open_sockets: list[WebSocketRoute] = []

    def relay(socket: WebSocketRoute) -> None:
        if dead or not sockets:
            socket.close()
        else:
            socket.connect_to_server()
            open_sockets.append(socket)

    with opened(browser, demo, "face=people&seed=3", SIZES["desk"], faults=True) as page:
        dead = False
        page.route_web_socket("**/ask", relay)
        page.route("**/ask", lambda route: route.abort() if dead else route.fallback())
        page.reload()
        shown(page)
        dead = True
        page.evaluate("() => {}")
        for socket in open_sockets:
            socket.close()
        for name in ("Interpolate", "Training replay", "Lab"):
            page.get_by_role("tab", name=name).click()
            expect(page.get_by_text("The server does not answer").filter(visible=True).first).to_be_visible()
        dead = False
        expect(page.get_by_label("Faces to mark")).to_have_attribute("data-shown", re.compile("people"))
        for name in ("Interpolate", "Training replay"):
            page.get_by_role("tab", name=name).click()
            shown(page)
        expect(page.get_by_text("The server does not answer").filter(visible=True)).to_have_count(0)


def test_a_request_that_nobody_answers_does_not_end_real_vs_fake(browser: Browser, demo: str) -> None:  # noqa: F811
    with opened(browser, demo, "face=people&seed=3", SIZES["desk"], faults=True) as page:
        page.get_by_role("tab", name="Real vs fake").click()
        fakes = page.get_by_alt_text("64 generated faces in a grid")
        fakes.wait_for()
        before = fakes.get_attribute("src")
        page.clock.install()
        page.route("**/run/predict", lambda route: route.fulfill(status=503, json={"error": "busy"}))
        with page.expect_request("**/run/predict"):
            page.get_by_role("button", name="Shuffle").click()
        page.unroute("**/run/predict")
        page.clock.fast_forward(25_000)
        expect(page.get_by_text("The server does not answer").filter(visible=True)).to_be_visible()
        page.get_by_role("button", name="Shuffle").click()
        expect(fakes).not_to_have_attribute("src", before)


def test_every_dimension_can_be_reached_and_found(page: Page) -> None:
    page.get_by_role("button", name=f"Show all {NZ}").click()
    sliders = page.get_by_role("slider", name="Dimension ")
    expect(sliders).to_have_count(NZ)
    by_effect = [slider.get_attribute("aria-label") for slider in sliders.all()]
    page.get_by_text("By number", exact=True).click()
    expect(sliders.first).to_have_attribute("aria-label", "Dimension 0")
    assert sorted(by_effect) == sorted(slider.get_attribute("aria-label") for slider in sliders.all())
    page.get_by_label("Search dimensions").fill("13")
    expect(sliders).to_have_count(1)
    expect(sliders).to_have_attribute("aria-label", "Dimension 13")
    page.get_by_label("Search dimensions").fill("99")
    expect(page.get_by_text("No such dimension")).to_be_visible()


def test_steps_are_undone_and_redone_and_all_is_reset(page: Page) -> None:
    _, slider = first_dimension(page)
    slider.focus()
    page.keyboard.press("End")
    edited = page.locator("canvas.face[data-shown*='z=']").filter(visible=True)
    expect(edited).to_be_visible()
    expect(page.get_by_role("button", name="Redo")).to_be_disabled()
    page.keyboard.press("Control+z")
    expect(edited).to_have_count(0)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.get_by_role("button", name="Redo").click()
    expect(edited).to_be_visible()
    page.get_by_role("button", name="Reset all").click()
    expect(edited).to_have_count(0)
    expect(page.get_by_role("button", name="Reset all")).to_be_disabled()
    page.get_by_role("button", name="Undo").click()
    expect(edited).to_be_visible()


def test_a_neighbour_is_walked_to_and_the_address_holds_the_way(page: Page, demo: str, studio: Studio) -> None:  # noqa: F811
    page.get_by_role("button", name="Neighbour 3", exact=True).click()
    shown(page, "w=2")
    expect(page).to_have_url(re.compile("w=2"))
    assert np.array_equal(pixels(face(page)), studio.face(3, checkpoint="people", walk=[2]))
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    shown(page, "w=2")
    assert np.array_equal(pixels(face(page)), studio.face(3, checkpoint="people", walk=[2]))


def test_the_discriminator_has_an_opinion(page: Page, studio: Studio) -> None:
    meter = page.get_by_role("meter", name="Discriminator's opinion")
    expect(meter).to_be_visible()
    opinion = studio.opinion("people", seed=3)
    assert opinion is not None
    assert float(meter.evaluate("meter => meter.value")) == pytest.approx(opinion.realer_than)
    expect(page.get_by_text("of the faces made up here")).to_be_visible()


def test_named_directions_stand_first(page: Page, demo: str) -> None:  # noqa: F811
    page.goto("about:blank")
    page.goto(f"{demo}#face=toons&seed=5")
    shown(page, "face=toons")
    age = page.get_by_role("slider", name="age, from younger to older", exact=True)
    expect(age).to_be_visible()
    expect(page.get_by_role("slider", name="Dimension ")).to_have_count(0)  # behind a click
    before = pixels(face(page))
    age.focus()
    page.keyboard.press("End")
    recipe = shown(page, "d=age%3A3")
    assert recipe["seed"] == "5"
    assert not np.array_equal(pixels(face(page)), before)
    page.get_by_role("button", name="Reset age", exact=True).click()
    page.wait_for_function("!document.querySelector('canvas.face').dataset.shown.includes('&d=')")
    assert np.array_equal(pixels(face(page)), before)
    expect(page.get_by_role("slider")).to_have_count(3)  # truncation, age, and the first principal direction
    page.get_by_text("The numbers themselves").click()
    first_dimension(page)


def test_a_link_moves_along_directions_as_far_as_they_go(page: Page, demo: str, studio: Studio) -> None:  # noqa: F811
    page.goto("about:blank")
    page.goto(f"{demo}#face=toons&seed=5&d=age:1.25,principal 1:-9,height:2")
    shown(page, "d=age%3A1.25%2Cprincipal+1%3A-2")
    wanted = studio.face(5, checkpoint="toons", directions={"age": 1.25, "principal 1": -2})
    assert np.array_equal(pixels(face(page)), wanted)


def test_tabs_are_moved_between_with_the_arrow_keys(page: Page) -> None:
    page.get_by_role("tab", name="Explore").focus()
    for key, name in (("ArrowRight", "Interpolate"), ("End", TABS[-1]), ("ArrowRight", TABS[0])):
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=name)).to_be_focused()
        expect(page.get_by_role("tab", selected=True)).to_have_text(name)
    for name in TABS:
        box = page.get_by_role("tab", name=name).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.viewport_size["width"]  # type: ignore[index]


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
    assert np.array_equal(pixels(face(page)), studio.face(5, "toons", truncation=0.7, edits={2: 1.5}))
    expect(page.get_by_text("toons set")).to_be_visible()


def test_the_face_of_a_photo_is_found_and_edited_in_explore(page: Page, studio: Studio, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(studio.face(9)).save(photo)
    page.get_by_role("tab", name="Find my face").click()
    page.get_by_role("tabpanel", name="Find my face").locator("input[type=file]").first.set_input_files(photo)
    expect(page.get_by_text("Nearest face found")).to_be_visible()
    expect(page.get_by_text("No face was found in this photo")).to_be_visible()
    found = page.get_by_alt_text("Nearest face of the generator").get_attribute("src") or ""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Edit in Explore").click()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Explore")
    shown(page, "o=")
    with Image.open(io.BytesIO(base64.b64decode(found.partition(",")[2]))) as image:
        assert np.array_equal(pixels(face(page)), np.asarray(image))
    page.reload()  # the link holds all of it
    shown(page, "o=")
    with Image.open(io.BytesIO(base64.b64decode(found.partition(",")[2]))) as image:
        assert np.array_equal(pixels(face(page)), np.asarray(image))


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
    scrubber = page.get_by_role("slider", name="Position on the way")
    scrubber.focus()
    page.keyboard.press("End")
    expect(face(page)).to_have_attribute("data-position", "1.000")
    end = pixels(face(page))
    page.get_by_role("button", name="Show face 1").click()
    expect(face(page)).to_have_attribute("data-position", "0.000")
    assert not np.array_equal(pixels(face(page)), end)
    page.get_by_role("button", name="Play", exact=True).filter(visible=True).click()
    expect(face(page)).not_to_have_attribute("data-position", "0.000")
    page.get_by_role("button", name="Pause", exact=True).filter(visible=True).click()
    page.get_by_text("Linear", exact=True).click()
    shown(page, "linear 17")
    for format in ("GIF", "WebP", "MP4"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {format}").click()
        assert download.value.suggested_filename.endswith(f".{format.lower()}")


def test_a_chain_of_faces_takes_the_one_of_explore(page: Page) -> None:
    page.get_by_role("tab", name="Interpolate").click()
    shown(page)
    page.get_by_role("button", name="Add the face of Explore").click()
    shown(page, " 3 spherical 33")
    page.get_by_text("Loop", exact=True).click()
    shown(page, " 3 spherical loop 48")
    page.get_by_role("button", name="Show face 3").click()
    expect(face(page)).to_have_attribute("data-position", "0.667")
    page.get_by_role("button", name="Remove face 1").click()
    shown(page, " 3 spherical loop 32")
    expect(page.get_by_role("button", name="Remove face 1")).to_be_disabled()
    while page.get_by_role("button", name="Add a face").is_enabled():
        page.get_by_role("button", name="Add a face").click()
    expect(page.get_by_role("button", name="Show face 8")).to_be_visible()


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


def test_a_face_of_the_replay_is_followed_large(page: Page) -> None:
    page.get_by_role("tab", name="Training replay").click()
    last = len(FRAMES) - 1
    expect(face(page)).to_have_attribute("data-shown", f"people {last}")
    grid = pixels(face(page))
    page.get_by_role("button", name="Follow face 11", exact=True).click()
    expect(face(page)).to_have_attribute("data-shown", f"people {last} 10")
    assert np.array_equal(pixels(face(page)), grid[64:128, 128:192])
    page.get_by_role("slider", name="Moment of the training").focus()
    page.keyboard.press("ArrowLeft")
    expect(face(page)).to_have_attribute("data-shown", f"people {last - 1} 10")
    page.get_by_role("button", name="Show all faces").click()
    expect(face(page)).to_have_attribute("data-shown", f"people {last - 1}")


def test_the_time_machine_shows_ones_own_face_as_it_was(page: Page, browser: Browser) -> None:
    now = pixels(face(page)).std()
    slider = page.get_by_role("slider", name="Time machine")
    expect(slider).to_have_attribute("aria-valuetext", "fully trained")
    slider.focus()
    page.keyboard.press("Home")
    shown(page, "t=0")
    assert pixels(face(page)).std() < now / 2
    page.wait_for_function("location.hash.includes('t=0')")
    page.get_by_role("tab", name="Training replay").click()
    shown(page, "people 3")
    page.get_by_role("slider", name="Moment of the training").focus()
    for _ in FRAMES[2:]:
        page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="My own face at this moment").click()
    assert shown(page, f"t={FRAMES[1]}")["seed"] == "3"


def test_a_slider_of_ones_own_is_made_tried_kept_and_removed(page: Page, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Lab").click()
    expect(page.get_by_label("Faces to mark")).to_have_attribute("data-shown", re.compile(r"people( \d+){24}"))
    for n, clicks in ((1, 1), (2, 1), (3, 2), (4, 2)):
        for _ in range(clicks):
            page.get_by_role("button", name=re.compile(rf"^Mark face {n},")).click()
    expect(page.get_by_text("2 have it, 2 lack it")).to_be_visible()
    page.get_by_label("Name of the slider").fill("beam")
    page.get_by_role("button", name="Make the slider").click()
    expect(page.get_by_label("A face along the slider")).to_have_attribute("data-shown", "beam")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    file = tmp_path / "beam.json"
    download.value.save_as(file)
    page.get_by_role("button", name="Remove beam").click()
    expect(page.get_by_role("button", name="Remove beam")).to_have_count(0)
    other = {"name": "beam", "checkpoint": "toons", "vector": [1]}
    page.evaluate("other => sessionStorage.setItem('sliders', JSON.stringify([other]))", other)
    page.get_by_label("Load a slider").set_input_files(file)
    page.wait_for_function("JSON.parse(sessionStorage.getItem('sliders')).length === 2")  # each has its own
    page.get_by_role("button", name="Try it in Explore").click()
    before = pixels(face(page))
    slider = page.get_by_role("slider", name="beam")
    slider.focus()
    page.keyboard.press("End")
    link = shown(page, "s=")
    assert np.abs(pixels(face(page)).astype(int) - before).mean() > 1
    assert float(slider_value(page, "beam")) == pytest.approx(3, abs=0.05)
    assert len(link["s"].split(".")) == NZ
    page.get_by_role("button", name="Reset beam").click()
    page.wait_for_function("!document.querySelector('canvas.face').dataset.shown.includes('s=')")


def test_a_file_that_is_no_slider_is_a_line(page: Page, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Lab").click()
    for text in ('{"name": 3}', json.dumps({"name": "no", "checkpoint": "people", "vector": [None] * NZ})):
        (tmp_path / "no.json").write_text(text)
        page.get_by_label("Load a slider").set_input_files(tmp_path / "no.json")
        expect(page.get_by_text("This file holds no slider")).to_be_visible()
        page.get_by_role("button", name="Other faces").first.click()
        expect(page.get_by_text("This file holds no slider")).to_have_count(0)


def test_a_sum_of_faces_opens_in_explore(page: Page) -> None:
    page.get_by_role("tab", name="Lab").click()
    total = page.get_by_label("The sum, with its neighbours")
    expect(total).to_have_attribute("data-shown", re.compile(r"people( \d+){9}"))
    before = total.get_attribute("data-shown") or ""
    page.get_by_role("button", name="Mean of face 1: take another", exact=True).click()
    expect(total).not_to_have_attribute("data-shown", before)
    page.get_by_role("button", name="Open the sum in Explore").click()
    assert len(shown(page, "o=")["o"].split(".")) == NZ


def test_shuffle_shows_others(page: Page) -> None:
    page.get_by_role("tab", name="Real vs fake").click()
    picture = page.get_by_alt_text("64 generated faces in a grid")
    expect(picture).to_be_visible()
    before = picture.get_attribute("src") or ""
    page.get_by_role("button", name="Shuffle", exact=True).click()
    expect(picture).not_to_have_attribute("src", before)


def test_a_fake_is_laid_beside_its_nearest_reals(page: Page) -> None:
    choose_toons(page)
    page.get_by_role("tab", name="Real vs fake").click()
    page.get_by_role("button", name="Fake 5: its nearest training images").click()
    nearest = page.get_by_role("region", name="Nearest training images")
    expect(nearest.get_by_role("img")).to_have_count(7)
    expect(nearest.get_by_alt_text("Fake, seed 4")).to_be_visible()
    expect(nearest.get_by_text("Too few images are held out")).to_be_visible()


def test_a_fake_that_was_clicked_is_looked_at_in_the_next_checkpoint(page: Page) -> None:
    page.get_by_role("tab", name="Real vs fake").click()
    page.get_by_role("button", name="Fake 5: its nearest training images").wait_for()
    held: list[Route] = []

    def hold(route: Route) -> None:
        """What the other checkpoint's grids are asked for with, by the page itself: a name, and whose photos."""
        asked = route.request.post_data_json
        if len(asked["data"]) == 2 and not asked.get("event_data"):
            held.append(route)
        else:
            route.fallback()

    page.route("**/run/predict", hold)
    page.get_by_role("tab", name="Explore").click()
    choose_toons(page)
    page.get_by_role("tab", name="Real vs fake").click()
    page.get_by_role("button", name="Fake 5: its nearest training images").click()
    fake = page.get_by_role("region", name="Nearest training images").get_by_alt_text("Fake, seed 4")
    fake.wait_for()
    assert len(held) == 1
    with page.expect_request(lambda request: '"seed":4' in (request.post_data or "")):
        held[0].continue_()
    expect(fake).to_be_visible()


def test_spot_the_fake_ends_with_both_scores(page: Page) -> None:
    choose_toons(page)
    page.get_by_role("tab", name="Real vs fake").click()
    page.get_by_role("button", name="Spot the fake").click()
    for i in range(1, 21):
        expect(page.get_by_role("heading", name=f"Which one is the fake? {i} of 20")).to_be_visible()
        page.get_by_role("button", name="Left is the fake").click()
    score = page.get_by_text(re.compile(r"You \d+ of 20, discriminator \d+ of 20"))
    expect(score).to_be_visible()
    page.get_by_role("button", name="Back to the grids").click()
    expect(page.get_by_alt_text("64 generated faces in a grid")).to_be_visible()


def test_photos_of_ones_own_are_seen_by_nobody_else(page: Page, photos: Path, browser: Browser, demo: str) -> None:  # noqa: F811
    page.get_by_role("tab", name="Real vs fake").click()
    expect(page.get_by_alt_text("64 real images in a grid")).to_be_visible()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Use photos or a zip of my own").click()
    chooser.value.set_files(sorted(photos.iterdir())[:24])
    expect(page.get_by_text("24 pictures of your own")).to_be_visible()
    other = browser.new_page()
    other.goto(f"{demo}#face=people&seed=3")
    other.get_by_role("tab", name="Real vs fake").click()
    expect(other.get_by_text("that people learned from")).to_be_visible()
    other.close()
    page.get_by_role("button", name="Shuffle", exact=True).click()
    expect(page.get_by_text("24 pictures of your own")).to_be_visible()
    page.get_by_role("button", name="Forget my photos").click()
    expect(page.get_by_text("that people learned from")).to_be_visible()


def choose_toons(page: Page) -> None:
    page.get_by_label("Checkpoint").click()
    page.get_by_role("option", name="toons").click()
    shown(page, "face=toons")


def test_the_page_speaks_korean(browser: Browser, demo: str) -> None:  # noqa: F811
    page = browser.new_page(locale="ko-KR")
    page.goto(demo, timeout=PATIENCE)
    expect(page.get_by_role("tab", name="탐색")).to_be_visible()
    expect(page.get_by_role("heading", name="노이즈에서 태어난 얼굴")).to_be_visible()
    expect(page.get_by_text("64 × 64 픽셀의 컬러 얼굴을 그리며")).to_be_visible()
    page.get_by_role("tab", name="진짜와 가짜").click()
    expect(page.get_by_role("button", name="내 사진이나 zip 쓰기")).to_be_visible()
    page.close()


def test_every_word_of_the_page_is_in_korean_too() -> None:
    korean = json.loads((EXPLORER / "ko.json").read_text(encoding="utf-8"))
    scripts = "".join(path.read_text(encoding="utf-8") for path in EXPLORER.glob("*.js"))
    assert set(re.findall(r"""\bt\("([^"]+)\"""", scripts)) <= set(korean)
    for english, translated in korean.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", translated))


def test_a_page_at_rest_draws_no_frames(browser: Browser, demo: str) -> None:  # noqa: F811
    page = browser.new_page()
    counted = "const frame = requestAnimationFrame; window.frames_drawn = 0;"
    page.add_init_script(counted + "window.requestAnimationFrame = (draw) => (frames_drawn++, frame(draw));")
    page.goto(f"{demo}#face=people&seed=3", timeout=PATIENCE)
    page.locator("canvas.face[data-shown]").first.wait_for(timeout=PATIENCE)
    calm = "new Promise((done) => { frames_drawn = 0; setTimeout(() => done(frames_drawn < 10), 1000); })"
    assert any(page.evaluate(calm) for _ in range(20))  # what moves while it opens comes to an end
    page.close()


def test_names_and_texts_of_a_checkpoint_are_not_executed(browser: Browser, tmp_path: Path) -> None:
    evil = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
    config = make_checkpoint(tmp_path / "evil") / "config.json"
    facts = json.loads(config.read_text())
    config.write_text(json.dumps({**facts, "name": f"a {evil}", "data": {"name": evil, "license": evil, "count": 1}}))
    (tmp_path / "evil" / "README.md").write_text(f"# card\n{evil}\n[link](javascript:window.hacked=1)\n")
    studio = Studio(tmp_path)
    blocks = build_demo(studio)
    _, url, _ = blocks.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options(studio))
    page = browser.new_page()
    page.goto(url, timeout=PATIENCE)
    for name in TABS:
        page.get_by_role("tab", name=name, exact=True).click(timeout=PATIENCE)
        page.wait_for_timeout(300)
    expect(page.get_by_role("heading", name="card")).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("[onerror], a[href^='javascript']").count() == 0
    page.close()
    blocks.close()
