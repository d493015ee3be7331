"""A picture as training sees it: upright, opaque, square, with the tutorial's pixels."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from dcgan.data.crop import square, turned

RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)
STORED_AS = {  # what a camera does to a picture before it writes this orientation beside it
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# A block whose orientation is 6 and whose other tags (maker, unit) have values of the wrong type.
ODD = [(0x010F, 3, 1, b"\7\0\0\0"), (0x0112, 3, 1, b"\6\0\0\0"), (0x0128, 2, 3, b"ab\0\0")]
ODD_EXIF = b"Exif\0\0II*\0\10\0\0\0" + struct.pack("<H", len(ODD))
ODD_EXIF += b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in ODD) + bytes(4)


def corners() -> Image.Image:
    """A picture that every turn and every mirroring changes."""
    picture = Image.new("RGB", (48, 32), RED)
    picture.paste(BLUE, (24, 0, 48, 32))
    picture.paste(BLACK, (0, 16, 48, 32))
    return picture


def photo(kind: str, orientation: int = 1, **metadata: object) -> Image.Image:
    """`corners()` opened from a file that stores it with this orientation."""
    file, way = io.BytesIO(), STORED_AS[orientation]
    picture = corners() if way is None else corners().transpose(way)
    if not metadata:
        exif = Image.Exif()
        exif[0x0112] = orientation
        metadata = {"exif": exif}
    if kind == "MPO":
        metadata |= {"save_all": True, "append_images": [picture]}
    picture.save(file, kind, **metadata)
    return Image.open(file)


def is_upright(picture: Image.Image) -> bool:
    if picture.size != corners().size:
        return False
    return np.abs(np.asarray(picture.convert("RGB")).astype(int) - np.asarray(corners())).mean() < 4


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "MPO", "TIFF"])
def test_a_photo_is_turned_upright_once_however_often_that_is_called(kind, orientation):
    upright = turned(photo(kind, orientation))
    for _ in range(3):
        assert is_upright(upright)
        assert upright.getexif().get(0x0112, 1) == 1
        upright = turned(upright)
    assert np.array_equal(square(turned(photo(kind, orientation)), 16, 3), square(photo(kind, orientation), 16, 3))


def test_an_orientation_in_xmp_counts_and_is_dropped():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="3"/></x:xmpmeta>'
    upright = turned(photo("JPEG", 3, xmp=xmp))
    assert is_upright(upright)
    assert is_upright(turned(upright))


def test_a_photo_is_turned_whatever_else_its_exif_holds():
    upright = turned(photo("JPEG", 6, exif=ODD_EXIF))
    assert is_upright(upright)
    assert is_upright(turned(upright))


@pytest.mark.parametrize("exif", [b"Exif\0\0no TIFF here", b"Exif\0\0II*\0\377\377\377\377", b"Exif\0\0II"])
def test_metadata_that_cannot_be_read_counts_as_upright(exif):
    assert is_upright(turned(photo("JPEG", exif=exif)))
