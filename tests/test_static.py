"""The static page: what is written, and the page itself in a real browser from a plain file server."""

import base64
import io
import json
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from dcgan.checkpoint import load_checkpoint
from dcgan.demo.explorer import EXPLORER
from dcgan.demo.studio import Studio
from dcgan.hub.onnx_runtime import BUILD, ROOT, RUNTIME
from dcgan.hub.push import main
from dcgan.hub.static import MAX_SIZE, STATIC_FILES
from dcgan.latents import latents, path
from dcgan.pictures import grid
from dcgan.sampling import sample
from tests.chromium import ARGUMENTS, PATIENCE, find_chromium, opened
from tests.demo_fixtures import FRAMES, NZ, checkpoints, make_checkpoint  # noqa: F401
from tests.hub_stub import TOKEN, Hub

WORKER = ("worker.js", "generator.js", "kernel.wasm")

CLOSE = 2  # of 255 levels: what may lie between Python's pixels and the browser's
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
FEW = 256  # faces that the Lab's response is measured on: enough for 20 numbers
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm, which fetches onnxruntime-web, is not here")

# The Hub's client's own way to upload bytes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

Command = Callable[..., tuple[int, str]]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(scope="module")
def served(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:  # noqa: F811
    """The page of `toons`: its folder, and its address."""
    folder = tmp_path_factory.mktemp("static") / "page"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dcgan.latent.arithmetic.SAMPLES", FEW)
        assert main(["static", str(folder), "--checkpoint", str(checkpoints / "toons")]) == 0
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def page(browser: Browser, served: tuple[Path, str]) -> Iterator[Page]:
    """The page, opened on seed 3. It must neither complain nor ask anyone else for anything."""
    with opened(browser, served[1], "face=toons&seed=3", DESK) as page:
        shown(page, "seed=3&")
        yield page


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:  # noqa: F811
    return Studio(checkpoints / "toons")


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged in as the user `maker`."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: object) -> tuple[int, str]:
        code = main(list(map(str, arguments)))
        said = capsys.readouterr()
        return code, said.err if code else said.out

    return call


def shown(page: Page, link: str) -> Locator:
    """The canvas in view, once the recipe of what it shows holds `link`."""
    canvas = page.get_by_role("tabpanel").locator("canvas.face").filter(visible=True)
    expect(canvas).to_have_attribute("data-shown", re.compile(re.escape(link)))
    return canvas


def choose(page: Page, seed: int) -> None:
    field = page.get_by_label("Seed", exact=True)
    field.fill(str(seed))
    field.press("Enter")


def assert_shows(canvas: Locator, face: np.ndarray) -> None:
    """face: [H, W, 3]."""
    png = base64.b64decode(canvas.evaluate("canvas => canvas.toDataURL()").partition(",")[2])
    with Image.open(io.BytesIO(png)) as image:
        painted = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(painted - face).max() <= CLOSE
    assert face.std() > 5  # a face, and not a plain surface that anything would be close to


# In the browser


@needs_npm
@pytest.mark.browser
def test_seeds_have_the_pixels_that_they_have_in_python(page: Page, studio: Studio, checkpoints: Path) -> None:  # noqa: F811
    seeds = (3, 0, 41, 123_456, 2**32 - 1)
    faces = sample(load_checkpoint(checkpoints / "toons").generator, seeds).numpy()
    for seed, face in zip(seeds, faces, strict=True):
        choose(page, seed)
        assert_shows(shown(page, f"seed={seed}&"), face)


# Conditions in worker.js: whether the CPU plays the GPU, whether the CPU does not keep up, whether the GPU is slower.
REAL, SLOW, SLOWER = "adapter.info?.isFallbackAdapter", "fastest > FRAME", "performance.now() - begun > fastest"
TAKES_OVER, DRAWS = ("generator = (z)", "ready"), ("return toImage(images);", "on a GPU")
KEEP_DEVICE = """
const request = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...asked) {
  return (self.device = await request.apply(this, asked));
};"""


def change_worker(page: Page, folder: Path, *changes: tuple[str, str]) -> None:
    body = (folder / "worker.js").read_text() + KEEP_DEVICE
    for old, new in changes:
        assert old in body
        body = body.replace(old, new)
    page.context.route("**/worker.js", lambda route: route.fulfill(body=body, content_type="text/javascript"))


@pytest.fixture
def software_gpu(browser: Browser, served: tuple[Path, str]) -> Iterator[Page]:
    """A page in a browser whose WebGPU is played by the CPU."""
    arguments = [argument for argument in ARGUMENTS if argument != "--disable-gpu"]
    arguments += ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    own = browser.browser_type.launch(executable_path=find_chromium(), args=arguments)
    page = own.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(served[1])
    if not page.evaluate("async () => 'Suspending' in WebAssembly && !!(await navigator.gpu?.requestAdapter())"):
        pytest.skip("this Chromium has no WebGPU")
    page.goto("about:blank")
    yield page
    own.close()


@needs_npm
@pytest.mark.browser
@pytest.mark.parametrize("lost", [False, True])
def test_a_gpu_takes_over_and_draws_the_same_pixels_until_it_is_lost(
    software_gpu: Page, served: tuple[Path, str], studio: Studio, lost: bool
) -> None:
    page, drawn = software_gpu, list[str]()
    page.on("console", lambda message: drawn.append(message.text) if message.text == "on a GPU" else None)
    saying = [(line, f"console.info('{word}'); {line}") for line, word in (TAKES_OVER, DRAWS)]
    change_worker(page, served[0], (REAL, "false"), (SLOW, "true"), (SLOWER, "false"), *saying)
    with page.expect_console_message(lambda message: message.text == "ready"):
        page.goto(f"{served[1]}#face=toons&seed=3")
    if lost:
        [worker] = page.workers
        worker.evaluate("device.destroy()")
    before = len(drawn)
    for seed in (5, 6):
        choose(page, seed)
        assert_shows(shown(page, f"seed={seed}&"), studio.face(seed))
    assert (len(drawn) == before) == lost


@needs_npm
@pytest.mark.browser
@pytest.mark.parametrize("fast", [False, True])
def test_no_gpu_is_fetched_for_where_the_cpu_plays_it_or_keeps_up(
    software_gpu: Page, served: tuple[Path, str], studio: Studio, fast: bool
) -> None:
    page, asked = software_gpu, list[str]()
    change_worker(page, served[0], (REAL, "false") if fast else (SLOW, "true"))
    page.context.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served[1]}#face=toons&seed=3")
    assert_shows(shown(page, "seed=3&"), studio.face(3))
    expect(page.get_by_role("button", name="Neighbour 8", exact=True)).to_be_visible()
    assert any("kernel.wasm" in url for url in asked)
    assert not [url for url in asked if "ort" in url.rsplit("/", 1)[1] or url.endswith(".onnx")]


@needs_npm
@pytest.mark.browser
def test_a_drag_ends_with_the_face_of_its_last_value(page: Page, studio: Studio) -> None:
    slider = page.get_by_role("slider", name="age, from younger to older", exact=True)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    for i in range(30):
        page.mouse.move(box["x"] + box["width"] * (0.1 + 0.8 * i / 29), y)
    page.mouse.up()
    value = float(slider.input_value())
    assert value > 1.5
    assert_shows(shown(page, f"d=age%3A{value:g}"), studio.face(3, directions={"age": value}))


@needs_npm
@pytest.mark.browser
def test_a_link_of_the_demo_opens_the_same_face(page: Page, served: tuple[Path, str], studio: Studio) -> None:
    face = {
        "truncation": 0.7,
        "edits": {"2": 1.5},
        "directions": {"age": 1.25},
        "walk": [2, 9],
        "shift": [0.1] * NZ,
    }
    recipe = "truncation=0.7&z=2:1.5&d=age:1.25&w=2.9&s=" + ".".join(["10"] * NZ)
    page.goto("about:blank")
    page.goto(f"{served[1]}#face=toons&seed=5&{recipe}")
    assert_shows(shown(page, "seed=5&truncation=0.7&z=2%3A1.5&d=age%3A1.25&w=2.9&s="), studio.face(5, **face))
    page.goto("about:blank")
    page.goto(f"{served[1]}#face=toons&seed=0&o={'.'.join(['-50', '120'] * (NZ // 2))}")
    assert_shows(shown(page, "o=-50.120"), studio.face(origin=[-0.5, 1.2] * (NZ // 2)))


@needs_npm
@pytest.mark.browser
def test_a_neighbour_is_walked_to(page: Page, studio: Studio) -> None:
    page.get_by_role("button", name="Neighbour 3", exact=True).click()
    assert_shows(shown(page, "w=2"), studio.face(3, walk=[2]))
    expect(page.get_by_role("button", name="Neighbour 1", exact=True)).to_be_visible()


@needs_npm
@pytest.mark.browser
def test_the_way_is_drawn_and_scrubbed(page: Page, studio: Studio) -> None:
    page.get_by_role("tab", name="Interpolate").click()
    for kind in ("spherical", "linear"):
        page.get_by_text(kind.capitalize(), exact=True).click()
        canvas = shown(page, f"{kind} 17")
        seeds = [int(seed) for seed in (canvas.get_attribute("data-shown") or "").split()[1:3]]
        scrubber = page.get_by_role("slider", name="Position on the way")
        scrubber.fill("0.5")
        expect(canvas).to_have_attribute("data-position", "0.500")
        assert_shows(canvas, studio.path(seeds, kind, 17)[8])
    for format in ("GIF", "WebP", "MP4"):  # the server's work
        expect(page.get_by_role("button", name=f"Download {format}")).to_be_hidden()


@needs_npm
@pytest.mark.browser
def test_a_slider_of_ones_own_is_that_of_python(page: Page, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcgan.latent.arithmetic.SAMPLES", FEW)
    page.get_by_role("tab", name="Lab").click()
    sheet = page.get_by_role("img", name="Faces to mark")
    expect(sheet).to_have_attribute("data-shown", re.compile("toons .*"))
    seeds = [int(seed) for seed in (sheet.get_attribute("data-shown") or "").split()[1:]]
    for i, clicks in enumerate((1, 1, 1, 2, 2)):
        for _ in range(clicks):
            page.get_by_role("button", name=f"Mark face {i + 1},").click()
    page.get_by_role("button", name="Make the slider").click()
    trial = page.get_by_role("img", name="A face along the slider")
    expect(trial).to_have_attribute("data-shown", "my slider")
    vector = json.loads(page.evaluate("sessionStorage.getItem('sliders')"))[0]["vector"]
    assert np.abs(np.subtract(vector, studio.slider(seeds[:3], seeds[3:5]))).max() < 0.0021  # of numbers with 3 digits
    steps = [{"seed": seeds[3], "shift": [round(step * value, 3) for value in vector]} for step in range(-3, 4)]
    assert_shows(trial, grid(studio.faces(steps), 7))


@needs_npm
@pytest.mark.browser
def test_a_sum_of_faces_is_that_of_python(page: Page, studio: Studio) -> None:
    page.get_by_role("tab", name="Lab").click()
    result = page.get_by_role("img", name="The sum, with its neighbours")
    expect(result).to_have_attribute("data-shown", re.compile("toons .*"))
    terms = [int(seed) for seed in (result.get_attribute("data-shown") or "").split()[1:]]
    origin = studio.arithmetic(terms[:3], terms[3:6], terms[6:])
    around = [{"origin": origin, "walk": [step] if step else []} for step in (1, 2, 3, 4, 0, 5, 6, 7, 8)]
    assert_shows(result, grid(studio.faces(around), 3))
    page.get_by_role("button", name="Open the sum in Explore").click()
    canvas = shown(page, "o=")
    opened = parse_qs(canvas.get_attribute("data-shown"))["o"][0].split(".")
    assert np.abs(np.array(opened, float) - 100 * np.array(origin)).max() < 1.1  # of numbers with 2 digits
    assert_shows(canvas, studio.face(origin=[int(value) / 100 for value in opened]))


@needs_npm
@pytest.mark.browser
def test_the_replay_shows_the_first_frame_and_the_last(page: Page) -> None:
    page.get_by_role("tab", name="Training replay").click()
    shown(page, f"toons {len(FRAMES) - 1}")
    page.get_by_role("slider", name="Moment of the training").focus()
    page.keyboard.press("Home")
    canvas = shown(page, "toons 0")
    assert canvas.evaluate("canvas => canvas.width") == 512
    expect(page.get_by_role("img", name="Loss over images seen")).to_be_visible()


@needs_npm
@pytest.mark.browser
def test_each_tab_fits_and_about_has_the_card(page: Page) -> None:
    for name in ("Interpolate", "Training replay", "Lab", "About", "Explore"):
        page.get_by_role("tab", name=name, exact=True).click()
        for size in (PHONE, DESK):
            page.set_viewport_size(size)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
        expect(page.get_by_role("heading", name="a card")).to_be_visible(visible=name == "About")
    expect(page.get_by_text("toons set")).to_be_visible()
    expect(page.get_by_role("slider", name="Time machine")).to_be_hidden()


@needs_npm
@pytest.mark.browser
def test_it_speaks_korean_and_is_dark_where_the_visitor_is(browser: Browser, served: tuple[Path, str]) -> None:
    context = browser.new_context(locale="ko-KR", color_scheme="dark")
    page = context.new_page()
    page.goto(served[1], timeout=PATIENCE)
    expect(page.get_by_role("tab", name="탐색")).to_be_visible()
    expect(page.get_by_role("heading", name="노이즈에서 태어난 얼굴")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 14, 13)"
    context.close()


@needs_npm
@pytest.mark.browser
@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("kernel.wasm", "The generator cannot run here: kernel.wasm: 404"),
        ("generator.safetensors", "The generator cannot run here: generator.safetensors: 404"),
        ("cpu_generator.js", "The generator cannot run here: worker.js does not load"),
        ("checkpoint.json", "The server does not give checkpoint.json: 404"),
    ],
)
def test_a_page_that_is_not_whole_says_so(browser: Browser, served: tuple[Path, str], file: str, said: str) -> None:
    page = browser.new_page()
    page.route(f"**/{file}", lambda route: route.fulfill(status=404, body="<h1>not here</h1>"))
    page.goto(served[1], timeout=PATIENCE)
    expect(page.get_by_text(said)).to_be_visible()
    page.close()


@needs_npm
@pytest.mark.browser
def test_a_browser_that_cannot_run_it_says_so(browser: Browser, served: tuple[Path, str]) -> None:
    page = browser.new_page()
    page.route("**/*.wasm", lambda route: route.fulfill(body=b"\0asm\2\0\0\0"))
    page.goto(served[1], timeout=PATIENCE)
    expect(page.get_by_text("The generator cannot run here: WebAssembly")).to_be_visible()
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("nz", [1, 7, 15, 16, 20, 100, 128])
def test_a_seed_is_the_same_z_in_the_browser(browser: Browser, nz: int) -> None:
    seeds = [0, 1, 999, 2**31, 2**32 - 1, *range(10_000, 10_100)]
    page = browser.new_page()
    script = (EXPLORER / "latents.js").read_text(encoding="utf-8")
    rows = page.evaluate(
        f"([seeds, nz]) => {{ {script}; return seeds.map((s) => [...seedLatent(s, nz)]); }}", [seeds, nz]
    )
    page.close()
    assert (torch.tensor(rows) - latents(seeds, nz)).abs().max() < 1e-6


@pytest.mark.browser
@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("loop", [True, False])
def test_a_path_is_the_same_in_the_browser(browser: Browser, spherical: bool, loop: bool) -> None:
    stops = latents([5, 6, 7], 20)
    stops[1] = 1.5 * stops[0]  # parallel, which spans no arc
    page = browser.new_page()
    script = (EXPLORER / "latents.js").read_text(encoding="utf-8")
    call = "latentPath(stops.map((z) => Float32Array.from(z)), 12, spherical, loop).map((z) => [...z])"
    given = [stops.tolist(), spherical, loop]
    rows = page.evaluate(f"([stops, spherical, loop]) => {{ {script}; return {call}; }}", given)
    page.close()
    assert (torch.tensor(rows) - path(stops, 12, spherical, loop)).abs().max() < 1e-5


# What is written


@needs_npm
def test_the_folder_is_small_and_whole(served: tuple[Path, str]) -> None:
    folder = served[0]
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    own = {"index.html", "page.js", "page.css", *WORKER, "checkpoint.json", "generator.onnx", "generator.safetensors"}
    frames = {f"snapshots/{i}.webp" for i in range(len(FRAMES))}
    assert names == own | frames | {*BUILD, "README.md", "thumbnail.jpg"}
    assert (
        sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 18_000_000
    )  # and twice 7 MB of weights
    front = (folder / "README.md").read_text().split("---\n")[1]
    assert "sdk: static\n" in front
    assert "app_file: index.html\n" in front


@needs_npm
@pytest.mark.usefixtures("maker")
def test_it_is_pushed_as_a_static_space_and_replaces_an_older_one(
    hub: Hub,
    checkpoints: Path,  # noqa: F811
    tmp_path: Path,
    command: Command,
) -> None:
    old = {"ort.older.mjs": b"", "snapshots/99.webp": b"", "notes.md": b"mine"}
    repo = hub.add("spaces", "maker/page", old, sdk="static")
    arguments = ("--checkpoint", checkpoints / "toons", "--push")
    assert command("static", tmp_path / "a", *arguments, "maker/page") == (0, f"{hub.url}/spaces/maker/page\n")
    page = {file.relative_to(tmp_path / "a").as_posix() for file in (tmp_path / "a").rglob("*") if file.is_file()}
    assert set(repo.files) == page | {".gitattributes", "notes.md"}
    assert all(repo.files[name] == (tmp_path / "a" / name).read_bytes() for name in page)
    assert len(repo.commits) == 2
    assert command("static", tmp_path / "b", *arguments, "maker/new", "--private")[0] == 0
    new = hub.repos["spaces", "maker/new"]
    assert (new.sdk, new.private) == ("static", True)
    # All that it consists of would be deleted there if it were no longer part of it.
    assert set(filter_repo_objects(sorted(page), allow_patterns=list(STATIC_FILES))) == page


@needs_npm
def test_a_push_that_fails_is_one_line_and_the_page_stays(
    hub: Hub,
    checkpoints: Path,  # noqa: F811
    tmp_path: Path,
    command: Command,
) -> None:
    out = tmp_path / "out"
    code, line = command("static", out, "--checkpoint", checkpoints / "toons", "--push", "maker/page")
    assert (code, line.count("\n")) == (2, 1)
    assert "'maker/page' was not changed: you are not logged in to the Hub" in line
    assert (out / "index.html").is_file()
    assert hub.repos == {}


@needs_npm
@pytest.mark.parametrize("limit", [1_000_000, 10**9])
def test_a_large_page_is_said_to_be_one(
    checkpoints: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limit: int,
) -> None:
    monkeypatch.setattr("dcgan.hub.static.MAX_SIZE", limit)
    assert main(["static", str(tmp_path / "out"), "--checkpoint", str(checkpoints / "toons")]) == 0
    said = capsys.readouterr().err
    assert re.fullmatch(r"hub: '.*out' has 1\d\.\d MB: above 1 MB .*\n", said) if limit == 1_000_000 else said == ""


@needs_npm
def test_the_page_of_the_shipped_faces_is_small_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Studio, "ranking", lambda self: [])  # a few hundred bytes that take time
    monkeypatch.setattr("dcgan.latent.arithmetic.SAMPLES", FEW)
    assert main(["static", str(tmp_path / "out"), "--checkpoint", str(ROOT / "checkpoints" / "faces")]) == 0
    assert capsys.readouterr().err == ""
    sizes = {file.name: file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert sum(sizes.values()) <= MAX_SIZE
    assert min(sizes["generator.onnx"], sizes["generator.safetensors"]) > 7_000_000
    frames = json.loads((tmp_path / "out" / "checkpoint.json").read_text())["replay"]["frames"]
    assert [f"{i}.webp" in sizes for i in range(len(frames) + 1)] == [True] * len(frames) + [False]
    assert frames[-1] == load_checkpoint(ROOT / "checkpoints" / "faces").snapshots[-1].images_seen


@needs_npm
def test_html_in_a_card_is_shown_and_not_obeyed(checkpoints: Path, tmp_path: Path, command: Command) -> None:  # noqa: F811
    shutil.copytree(checkpoints / "toons", tmp_path / "run")
    text = "<script>alert(1)</script> [here](javascript:alert(1)) $title ${about}\n"
    (tmp_path / "run" / "README.md").write_text(text)
    assert command("static", tmp_path / "out", "--checkpoint", tmp_path / "run", "--title", "Mine")[0] == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    assert "$title ${about}" in page
    assert "title: Mine\n" in (tmp_path / "out" / "README.md").read_text()


def refused(command: Command, out: Path, checkpoint: Path) -> str:
    """The one line; nothing may be left behind."""
    code, line = command("static", out, "--checkpoint", checkpoint)
    assert (code, line.count("\n")) == (2, 1)
    assert not [left for left in out.parent.iterdir() if out.name in left.name and left != out]
    return line


def test_a_folder_that_holds_something_is_left_alone(checkpoints: Path, tmp_path: Path, command: Command) -> None:  # noqa: F811
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("x")
    assert "is there already: name a new folder" in refused(command, out, checkpoints / "toons")
    assert (out / "precious.txt").read_text() == "x"


@needs_npm
def test_folders_beside_it_are_left_alone(checkpoints: Path, tmp_path: Path, command: Command) -> None:  # noqa: F811
    beside = [tmp_path / f"page.{name}" / "photo.txt" for name in ("old", "new")]
    for file in beside:
        file.parent.mkdir()
        file.write_text("precious")
    for checkpoint, code in ((checkpoints / "wreck", 2), (checkpoints / "toons", 0)):
        assert command("static", tmp_path / "page", "--checkpoint", checkpoint)[0] == code
        assert (tmp_path / "page").exists() == (code == 0)
        assert [file.read_text() for file in beside] == ["precious"] * 2
    assert len(list(tmp_path.iterdir())) == 3


def test_a_broken_checkpoint_is_one_line(checkpoints: Path, tmp_path: Path, command: Command) -> None:  # noqa: F811
    assert "is damaged" in refused(command, tmp_path / "out", checkpoints / "wreck")
    assert "no checkpoint at" in refused(command, tmp_path / "out", tmp_path / "nothing")
    assert not (tmp_path / "out").exists()


def test_broken_directions_are_one_line(checkpoints: Path, tmp_path: Path, command: Command) -> None:  # noqa: F811
    shutil.copytree(checkpoints / "toons", tmp_path / "run")
    (tmp_path / "run" / "directions.safetensors").write_bytes(b"x")
    assert "directions.safetensors" in refused(command, tmp_path / "out", tmp_path / "run")


@pytest.mark.parametrize(("package", "name"), [("onnx", "onnx"), ("markdown_it", "markdown-it-py")])
def test_a_missing_package_is_named(
    checkpoints: Path,  # noqa: F811
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    name: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    line = refused(command, tmp_path / "out", checkpoints / "toons")
    assert f"needs {name}: pip install -r requirements-static.txt" in line


def test_a_missing_npm_is_named(
    checkpoints: Path,  # noqa: F811
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(ROOT / "package.json", tmp_path)
    monkeypatch.setattr("dcgan.hub.onnx_runtime.ROOT", tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    line = refused(command, tmp_path / "out", checkpoints / "toons")
    assert "needs npm" in line
    assert "install Node.js" in line


@needs_npm
def test_an_npm_that_fails_is_one_line(
    checkpoints: Path,  # noqa: F811
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(ROOT / "package.json", tmp_path)  # and no lock, without which npm installs nothing
    monkeypatch.setattr("dcgan.hub.onnx_runtime.ROOT", tmp_path)
    assert "onnxruntime-web could not be fetched (npm: " in refused(command, tmp_path / "out", checkpoints / "toons")


def test_the_lock_pins_what_is_asked_for_and_names_no_host() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    asked = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert lock["packages"][f"node_modules/{RUNTIME}"]["version"] == asked[RUNTIME]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
    assert not any("resolved" in package for package in lock["packages"].values())
