"""What a visitor does in Explore, Interpolate, Training replay and Lab."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from dcgan.demo.studio import Studio
from dcgan.pictures import grid
from tests.browser.page import CLOSE, SIZES, assert_shows, choose, choose_checkpoint, face, open_tab, pixels, shown
from tests.demo_fixtures import FRAMES, NZ

PHONE = pytest.mark.parametrize("page", ["phone"], indirect=True)  # the other tests have a desk


@PHONE
def test_sliders_are_moved_undone_redone_and_reset(page: Page, studio: Studio) -> None:
    page.get_by_role("slider", name="Dimension ").first.press("End")
    number, amount = shown(page, "z=")["z"].split(":")  # which is first is known when all have been ranked
    assert amount == "3.5"
    assert_shows(page, studio.face(3, edits={number: 3.5}))
    expect(page.get_by_role("button", name="Redo")).to_be_disabled()
    page.keyboard.press("Control+z")
    expect(page.locator("canvas.face[data-shown*='z=']")).to_have_count(0)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.get_by_role("button", name="Redo").click()
    shown(page, "z=")
    page.get_by_role("button", name=f"Reset Dimension {number}", exact=True).click()
    expect(page.get_by_role("button", name="Reset all")).to_be_disabled()
    choose(page, 7)
    page.get_by_role("button", name="Random seed").click()
    expect(page.locator("canvas.face[data-shown*='seed=7&']")).to_have_count(0)
    page.go_back()
    shown(page, "seed=7&")


def test_every_dimension_is_found_and_named_directions_stand_first(page: Page) -> None:
    page.get_by_role("button", name=f"Show all {NZ}").click()
    sliders = page.get_by_role("slider", name="Dimension ")
    expect(sliders).to_have_count(NZ)
    page.get_by_text("By number", exact=True).click()
    expect(sliders.first).to_have_attribute("aria-label", "Dimension 0")
    page.get_by_label("Search dimensions").fill("13")
    expect(sliders).to_have_count(1)
    page.get_by_label("Search dimensions").fill("99")
    expect(page.get_by_text("No such dimension")).to_be_visible()
    choose_checkpoint(page, "toons")
    expect(page.get_by_role("slider", name="age, from younger to older", exact=True)).to_be_visible()
    expect(sliders).to_have_count(0)  # behind a click


def test_a_neighbour_is_walked_to_and_pictures_are_saved(page: Page, studio: Studio) -> None:
    page.get_by_role("button", name="Neighbour 3", exact=True).click()
    shown(page, "w=2")
    expect(page).to_have_url(re.compile("w=2"))
    assert_shows(page, studio.face(3, walk=[2]))
    for size in (64, 512):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save {size} px").click()
        assert download.value.suggested_filename == f"people-3-{size}px.png"


@PHONE
def test_a_path_is_scrubbed_played_grown_and_downloaded(page: Page) -> None:
    open_tab(page, "Interpolate")
    shown(page, "spherical 17")
    expect(face(page)).to_have_attribute("data-shown", re.compile("^people 0 "))  # it names no seeds to begin with
    page.get_by_role("button", name="Show face 1").click()
    expect(face(page)).to_have_attribute("data-position", "0.000")
    page.get_by_role("button", name="Play", exact=True).filter(visible=True).click()
    expect(face(page)).not_to_have_attribute("data-position", "0.000")
    page.get_by_role("button", name="Pause", exact=True).filter(visible=True).click()
    for format in ("GIF", "WebP", "MP4"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {format}").click()
        assert download.value.suggested_filename.endswith(f".{format.lower()}")
    page.get_by_role("button", name="Add the face of Explore").click()
    shown(page, " 3 spherical 33")
    page.get_by_text("Loop", exact=True).click()
    page.get_by_text("Straight", exact=True).click()
    shown(page, " 3 linear loop 48")
    page.get_by_role("button", name="Remove face 1").click()
    shown(page, " 3 linear loop 32")
    expect(page.get_by_role("button", name="Remove face 1")).to_be_disabled()


@PHONE
def test_the_replay_is_scrubbed_played_and_followed(page: Page) -> None:
    last = len(FRAMES) - 1
    open_tab(page, "Training replay")
    shown(page, f"people {last}")
    grid = pixels(face(page))
    scrubber = page.get_by_role("slider", name="Moment of the training")
    scrubber.press("Home")
    shown(page, "people 0")
    # The first frame began before the click.
    page.evaluate("""() => {
        const next = requestAnimationFrame;
        window.requestAnimationFrame = (draw) => next((now) => draw(now - 50));
    }""")
    page.get_by_role("button", name="Play", exact=True).filter(visible=True).click()
    shown(page, f"people {last}")
    page.get_by_role("button", name="Follow face 11", exact=True).click()
    shown(page, f"people {last} 10")
    assert np.array_equal(pixels(face(page)), grid[64:128, 128:192])
    page.get_by_role("button", name="Show all faces").click()
    for _ in FRAMES[2:]:
        scrubber.press("ArrowLeft")
    page.get_by_role("button", name="My own face at this moment").click()
    assert shown(page, f"t={FRAMES[1]}")["seed"] == "3"


@PHONE
def test_a_slider_of_ones_own_is_made_kept_loaded_tried_and_removed(page: Page, studio: Studio, tmp_path: Path) -> None:
    open_tab(page, "Lab")
    sheet = page.get_by_label("Faces to mark")
    expect(sheet).to_have_attribute("data-shown", re.compile(r"people( \d+){24}"))
    having, lacking = np.array((sheet.get_attribute("data-shown") or "").split()[1:5], int).reshape(2, 2).tolist()
    for n, clicks in ((1, 1), (2, 1), (3, 2), (4, 2)):
        for _ in range(clicks):
            page.get_by_role("button", name=re.compile(rf"^Mark face {n},")).click()
    expect(page.get_by_text("2 have it, 2 lack it")).to_be_visible()
    page.get_by_label("Name of the slider").fill("beam")
    page.get_by_role("button", name="Make the slider").click()
    trial = page.get_by_label("A face along the slider")
    expect(trial).to_have_attribute("data-shown", "beam")
    vector = json.loads(page.evaluate("sessionStorage.getItem('sliders')"))[0]["vector"]
    assert np.abs(np.array(vector) - studio.slider(having, lacking)).max() < 0.0021  # numbers with 3 digits
    steps = [{"seed": lacking[0], "shift": [round(step * value, 3) for value in vector]} for step in range(-3, 4)]
    assert np.abs(pixels(trial) - grid(studio.faces(steps), 7)).max() <= CLOSE
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    download.value.save_as(tmp_path / "beam.json")
    page.get_by_role("button", name="Remove beam").click()
    expect(page.get_by_role("button", name="Remove beam")).to_have_count(0)
    (tmp_path / "no.json").write_text('{"name": 3}')
    page.get_by_label("Load a slider").set_input_files(tmp_path / "no.json")
    expect(page.get_by_text("This file holds no slider")).to_be_visible()
    page.get_by_label("Load a slider").set_input_files(tmp_path / "beam.json")
    page.get_by_role("button", name="Try it in Explore").click()
    shown(page, "seed=3&")
    before = pixels(face(page))
    page.get_by_role("slider", name="beam").press("End")
    assert len(shown(page, "s=")["s"].split(".")) == NZ
    assert np.abs(pixels(face(page)) - before).mean() > 1


@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_every_figure_of_about_answers(page: Page) -> None:
    open_tab(page, "About")
    acts = {
        "A face is numbers": lambda figure: figure.get_by_role("button", name="Another number 4", exact=True).click(),
        "The duel": lambda figure: figure.get_by_label("Spoil it").press("End"),
        "The walk": lambda figure: figure.get_by_label("From one face to another").press("End"),
        "The sum": lambda figure: figure.get_by_role("button", name="Another face 2").click(),
        "The training": lambda figure: figure.get_by_label("Moment of the training").press("End"),
    }
    for title, act in acts.items():
        figure = page.get_by_role("region", name=title, exact=True)
        picture = figure.locator("canvas.face").element_handle()
        page.wait_for_function("picture => (picture.before = picture.toDataURL()) && picture.width === 64", arg=picture)
        act(figure)
        page.wait_for_function("picture => picture.toDataURL() !== picture.before", arg=picture)
    expect(page.get_by_role("region", name="The duel").get_by_text("To the discriminator, more real")).to_be_visible()
