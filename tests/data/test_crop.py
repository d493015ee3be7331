"""A picture as training sees it: upright, opaque, square, with the tutorial's pixels."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from torchvision import transforms

from dcgan.data.crop import square, turned
from tests.data.pictures import BLACK, BLUE, GREEN, RED, WHITE, blot, colour, load, put, zip_of

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


def kept(picture: Image.Image, kind: str, **options: object) -> Image.Image:
    """The picture, by way of a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return Image.open(file)


def photo(kind: str, orientation: int = 1, **metadata: object) -> Image.Image:
    """`corners()` opened from a file that stores it with this orientation."""
    way = STORED_AS[orientation]
    picture = corners() if way is None else corners().transpose(way)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pages = {"save_all": True, "append_images": [picture]} if kind == "MPO" else {}
    return kept(picture, kind, **pages, **(metadata or {"exif": exif}))


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


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="3"/></x:xmpmeta>'


@pytest.mark.parametrize(("orientation", "metadata"), [(3, {"xmp": XMP}), (6, {"exif": ODD_EXIF})])
def test_an_orientation_in_xmp_or_in_malformed_exif_counts_and_is_dropped(orientation, metadata):
    upright = turned(photo("JPEG", orientation, **metadata))
    assert is_upright(upright)
    assert is_upright(turned(upright))


@pytest.mark.parametrize("exif", [b"Exif\0\0no TIFF here", b"Exif\0\0II*\0\377\377\377\377", b"Exif\0\0II"])
def test_metadata_that_cannot_be_read_counts_as_upright(exif):
    assert is_upright(turned(photo("JPEG", exif=exif)))


def tutorials(picture: Image.Image, size: int) -> np.ndarray:
    """The tutorial's transforms: uint8 [3, size, size]."""
    resized = transforms.Resize(size)(picture.convert("RGB"))
    return np.asarray(transforms.CenterCrop(size)(resized)).transpose(2, 0, 1)


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("shape", [(16, 16), (40, 40), (17, 61), (61, 17), (33, 32), (100, 40), (20, 9)])
def test_resize_and_crop_are_the_tutorials(shape, size):
    assert np.array_equal(square(blot(*shape), size, 3), tutorials(blot(*shape), size))


def test_celeba_as_the_tutorial_lays_it_out_gives_the_tutorials_pixels(tmp_path):
    names = [f"img_align_celeba/{i:06d}.jpg" for i in range(1, 4)]
    put(tmp_path, *names, size=(178, 218))
    (tmp_path / "list_attr_celeba.txt").touch()
    images = load(tmp_path, size=64)
    assert images.names == names
    for pixels, name in zip(images.pixels, names, strict=True):
        assert np.array_equal(pixels, tutorials(Image.open(tmp_path / name), 64))


def test_pixels_are_those_of_every_earlier_version(tmp_path):
    """Checkpoints and runs know their data by these digests."""
    exif = Image.Exif()
    exif[0x0112] = 6
    blot(40, 24).save(tmp_path / "wide.png")
    blot(17, 61, 1).save(tmp_path / "tall.bmp")
    blot(9, 12, 2).save(tmp_path / "small.png")
    blot(30, 31, 3).convert("L").save(tmp_path / "grey.png")
    blot(30, 31, 4).quantize(8).save(tmp_path / "palette.gif")
    glassy = blot(33, 32, 5)
    glassy.putalpha(blot(33, 32, 6).convert("L"))
    glassy.save(tmp_path / "glassy.png")
    blot(32, 20, 7).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 150).save(tmp_path / "deep.png")
    Image.new("RGB", (200, 3), (9, 200, 30)).save(tmp_path / "strip.png")
    assert [load(tmp_path, 16).digest, load(tmp_path, 32, 1).digest] == ["89c351fc97c17921", "bfdf1bb9ce620620"]


def halves(mode: str, left: object, right: object) -> Image.Image:
    picture = Image.new(mode, (16, 16), left)
    picture.paste(right, (8, 0, 16, 16))
    return picture


def palette() -> Image.Image:
    picture = halves("P", 0, 1)
    picture.putpalette([*GREEN, *BLUE])
    return picture


FRAMES = [Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)]


@pytest.mark.parametrize(
    ("picture", "left", "right"),
    [
        (kept(halves("RGB", RED, BLUE), "PNG"), RED, BLUE),
        (kept(halves("RGB", (9, 5, 0), BLACK), "PNG"), (9, 5, 0), BLACK),  # dark in 8 bits: it stays so
        (kept(halves("L", 7, 200), "PNG"), (7,) * 3, (200,) * 3),
        (kept(halves("1", 1, 0), "PNG"), WHITE, BLACK),
        (kept(halves("RGBA", (0, 0, 0, 0), (0, 0, 0, 128)), "PNG"), WHITE, (127,) * 3),  # transparency shows white
        (kept(halves("LA", (0, 0), (100, 255)), "PNG"), WHITE, (100,) * 3),
        (kept(palette(), "PNG"), GREEN, BLUE),
        (kept(palette(), "GIF"), GREEN, BLUE),
        (kept(palette(), "PNG", transparency=0), WHITE, BLUE),
        (kept(palette(), "GIF", transparency=0), WHITE, BLUE),
        (kept(halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), "JPEG", quality=95), RED, BLACK),
        (kept(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), RED, RED),  # an animation
        (kept(halves("CMYK", (0, 255, 255, 0), (255, 255, 0, 0)), "TIFF"), RED, BLUE),
        (kept(halves("RGBA", (0, 0, 255, 0), (0, 0, 255, 255)).quantize(4), "PNG"), WHITE, BLUE),
    ],
)
def test_every_mode_becomes_opaque_colours_or_greys(picture, left, right):
    colours, greys = square(picture, 16, 3), square(picture, 16, 1)
    for half, expected in ((slice(6), left), (slice(10, 16), right)):
        assert colour(colours[:, :, half]) == pytest.approx(expected, abs=2)
        grey = Image.new("RGB", (1, 1), expected).convert("L").getpixel((0, 0))
        assert colour(greys[:, :, half]) == pytest.approx([grey], abs=2)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        *(("uint16", 0, high) for high in (65535, 16383, 4095, 1023)),
        *(("float32", low, high) for low, high in ((0, 1), (0, 200), (-1, 1))),
        *(("int32", low, high) for low, high in ((0, 255), (0, 65535), (0, 2**31 - 1), (-1000, 65535))),
    ],
)
def test_16_and_32_bits_a_pixel_keep_their_range(kind, low, high):
    ramp = np.linspace(low, high, 256).astype(kind).reshape(16, 16)
    for file in ("TIFF", "PNG") if kind == "uint16" else ("TIFF",):
        pixels = square(kept(Image.fromarray(ramp), file), 16, 3).astype(int)
        assert np.abs(pixels - np.arange(256).reshape(16, 16)).max() <= 1


def test_dark_floats_stay_dark_and_what_is_no_number_is_black_or_white():
    levels = np.full((16, 16), 0.25, np.float32)
    levels[:8, :8], levels[8:, :8], levels[:8, 8:] = np.nan, np.inf, -np.inf
    picture = square(kept(Image.fromarray(levels), "TIFF"), 16, 1)[0]
    assert [picture[4, 4], picture[12, 4], picture[4, 12], picture[12, 12]] == [0, 255, 0, 63]


@pytest.mark.parametrize("shape", [(1, 2000), (2000, 1), (3, 500)])
def test_a_thin_strip_is_cropped_before_it_is_enlarged(monkeypatch, shape):
    largest, resize = [], Image.Image.resize

    def watched(self, size, *args, **kwargs):
        largest.append(size[0] * size[1])
        return resize(self, size, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", watched)
    assert colour(square(Image.new("RGB", shape, GREEN), 64, 3)) == list(GREEN)
    assert max(largest, default=0) <= 4 * 64 * 64


def wide(colour: tuple[int, ...], mode: str = "RGB") -> tuple[Image.Image, bytes]:
    """A picture of one colour in a wide gamut, and its profile, made of sRGB's by exchanging red and green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    profile = profile.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be")).replace(b"sRGB b", b"wide b")
    return Image.new(mode, (16, 16), colour), bytes(profile)


@pytest.mark.parametrize(("mode", "extra"), [("RGB", ()), ("RGBA", (255,))])
def test_colours_are_those_that_the_profile_means(mode, extra):
    image, profile = wide((*RED, *extra), mode)
    for found, meant in ((None, RED), (profile, GREEN), (b"no profile", RED)):
        assert colour(square(kept(image, "PNG", icc_profile=found), 16, 3)) == pytest.approx(meant, abs=2)


@pytest.mark.parametrize("kind", [".png", ".tiff"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_colours_of_fewer_bits_in_16_are_as_bright_as_they_are_meant(tmp_path, bits, alpha, kind):
    white = 2**bits - 1
    pixels = np.zeros((16, 16, 4 if alpha else 3), np.uint16)
    pixels[:, 8:, :3] = white // 4, white // 2, white  # OpenCV's order: blue, green, red
    pixels[:, :, 3:] = 2**16 - 1
    cv2.imwrite(str(tmp_path / f"deep{kind}"), pixels)
    for source in (tmp_path, zip_of(tmp_path, tmp_path.with_suffix(".zip"))):
        [found] = load(source).pixels
        assert colour(found[:, :, :8]) == [0, 0, 0]
        assert colour(found[:, :, 8:]) == pytest.approx([255, 127, 63], abs=1)
