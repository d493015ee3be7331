"""The built-in drawn faces: the same everywhere, every factor visible, the head whole and centred."""

import hashlib
import json
import sys
from importlib.util import find_spec
from itertools import combinations

import numpy as np
import pytest

from dcgan.data import DataError, avatars, load_images

needs_drawing = pytest.mark.skipif(
    find_spec("python_avatars") is None or find_spec("resvg_py") is None,
    reason="drawing needs python-avatars and resvg-py",
)

# A face on which every factor can be seen.
BASELINE = {name: values[0] for name, values in avatars.FACTORS.items()} | {"hair": "short", "skin": "light"}


def pixels(factors: dict[str, str], size: int = 64) -> np.ndarray:
    return np.asarray(avatars.draw(factors, size)).astype(int)


def test_factors_are_the_same_everywhere_and_need_no_drawing_package(monkeypatch):
    """Another digest means another data set, not comparable with results on this one."""
    for package in ("python_avatars", "resvg_py"):
        monkeypatch.setitem(sys.modules, package, None)
    listing = json.dumps([avatars.factors(index) for index in range(1000)])
    digest = hashlib.sha256(listing.encode()).hexdigest()
    assert digest == "24ecb2201f4aad1c618a7fa1ff3e096cb87686ba3528335f89c6a9fb74fa054e"


@needs_drawing
@pytest.mark.parametrize("name", avatars.FACTORS)
def test_every_value_of_a_factor_looks_different(name):
    pictures = {value: pixels(BASELINE | {name: value}) for value in avatars.FACTORS[name]}
    for one, other in combinations(pictures, 2):
        changed = np.abs(pictures[one] - pictures[other]).max(axis=-1) > 15
        assert changed.sum() >= 12, f"{one} and {other} look the same"


@needs_drawing
def test_faces_are_squares_drawn_as_ever():
    """Another digest means other pixels: then raise VERSION, for packed copies are kept by it."""
    drawn = np.stack([np.asarray(avatars.draw(avatars.factors(index), 32)) for index in range(30)])
    assert drawn.shape == (30, 32, 32, 3)
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == "9e08da23c1e56938"


@pytest.mark.parametrize("package", ["python_avatars", "resvg_py"])
def test_drawing_without_its_packages_names_them(monkeypatch, tmp_path, package):
    monkeypatch.setitem(sys.modules, package, None)
    message = r"drawing faces needs two packages: pip install python-avatars resvg-py$"
    with pytest.raises(ImportError, match=message):
        avatars.draw(BASELINE)
    with pytest.raises(DataError, match=message):
        load_images("avatars", 32, limit=2, workers=0, cache=tmp_path, progress=False)
