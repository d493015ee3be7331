"""The static page in a real browser, from a plain file server."""

import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import av
import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from dcgan.checkpoint import Checkpoint, load_checkpoint
from dcgan.demo.studio import Studio
from dcgan.hub.static import main
from dcgan.latent import arithmetic
from dcgan.latents import latents, path
from dcgan.pictures import grid
from dcgan.provenance import face_link, xmp
from dcgan.sampling import render, sample
from tests.browser.page import (
    CLOSE,
    SIZES,
    assert_shows,
    choose,
    face,
    open_tab,
    pixels,
    plain_files,
    shown,
    wait_for_the_link_in_the_clipboard,
)
from tests.chromium import opened
from tests.demo_fixtures import FRAMES, NZ, checkpoints  # noqa: F401


@pytest.fixture(scope="module")
def site(checkpoints: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: F811
    """The address of the page of `toons`, with 40 photos as real images."""
    folder = tmp_path_factory.mktemp("static") / "page"
    assert main([str(folder), "--checkpoint", str(checkpoints / "toons"), "--dataroot", str(photos)]) == 0
    with plain_files(folder) as address:
        yield address


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """The page, opened on seed 3. It must neither complain nor ask anyone else for anything."""
    with opened(browser, site, "face=toons&seed=3") as page:
        shown(page, "seed=3&")
        yield page


@pytest.fixture(scope="module")
def checkpoint(checkpoints: Path) -> Checkpoint:  # noqa: F811
    return load_checkpoint(checkpoints / "toons")


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:  # noqa: F811
    return Studio(checkpoints / "toons")


def test_seeds_have_the_pixels_that_they_have_in_python(page: Page, checkpoint: Checkpoint) -> None:
    seeds = (3, 0, 41, 2**32 - 1)
    for seed, pixels_of_it in zip(seeds, sample(checkpoint.generator, seeds).numpy(), strict=True):
        choose(page, seed)
        shown(page, f"seed={seed}&")
        assert_shows(page, pixels_of_it)


def test_a_link_of_the_demo_opens_the_same_face(browser: Browser, site: str, studio: Studio) -> None:
    parts = {"truncation": 0.7, "edits": {"2": 1.5}, "directions": {"age": 1.25}, "walk": [2, 9], "shift": [0.1] * NZ}
    link = "face=toons&seed=5&truncation=0.7&z=2:1.5&d=age:1.25&w=2.9&s=" + ".".join(["10"] * NZ)
    with opened(browser, site, link) as page:
        shown(page, "seed=5&truncation=0.7&z=2%3A1.5&d=age%3A1.25&w=2.9&s=")
        assert_shows(page, studio.face(5, **parts))
        page.get_by_role("button", name="Neighbour 3", exact=True).click()
        shown(page, "w=2.9.18")
        assert_shows(page, studio.face(5, **{**parts, "walk": [2, 9, 18]}))


def test_a_saved_picture_is_marked_and_opens_its_face_when_it_is_dropped(page: Page, checkpoint: Checkpoint) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save 64 px").click()
    saved = Path(download.value.path()).read_bytes()
    assert Image.open(io.BytesIO(saved)).info["xmp"] == xmp(checkpoint, face_link("toons", 3))
    choose(page, 7)
    shown(page, "seed=7&")
    drop = """([bytes, type]) => {
        const files = new DataTransfer();
        files.items.add(new File([new Uint8Array(bytes)], "a", { type }));
        const drop = new DragEvent("drop", { dataTransfer: files, bubbles: true });
        document.querySelector(".explorer").dispatchEvent(drop);
    }"""
    page.evaluate(drop, [list(saved), "image/png"])
    shown(page, "seed=3&")
    page.evaluate(drop, [[1, 2, 3], "image/png"])
    expect(page.get_by_text("This picture does not say")).to_be_visible()


def test_on_the_hub_the_outer_address_leads_to_the_face_follows_it_and_is_copied(browser: Browser, site: str) -> None:
    space, outer = "https://maker-page.static.hf.space/", "https://huggingface.co/spaces/maker/page"

    def serve(route: Route) -> None:
        answer = route.fetch(url=route.request.url.replace(space, site))
        body = answer.body().replace(b'data-space=""', b'data-space="maker/page"')
        route.fulfill(response=answer, body=body)

    frame = """<iframe width="1200" height="700" allow="clipboard-write"></iframe><script>
        document.querySelector("iframe").src = "%s" + location.hash;
        onmessage = ({ data }) => history.replaceState(null, "", data.hash);
    </script>"""  # as the Hub's page does
    routes = {
        f"{space}**": serve,
        f"{outer}**": lambda route: route.fulfill(content_type="text/html", body=frame % space),
    }
    allowed = ["clipboard-read", "clipboard-write"]
    with opened(browser, outer, "face=toons&seed=3", faults=True, routes=routes, permissions=allowed) as page:
        inside = page.frame_locator("iframe")
        expect(inside.locator("canvas.face")).to_have_attribute("data-shown", re.compile("seed=3&"))
        field = inside.get_by_label("Seed", exact=True)
        field.fill("7")
        field.press("Enter")
        expect(page).to_have_url(re.compile("seed=7&"))
        inside.get_by_role("tab", name="Lab").click()
        inside.get_by_role("button", name="Open the sum in Explore").click()
        expect(page).to_have_url(re.compile("o="))
        inside.get_by_role("button", name="Copy link").click()
        wait_for_the_link_in_the_clipboard(page, "o=")


# Ten times as slow, so that no busy machine misses what moves.
SLOWLY = """
    const [now, next] = [performance.now.bind(performance), requestAnimationFrame];
    performance.now = () => now() / 10;
    window.requestAnimationFrame = (draw) => next((time) => draw(time / 10));
"""


def test_the_page_moves_a_face_once_by_itself_until_it_is_touched(browser: Browser, site: str) -> None:
    with opened(browser, site, script=SLOWLY, reduced_motion="no-preference") as page:
        shown(page, "seed=0&truncation=1&d=age")
        page.mouse.wheel(0, 1)
        expect(page.locator("canvas.face")).to_have_attribute("data-shown", "face=toons&seed=0&truncation=1")
        expect(page.get_by_role("button", name="Undo")).to_be_disabled()
        assert "d=age" not in page.url


def test_a_look_inside_follows_the_face_and_its_brushes_are_switched_and_linked(
    browser: Browser, page: Page, site: str
) -> None:
    before = pixels(face(page))
    page.get_by_text("Look inside the generator").click()
    brush = page.get_by_role("button", name="Brush 1 of 8 × 8, as it is")
    maps = page.locator(".layer canvas")
    expect(maps).to_have_count(5)
    sides = maps.evaluate_all("all => all.map(({ width, height }) => [width / height, height])")
    assert sides == [[10, 4], [10, 8], [10, 16], [8, 32], [3, 64]]
    red = pixels(maps.last)[:, :64]
    assert np.abs(red[..., 0] - before[..., 0]).max() <= 1
    assert not red[..., 1:].any()
    brush.press("Enter")
    page.get_by_role("button", name="Brush 1 of 8 × 8, switched off").press("Enter")
    expect(page.get_by_role("button", name="Brush 1 of 8 × 8, three times as strong")).to_be_focused()
    unit = shown(page, "%3A3")["u"]
    assert unit.endswith(":3")
    assert np.abs(pixels(face(page)) - before).max() > 2
    expect(page.get_by_role("img", name="What it paints")).to_have_js_property("width", 64)
    with opened(browser, site, page.url.partition("#")[2]) as other:
        shown(other, f"u={quote(unit)}")
        assert np.array_equal(pixels(face(other)), pixels(face(page)))
    page.get_by_role("button", name="As it was").click()
    expect(page.locator(".layers")).to_have_attribute("data-shown", "{}")
    assert np.array_equal(pixels(face(page)), before)
    page.keyboard.press("Control+z")
    shown(page, f"u={quote(unit)}")


def test_the_discriminators_opinion_is_that_of_python(page: Page, studio: Studio) -> None:
    held: list[Route] = []
    page.context.route("**/discriminator.safetensors", lambda route: held.append(route))
    with page.context.expect_event("request", lambda request: "discriminator" in request.url):
        page.get_by_text("Discriminator's opinion").click()
    expect(page.get_by_text("Fetching the discriminator")).to_be_visible()
    choose(page, 7)
    shown(page, "seed=7&")  # no face waits for it
    held[0].continue_()
    for seed in (3, 7, 12):
        choose(page, seed)
        meter = page.get_by_role("meter", name="Discriminator's opinion")
        expect(meter).to_have_attribute("data-shown", re.compile(f"seed={seed}&"))
        opinion = studio.opinion(seed=seed)
        assert opinion is not None
        assert float(meter.evaluate("meter => meter.value")) == pytest.approx(opinion.realer_than, abs=0.02)


@pytest.mark.parametrize("end", ["There and back", "Loop"])
def test_an_animation_is_made_in_the_browser_and_marked(page: Page, checkpoint: Checkpoint, end: str) -> None:
    open_tab(page, "Interpolate")
    page.get_by_text(end, exact=True).click()
    shown(page, "loop 32" if end == "Loop" else "spherical 17")
    seed = int((face(page).get_attribute("data-shown") or "").split()[1])
    made = xmp(checkpoint, face_link("toons", seed))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download GIF").click()
    data = Path(download.value.path()).read_bytes()
    assert made in data
    with Image.open(io.BytesIO(data)) as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (32, (256, 256), 0)
        first = np.asarray(gif.convert("RGB").resize((64, 64), Image.Resampling.BOX)).astype(int)
        gif.seek(16)
        middle = np.asarray(gif.convert("RGB").resize((64, 64), Image.Resampling.BOX)).astype(int)
    wanted = sample(checkpoint.generator, [seed]).numpy()[0]
    assert np.abs(first - wanted).mean() < 8 < np.abs(middle - wanted).mean()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("Download (MP4|WebM)")).click()
        page.get_by_role("slider", name="Position on the way").press("End")  # the page goes on
    expect(face(page)).to_have_attribute("data-position", "1.000")
    data = Path(download.value.path()).read_bytes()
    assert made in data
    with av.open(io.BytesIO(data)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) > 1
    assert frames[0].shape == (256, 256, 3)
    assert np.abs(frames[0].reshape(64, 4, 64, 4, 3).mean((1, 3)) - wanted).mean() < 12


def test_fakes_stand_beside_real_images_or_own_photos_which_stay_in_the_browser(
    page: Page, checkpoint: Checkpoint
) -> None:
    open_tab(page, "Real vs fake")
    expect(page.locator("[data-shown='toons 0 40']")).to_be_visible()
    expect(page.get_by_text("Real: 40 photos.")).to_be_visible()
    fakes = page.get_by_role("img", name="64 generated faces in a grid")
    assert np.abs(pixels(fakes) - grid(sample(checkpoint.generator, range(64)).numpy())).max() <= CLOSE
    reals = page.get_by_role("img", name="64 real images in a grid")
    assert reals.evaluate("canvas => canvas.height") == 512
    choose = page.get_by_label("Use my own photos as the real ones")
    choose.set_input_files([photo("no.png", b"no picture")])
    expect(page.get_by_text("there is no picture that can be read")).to_be_visible()
    wide = [photo(f"{colour}.png", striped(colour)) for colour in ("red", "lime", "blue")]
    choose.set_input_files([*wide, photo("no.png", b"no picture")])
    expect(page.locator("[data-shown='toons 0 3']")).to_be_visible()
    expect(page.get_by_text("Real: your own photos (3).")).to_be_visible()
    own = pixels(reals)
    assert [tuple(own[32, 32 + 64 * i]) for i in range(3)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert (own[2, 2] == own[61, 61]).all()  # the middle, without the stripes at its sides
    page.get_by_role("button", name="Forget my photos").click()
    expect(page.locator("[data-shown='toons 0 40']")).to_be_visible()
    page.get_by_role("button", name="Spot the fake").click()
    expect(page.get_by_role("region", name="Spot the fake")).to_be_visible()


def photo(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def striped(colour: str) -> bytes:
    """A picture of one colour, with black at both sides of its middle square."""
    file, image = io.BytesIO(), Image.new("RGB", (300, 200))
    image.paste(colour, (40, 0, 260, 200))
    image.save(file, "PNG")
    return file.getvalue()


def test_a_sum_of_faces_is_that_of_python(page: Page, checkpoint: Checkpoint) -> None:
    open_tab(page, "Lab")
    result = page.get_by_role("img", name="The sum, with its neighbours")
    expect(result).to_have_attribute("data-shown", re.compile("toons .*"))
    terms = [int(seed) for seed in (result.get_attribute("data-shown") or "").split()[1:]]
    origin = arithmetic.arithmetic(*(latents(seeds, NZ) for seeds in (terms[:3], terms[3:6], terms[6:])))
    page.get_by_role("button", name="Open the sum in Explore").click()
    z = torch.tensor([int(value) / 100 for value in shown(page, "o=")["o"].split(".")])
    assert (z - origin).abs().max() < 0.0101  # of numbers with 2 digits
    assert_shows(page, render(checkpoint.generator, z[None])[0].permute(1, 2, 0).numpy())


def test_the_chosen_tab_can_be_told_in_forced_colours(browser: Browser, site: str) -> None:
    with opened(browser, site, forced_colors="active") as page:
        expect(page.get_by_role("tab", name="Explore", selected=True)).to_be_visible()
        tabs = page.get_by_role("tab").all()
        chosen, *others = (tab.evaluate("tab => getComputedStyle(tab).backgroundColor") for tab in tabs)
        assert chosen not in others


def test_the_card_is_in_korean_too(browser: Browser, site: str) -> None:
    with opened(browser, site, "tab=about", locale="ko-KR") as page:
        expect(page.get_by_role("heading", name="쓰는 법")).to_be_visible()
        expect(page.get_by_role("heading", name="Use")).to_have_count(0)


def test_each_tab_fits_and_has_an_address(page: Page, browser: Browser, site: str) -> None:
    for name in ("Interpolate", "Real vs fake", "Training replay", "Lab", "About", "Explore"):
        open_tab(page, name)
        for size in SIZES.values():
            page.set_viewport_size(size)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
        expect(page.get_by_role("heading", name="a card")).to_be_visible(visible=name == "About")
    expect(page.get_by_role("slider", name="Time machine")).to_be_hidden()
    open_tab(page, "Training replay")
    shown(page, f"toons {len(FRAMES) - 1}")
    with opened(browser, site, "tab=lab") as other:
        expect(other.get_by_role("tab", name="Lab")).to_have_attribute("aria-selected", "true")
        expect(other.get_by_role("button", name="Make the slider")).to_be_visible()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("kernel.wasm", None, "kernel.wasm: 404"),
        ("kernel.wasm", b"\0asm\2\0\0\0", "WebAssembly"),
        ("generator.safetensors", None, "generator.safetensors: 404"),
        ("networks.js", None, "worker.js does not run"),
        ("checkpoint.json", None, "checkpoint.json: 404"),
    ],
)
def test_a_page_that_is_not_whole_says_so(browser, site, file, content, message):
    routes = {f"**/{file}": lambda route: route.fulfill(status=200 if content else 404, body=content or b"gone")}
    with opened(browser, site, faults=True, routes=routes) as page:
        expect(page.get_by_text(message).first).to_be_visible()


def test_what_did_not_arrive_is_fetched_again(browser: Browser, site: str) -> None:
    lost = ["kernel.wasm", "lab.js"]

    def answer(route: Route) -> None:
        name = route.request.url.split("/")[-1]
        if name in lost:
            lost.remove(name)
            return route.fulfill(status=503)
        return route.continue_()

    routes = {"**/kernel.wasm": answer, "**/lab.js": answer}
    with opened(browser, site, "face=toons&seed=3", faults=True, routes=routes) as page:
        page.get_by_text("Look inside the generator").click()
        expect(page.get_by_text("kernel.wasm: 503")).to_have_count(2)
        page.evaluate(DRAWN)
        expect(page.get_by_text("kernel.wasm: 503")).to_have_count(0)
        shown(page, "seed=3&")
        expect(page.locator(".layer")).to_have_count(5)
        open_tab(page, "Lab")
        expect(page.get_by_text("The server does not answer")).to_be_visible()
        open_tab(page, "About")
        open_tab(page, "Lab")
        expect(page.get_by_label("Faces to mark")).to_have_attribute("data-shown", re.compile("toons"))


DRAWN = """async () => {
  const { engineOf } = await import("./engine.js");
  const drawn = () => engineOf().sheet("toons", [3], 1).then(() => true, () => false);
  while (!await drawn()) await new Promise((done) => setTimeout(done, 100));
}"""


def alive(page: Page, kind: str) -> int:
    """How many objects of a kind the page has, after the collection of garbage."""
    inspector = page.context.new_cdp_session(page)
    prototype = inspector.send("Runtime.evaluate", {"expression": f"{kind}.prototype"})["result"]["objectId"]
    found = inspector.send("Runtime.queryObjects", {"prototypeObjectId": prototype})["objects"]["objectId"]
    count = {"objectId": found, "functionDeclaration": "function () { return this.length; }", "returnByValue": True}
    return inspector.send("Runtime.callFunctionOn", count)["result"]["value"]


def test_a_long_drag_leaves_nothing_in_memory(page: Page) -> None:
    slider = page.get_by_role("slider", name="variety, from average to unusual")
    before = alive(page, "Promise") + alive(page, "ImageBitmap")
    for step in range(80):
        slider.evaluate("(slider, z) => { slider.value = z; slider.oninput(); }", step / 100)
        shown(page, f"truncation={step / 100:g}")
    assert alive(page, "Promise") + alive(page, "ImageBitmap") < before + 40


OVERTAKEN = """async () => {
  const { latest } = await import("./engine.js");
  performance.now = () => 0;  // answers are quick: there may be two requests at a time
  const [asked, events] = [[], []];
  const request = () => new Promise((resolve, reject) => asked.push({ resolve, reject }));
  const answer = (name) => ({ name, picture: { close: () => events.push(`${name} closed`) } });
  const ask = latest(request, ({ name }) => events.push(`${name} shown`), () => events.push("failed"));
  const until = async (count) => { while (asked.length < count) await new Promise((done) => setTimeout(done)); };
  ask({});
  asked[0].resolve(answer("quick"));
  await new Promise((done) => setTimeout(done));
  for (const late of [(one) => one.reject(new Error()), (one) => one.resolve(answer("late"))]) {
    const count = asked.length;
    ask({});
    ask({});
    await until(count + 2);
    asked[count + 1].resolve(answer("new"));
    await new Promise((done) => setTimeout(done));
    late(asked[count]);
    await new Promise((done) => setTimeout(done));
  }
  return events;
}"""


def test_what_comes_late_is_neither_shown_nor_complained_of(page: Page) -> None:
    assert page.evaluate(OVERTAKEN) == ["quick shown", "new shown", "new shown", "late closed"]


LATENTS = """async ([seeds, nz]) => {
  const { seedLatent } = await import("./latents.js");
  return seeds.map((seed) => [...seedLatent(seed, nz)]);
}"""
PATH = """async ([stops, spherical, loop]) => {
  const { latentPath } = await import("./latents.js");
  return latentPath(stops.map((z) => Float32Array.from(z)), 12, spherical, loop).map((z) => [...z]);
}"""


def test_latents_are_those_of_python(page: Page) -> None:
    seeds = [0, 1, 999, 2**31, 2**32 - 1, *range(10_000, 10_100)]
    for nz in (1, 7, 15, 16, 20, 100, 128):
        rows = page.evaluate(LATENTS, [seeds, nz])
        assert (torch.tensor(rows) - latents(seeds, nz)).abs().max() < 1e-6
    stops = latents([5, 6, 7], 20)
    stops[1] = 1.5 * stops[0]  # parallel, which spans no arc
    for spherical, loop in itertools.product((True, False), repeat=2):
        rows = page.evaluate(PATH, [stops.tolist(), spherical, loop])
        assert (torch.tensor(rows) - path(stops, 12, spherical, loop)).abs().max() < 1e-5
