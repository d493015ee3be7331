"""The page around the tabs: what is in it, the address, languages, keys, servers that are gone."""

import json
import re

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from dcgan.demo.app import build_demo, launch_options
from dcgan.demo.explorer import EXPLORER
from dcgan.demo.studio import Studio
from tests.browser.page import (
    SIZES,
    TABS,
    assert_shows,
    choose,
    choose_checkpoint,
    face,
    open_tab,
    pixels,
    plain_files,
    shown,
    wait_for_the_link_in_the_clipboard,
)
from tests.chromium import opened
from tests.demo_fixtures import MOMENTS, PATIENT, make_checkpoint
from tests.ports import free_port


@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_each_tab_shows_something_and_fits(page: Page) -> None:
    seen = {
        "Real vs fake": page.get_by_label("64 generated faces in a grid"),
        "Find my face": page.get_by_text("Give a photo with a face in it"),
        "Lab": page.get_by_label("The sum, with its neighbours"),
        "About": page.get_by_role("heading", name="a card"),
    }
    for name in TABS:
        open_tab(page, name)
        expect(seen.get(name, page.locator("canvas.face[data-shown]").filter(visible=True))).to_be_visible()
        if name not in seen:
            assert pixels(face(page)).std() > 5, f"{name} paints nothing"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
        cut = page.evaluate("""() => {
            const seen = (one) => one.checkVisibility() && !one.closest('[aria-hidden=true]');
            const beyond = (one) => seen(one) && one.getBoundingClientRect().right > innerWidth;
            return [...document.querySelectorAll('button, input, canvas')].filter(beyond).map((one) => one.outerHTML);
        }""")
        assert cut == [], f"{name} is cut off"


@pytest.mark.parametrize(("page", "scheme"), [("desk", "light"), ("phone", "dark")], indirect=["page"])
def test_axe_finds_no_serious_violation_on_any_tab(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.reload()
    shown(page)
    found = []
    for name in TABS:
        open_tab(page, name)
        expect(page.get_by_role("tabpanel").filter(visible=True).first).to_be_visible()
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found.append((name, violation["id"], [node["html"][:120] for node in violation["nodes"]]))
    assert found == []


def test_the_address_holds_tab_checkpoint_and_face(page: Page, studio: Studio) -> None:
    open_tab(page, "Lab")
    expect(page).to_have_url(re.compile("#tab=lab&face=people&seed=3"))
    page.reload()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Lab")
    page.evaluate("location.hash = 'face=toons&seed=5&truncation=1.8&z=2:1.5&d=age:1.25,principal 1:-9,height:2'")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Explore")
    expect(page.get_by_label("Checkpoint")).to_have_value("toons")
    shown(page, "face=toons&seed=5&truncation=1.8")
    directions = {"age": 1.25, "principal 1": -2}
    assert_shows(page, studio.face(5, "toons", truncation=1.8, edits={2: 1.5}, directions=directions))
    page.go_back()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Lab")
    expect(page.get_by_label("Checkpoint")).to_have_value("people")


@pytest.mark.parametrize(
    ("link", "seed"),
    [
        ("seed=7", 7),
        ("face=nobody&seed=x&truncation=NaN&z=,:;&w=-1&o=9.x&t=7&tab=none", 0),
        ("face=toons&amp;seed=7&amp;truncation=1", 7),
        ("face=toons&seed=7).", 7),
        ("face%3Dtoons%26seed%3D7%26d%3Dage%253A1", 7),
        ("face=toons&seed=7&d=age%253A1%22", 7),
    ],
)
def test_any_link_opens_a_face_the_one_that_was_meant_where_it_can_be_told(browser, demo, link, seed):
    with opened(browser, demo, link) as page:
        recipe = shown(page, f"seed={seed}&")
        assert recipe["face"] == ("toons" if "toons" in link else "people")
        assert recipe.get("d") == ("age:1" if "age" in link else None)


def test_the_link_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, 7)
    shown(page, "seed=7&")
    page.get_by_role("button", name="Copy link").click()
    wait_for_the_link_in_the_clipboard(page, "seed=7&")


def test_a_page_of_another_origin_embeds_the_demo_and_holds_the_links_of_its_faces(browser, demo, studio, tmp_path):
    program = re.search(r"assets/index-[^\"]+\.js", httpx.get(demo, **PATIENT).text)
    assert program
    host = f'<script type="module" src="{demo}{program[0]}"></script><gradio-app src="{demo}"></gradio-app>'
    (tmp_path / "blog.html").write_text(f"<title>blog</title>{host}")
    with plain_files(tmp_path) as elsewhere:
        routes = dict.fromkeys((f"{demo}**", f"{elsewhere}**"), lambda route: route.continue_())
        with opened(browser, f"{elsewhere}blog.html", "face=people&seed=3", faults=True, routes=routes) as page:
            shown(page, "seed=3&")
            expect(page.locator(".status")).to_have_text("")
            page.route("**/component_server**", lambda route: route.fulfill(json={}))
            choose(page, 7)
            shown(page, "seed=7&")
            assert_shows(page, studio.face(7))
            expect(page).to_have_url(re.compile("blog.html#.*seed=7&"))
            expect(page.locator(".explorer").first).to_have_css("display", "grid")  # it has its styles
            expect(page).to_have_title("blog")


@pytest.mark.parametrize("why", ["slow", "no worker", "no program", "no weights"])
def test_the_server_draws_where_the_browser_does_not(browser: Browser, demo: str, studio: Studio, why: str) -> None:
    held: list[Route] = []
    file = {"no worker": "**/worker.js", "no program": "**/kernel.wasm"}.get(why, "**/generator.safetensors")
    routes = {file: lambda route: held.append(route) if why == "slow" else route.fulfill(status=503)}
    with opened(browser, demo, "face=people&seed=3", faults=True, routes=routes) as page:
        shown(page, "seed=3&")
        reason = "until the generator is here" if why == "slow" else "since this browser cannot"
        expect(page.locator(".status")).to_contain_text(f"The server draws{'' if why == 'slow' else ','} {reason}")
        choose(page, 7)
        shown(page, "seed=7&")
        assert_shows(page, studio.face(7))
        open_tab(page, "Interpolate")
        shown(page, "spherical 17")
        if why == "slow":
            held[0].continue_()
            expect(page.locator(".status")).to_have_text("")


def test_the_time_machine_fetches_its_generator(page: Page, studio: Studio) -> None:
    slider = page.get_by_role("slider", name="Time machine")
    expect(slider).to_have_attribute("aria-valuetext", "fully trained")
    with page.expect_response(lambda answer: f"moments/{MOMENTS[1]}" in answer.url and answer.ok):
        slider.fill("1")
    shown(page, f"t={MOMENTS[1]}")
    expect(page.locator(".status")).to_have_text("")
    page.route("**/component_server**", lambda route: route.fulfill(json={}))
    choose(page, 8)
    shown(page, f"seed=8&truncation=1&t={MOMENTS[1]}")
    assert_shows(page, studio.face(8, moment=MOMENTS[1]))
    assert np.abs(studio.face(8, moment=MOMENTS[1]).astype(int) - studio.face(8)).max() > 10


def test_a_server_that_is_gone_is_named_and_what_it_left_empty_is_filled_when_it_is_back(browser, demo):
    gone = True
    routes = {
        "**/generator.safetensors": lambda route: route.fulfill(status=503),
        "**/component_server**": lambda route: route.abort() if gone else route.fallback(),
    }
    with opened(browser, demo, "tab=lab&face=people&seed=3", faults=True, routes=routes) as page:
        expect(page.get_by_text("The server does not answer").filter(visible=True)).to_be_visible()
        gone = False
        expect(page.get_by_label("Faces to mark")).to_have_attribute("data-shown", re.compile("people"))
        expect(page.get_by_text("The server does not answer").filter(visible=True)).to_have_count(0)


def test_what_a_server_that_was_started_anew_has_elsewhere_is_found_there(browser: Browser, demo: str) -> None:
    with opened(browser, demo, "face=people&seed=3", faults=True) as page:
        shown(page, "seed=3&")
        for file in ("discriminator.safetensors", "checkpoint.json"):
            page.route(f"**/{file}", lambda route: route.fulfill(status=403), times=1)
        page.evaluate("window.old = true; performance.now = () => 60_000")
        opinion = page.get_by_text("Discriminator's opinion")
        opinion.click()
        page.wait_for_function("!window.old")  # a navigation may be a new hash
        shown(page, "seed=3&")
        opinion.click()
        expect(page.get_by_role("meter", name="Discriminator's opinion")).to_have_attribute(
            "data-shown", re.compile("seed=3&")
        )


def test_what_is_refused_is_not_asked_for_again(browser: Browser, demo: str) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.post_data or "")
        route.fulfill(json={"error": "no face for you"})

    routes = {"**/generator.safetensors": lambda route: route.fulfill(status=503), "**/component_server**": refuse}
    with opened(browser, demo, "face=people&seed=3", faults=True, routes=routes) as page:
        page.clock.install()
        page.reload()
        expect(page.get_by_text("no face for you").first).to_be_visible()
        for _ in range(3):
            page.clock.fast_forward(10_000)
            page.evaluate("fetch('theme.css')")  # what was asked for before has been answered
        assert sorted(asked) == sorted(set(asked))


# Explore, which waits for its first picture, is not the first component that draws.
SHELL_FIRST = """HTMLImageElement.prototype.decode = async () => {
    while (!document.querySelector(".status")) await new Promise((done) => setTimeout(done));
}"""


def test_the_opinion_is_the_discriminators_in_the_browser_and_fails_apart(browser, demo, studio):
    busy = [True]

    def answer(route: Route) -> None:
        if busy and '"rivals"' in (route.request.post_data or ""):
            return route.fulfill(json={"error": "many visitors are here just now"})
        return route.fallback()

    routes = {"**/component_server**": answer}
    with opened(browser, demo, faults=True, routes=routes, script=SHELL_FIRST) as page:
        expect(page.get_by_role("button", name="Neighbour 8", exact=True)).to_be_visible()
        fetched = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
        assert not any("discriminator" in name for name in fetched)
        page.get_by_text("Discriminator's opinion").click()
        expect(page.get_by_text("many visitors are here just now")).to_be_visible()
        busy.clear()
        choose(page, 12)
        meter = page.get_by_role("meter", name="Discriminator's opinion")
        expect(meter).to_have_attribute("data-shown", re.compile("seed=12&"))
        expected = studio.opinion(seed=12).realer_than
        assert meter.evaluate("meter => meter.value") == pytest.approx(expected, abs=0.02)
        expect(page.locator(".message").filter(visible=True)).to_have_count(0)


def test_another_checkpoint_reaches_every_tab(page: Page) -> None:
    open_tab(page, "Interpolate")
    shown(page, "people")
    choose_checkpoint(page, "toons")
    shown(page, "toons")
    open_tab(page, "About")
    expect(page.get_by_text("toons set")).to_be_visible()
    open_tab(page, "Training replay")
    shown(page, "toons")
    open_tab(page, "Explore")
    shown(page, "face=toons")


# Five presses of ArrowLeft within the time that makes them one step, however busy the machine is.
KEYS = """slider => {
    for (const value of [0.99, 0.98, 0.97, 0.96, 0.95]) {
        slider.dispatchEvent(new KeyboardEvent('keydown'));
        slider.value = value;
        slider.dispatchEvent(new Event('input'));
        slider.dispatchEvent(new Event('change'));
    }
}"""


def test_tabs_and_sliders_are_moved_with_the_keyboard(page: Page) -> None:
    truncation = page.get_by_role("slider", name="variety, from average to unusual")
    truncation.press("ArrowLeft")
    shown(page, "truncation=0.99")
    page.keyboard.press("Control+z")
    shown(page, "truncation=1")
    truncation.evaluate(KEYS)
    shown(page, "truncation=0.95")
    page.keyboard.press("Control+z")  # keys in a row are one step, also when it is not sure yet that no key follows
    shown(page, "truncation=1")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.keyboard.press("Control+Shift+z")
    shown(page, "truncation=0.95")
    page.get_by_role("tab", name="Interpolate").press("Enter")
    shown(page, "spherical")
    page.get_by_role("slider", name="Position on the way").press("End")
    expect(face(page)).to_have_attribute("data-position", "1.000")


def test_a_finger_that_scrolls_the_page_moves_no_slider(page: Page) -> None:
    truncation = page.get_by_role("slider", name="variety, from average to unusual")
    truncation.dispatch_event("pointerdown")
    truncation.evaluate("slider => { slider.value = 0.2; slider.dispatchEvent(new Event('input')); }")
    shown(page, "truncation=0.2")
    truncation.dispatch_event("pointercancel")
    shown(page, "truncation=1")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_the_page_speaks_korean_errors_included(browser: Browser, demo: str) -> None:
    error = {"error": "this checkpoint keeps no snapshots of its training"}
    routes = {
        "**/generator.safetensors": lambda route: route.fulfill(status=503),
        "**/component_server**": lambda route: route.fulfill(json=error),
    }
    with opened(browser, demo, "tab=lab", faults=True, routes=routes, locale="ko-KR") as page:
        expect(page.get_by_role("tab", name="탐색")).to_be_visible()
        expect(page.get_by_role("heading", name="노이즈에서 태어난 얼굴")).to_be_visible()
        expect(page).to_have_title("노이즈에서 태어난 얼굴")
        expect(page.locator(".message").filter(visible=True)).to_have_text(re.compile("학습 스냅숏이 없습니다"))
        open_tab(page, "소개")
        expect(page.get_by_role("heading", name="쓰는 법")).to_be_visible()


def test_the_page_is_english_where_its_korean_does_not_arrive(browser: Browser, demo: str) -> None:
    routes = {"**/ko.json": lambda route: route.abort()}
    with opened(browser, demo, "face=people&seed=3", faults=True, routes=routes, locale="ko-KR") as page:
        shown(page, "seed=3&")
        expect(page.get_by_role("heading", name="Nobody here exists. Drag.")).to_be_visible()


def test_every_word_of_the_page_is_in_korean_too() -> None:
    korean, card = (json.loads((EXPLORER / f"{name}.json").read_text(encoding="utf-8")) for name in ("ko", "ko_card"))
    scripts = "".join(path.read_text(encoding="utf-8") for path in EXPLORER.glob("*.js"))
    assert set(re.findall(r"""\bt\("([^"]+)\"""", scripts)) <= set(korean)
    for english, translated in [*korean.items(), *card.items()]:
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", translated))


def test_a_page_at_rest_draws_no_frames_of_ours(page: Page) -> None:
    """Sooner or later a second passes without one."""
    page.evaluate("""() => {
        window.drawn = 1;
        const [context, draw] = [CanvasRenderingContext2D.prototype, CanvasRenderingContext2D.prototype.drawImage];
        context.drawImage = function (...all) { drawn++; return draw.apply(this, all); };
    }""")
    page.wait_for_function("() => { const calm = !drawn; drawn = 0; return calm; }", polling=1000)


def test_what_a_checkpoint_says_is_not_executed_and_without_snapshots_there_is_no_play(browser, tmp_path):
    evil = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
    folder = make_checkpoint(tmp_path / "evil")
    facts = json.loads((folder / "config.json").read_text())
    data = {"name": evil, "license": evil, "count": 1}
    (folder / "config.json").write_text(json.dumps({**facts, "name": f"a {evil}", "data": data}))
    (folder / "README.md").write_text(f"# card\n{evil}\n[link](javascript:window.hacked=1)\n")
    for snapshot in (folder / "snapshots").iterdir():
        snapshot.unlink()
    studio = Studio(tmp_path)
    blocks = build_demo(studio)
    (tmp_path / "files").mkdir()
    options = launch_options(studio, tmp_path / "files")
    url = blocks.launch(**options, prevent_thread_lock=True, quiet=True, server_port=free_port())[1]
    with opened(browser, url, faults=True) as page:
        shown(page)
        for name in TABS:
            open_tab(page, name)
            if name == "Training replay":
                expect(page.get_by_text("keeps no snapshots")).to_be_visible()
                expect(page.get_by_role("button", name="Play", exact=True).filter(visible=True)).to_have_count(0)
        expect(page.get_by_role("heading", name="card")).to_be_visible()
        assert page.evaluate("window.hacked") is None
        assert page.locator("[onerror], a[href^='javascript']").count() == 0
    blocks.close()
