"""The notebook: stored without outputs, and every cell of it runs."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = nbformat.read(ROOT / "notebooks" / "dcgan.ipynb", 4)
SMALL = """
DATAROOT, LIMIT, IMAGE_SIZE, MAX_IMAGES = {!r}, 40, 16, 96
"""


def test_no_outputs_are_stored() -> None:
    for cell in NOTEBOOK.cells:
        assert not cell.get("outputs") and not cell.get("execution_count")


def test_every_cell_runs_and_shows_what_it_says(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # nothing is installed: the package is there
    [inputs] = [i for i, cell in enumerate(NOTEBOOK.cells) if "parameters" in cell.metadata.get("tags", ())]
    cells = [*NOTEBOOK.cells]
    cells.insert(inputs + 1, nbformat.v4.new_code_cell(SMALL.format(str(photos))))
    notebook = nbformat.from_dict({**NOTEBOOK, "cells": cells})
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, startup_timeout=600, resources=place).execute()
    shown = [json.dumps(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    assert sum("data:image/" in outputs or "image/png" in outputs for outputs in shown) == 4
    widgets = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    models = [widget["model_name"] for widget in widgets]
    assert [models.count(f"{kind}SliderModel") for kind in ("Float", "Int")] == [1, 2]
    [face] = [widget for widget in widgets if widget["model_name"] == "ImageModel"]
    assert face["buffers"][0]["data"].startswith("iVBORw0KGgo")  # a PNG
    for text in ("Loss_D: ", "40 images, ", "after 96 images:", "ConvTranspose2d", "jupyter.widget-view"):
        assert sum(text in outputs for outputs in shown) == 1, text
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
