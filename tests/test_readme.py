"""The README's front matter is what a Hugging Face Space reads; its pins must be the ones that are installed."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def front_matter() -> dict:
    return yaml.safe_load(README.split("---\n")[1])


def test_sdk_version_is_the_gradio_that_requirements_pin(front_matter: dict) -> None:
    pin = re.search(r"^gradio==(.+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pin is not None
    assert str(front_matter["sdk_version"]) == pin[1]


def test_front_matter_is_what_a_gradio_space_needs(front_matter: dict) -> None:
    assert front_matter["sdk"] == "gradio"
    assert (ROOT / front_matter["app_file"]).is_file()
    assert len(front_matter["short_description"]) <= 60
    assert {front_matter["colorFrom"], front_matter["colorTo"]} <= {
        *("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
    }
    assert re.fullmatch(r"3\.\d+", front_matter["python_version"])


def test_pictures_and_files_that_the_readme_links_exist() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
