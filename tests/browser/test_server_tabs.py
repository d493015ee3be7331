"""Real vs fake, Find my face and About: what of the page needs the server."""

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from dcgan.demo.studio import Studio
from dcgan.pictures import picture
from tests.browser.page import CLOSE, open_tab, pixels

PANEL = "#panel-real-vs-fake"


def opened_grids(page: Page, shown: str) -> None:
    """Open Real vs fake and wait for grids: checkpoint of the fakes, shuffle number, number of reals."""
    open_tab(page, "Real vs fake")
    expect(page.locator(f"{PANEL} [data-shown]")).to_have_attribute("data-shown", shown)


def choose_photos(page: Page, *photos: tuple[str, bytes]) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Use my own photos as the real ones").click()
    files = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in photos]
    chooser.value.set_files(files)  # type: ignore[arg-type]


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "PNG")
    return file.getvalue()


def test_the_first_fake_leads_to_its_nearest_images_where_drawn_faces_stand_in(page: Page, studio: Studio) -> None:
    opened_grids(page, "toons 0 64")
    expect(page.locator(PANEL)).to_contain_text("drawn faces stand in")
    fakes = pixels(page.get_by_role("img", name="64 generated faces in a grid"))
    assert np.abs(fakes[:64, :64].astype(int) - studio.face(0, "toons")).max() <= CLOSE
    page.get_by_role("button", name="Fake 1: its nearest training images").click()
    nearest = page.get_by_label("Nearest training images", exact=True)
    expect(nearest).to_contain_text("Fake, seed 0")
    expect(nearest.locator("canvas")).to_have_count(7)
    page.get_by_label("Shuffle number").fill("2")
    page.get_by_label("Shuffle number").press("Enter")
    expect(page.locator(f"{PANEL} [data-shown]")).to_have_attribute("data-shown", "toons 2 64")
    expect(nearest.locator("canvas")).to_have_count(0)


def test_the_quiz_is_played_to_its_end_against_the_discriminator(page: Page) -> None:
    opened_grids(page, "toons 0 64")
    page.get_by_role("button", name="Spot the fake").click()
    for i in range(20):
        expect(page.get_by_role("heading", name=f"Which one is the fake? {i + 1} of 20")).to_be_visible()
        page.get_by_role("button", name="Left is the fake").click()
    expect(page.locator(".score")).to_have_text(re.compile(r"You \d+ of 20, discriminator \d+ of 20\."))
    page.get_by_role("button", name="Back to the grids").click()
    expect(page.get_by_role("img", name="64 real images in a grid")).to_be_visible()


def test_a_few_own_photos_stay_as_small_as_the_fakes_until_they_are_forgotten(page: Page) -> None:
    opened_grids(page, "toons 0 64")
    choose_photos(page, *((f"{colour}.png", png(colour)) for colour in ("red", "lime", "blue")))
    opened_grids(page, "people 0 3")
    expect(page.locator(PANEL)).to_contain_text("your own photos (3)")
    grid = pixels(page.get_by_role("img", name="64 real images in a grid"))
    assert grid.shape == (512, 512, 3)
    assert [tuple(grid[32, 32 + 64 * i]) for i in range(3)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    page.get_by_role("button", name="Spot the fake").click()
    expect(page.locator(f"{PANEL} .message")).to_contain_text("The quiz needs 20")
    choose_photos(page, ("broken.png", b"no picture"))
    expect(page.get_by_text("there is no picture that can be read")).to_be_visible()
    expect(page.locator(PANEL)).to_contain_text("your own photos (3)")
    page.get_by_role("button", name="Forget my photos").click()
    opened_grids(page, "toons 0 64")
    expect(page.get_by_role("button", name="Forget my photos")).to_be_hidden()


def test_a_photo_leads_to_a_face_in_explore(page: Page, studio: Studio, tmp_path: Path) -> None:
    picture(studio.face(9, "people")).resize((200, 200)).save(tmp_path / "photo.png")
    open_tab(page, "Find my face")
    panel = page.locator("#panel-find")
    panel.locator("input[type=file]").set_input_files(tmp_path / "photo.png")
    expect(panel).to_contain_text(re.compile(r"Nearest face found. Mean difference in brightness \(0 to 255\): \d"))
    expect(panel).to_contain_text("No face was found in this photo: its centre is used.")
    panel.get_by_text("Edit in Explore").click()
    expect(page.locator("canvas.face").filter(visible=True)).to_have_attribute("data-shown", re.compile("o=-?\\d"))
    assert "face=people" in page.url


def test_a_file_that_is_no_photo_is_refused_and_any_photo_is_shown(page: Page, studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("not a photo")
    open_tab(page, "Find my face")
    panel = page.locator("#panel-find")
    panel.locator("input[type=file]").set_input_files(tmp_path / "photo.png")
    expect(panel.get_by_text("this is no picture that can be read")).to_be_visible()  # beside it, to stay
    picture(studio.face(9, "people")).resize((200, 200)).save(tmp_path / "photo.tiff")
    panel.locator("input[type=file]").set_input_files(tmp_path / "photo.tiff")
    expect(panel).to_contain_text("Nearest face found")
    expect(panel.locator("img").first).to_have_js_property("naturalWidth", 200)  # no browser shows a TIFF
    panel.get_by_label("Remove Image").click()
    panel.get_by_role("button", name="Try it with a made-up face").click()
    expect(panel).to_contain_text("Nearest face found")
