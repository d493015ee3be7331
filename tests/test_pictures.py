"""Faces in grids, whatever their number, size and colours."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dcgan.pictures import grid


@given(count=st.integers(1, 70), size=st.integers(1, 9), nc=st.sampled_from([1, 3]), columns=st.integers(1, 12))
def test_a_grid_holds_each_image_in_its_place_and_is_black_elsewhere(count, size, nc, columns):
    images = np.random.default_rng(count).integers(1, 256, (count, size, size, nc), dtype=np.uint8)
    sheet = grid(images, columns)
    assert sheet.shape == (-(-count // columns) * size, columns * size, nc)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        cell = slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)
        assert np.array_equal(sheet[cell], image)
        sheet[cell] = 0
    assert not sheet.any()
