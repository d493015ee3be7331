"""A picture as training sees it: upright, opaque, resized and cropped to a square, or to one around each face."""

import io
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageCms

from dcgan.data.faces import Landmarks, find_faces, framed, side

CROP_VERSION = 6  # part of a packed set's key: raise it when the same file gives other pixels
CROPS = {"centre": "the centre square", "face": "a square around each face, turned level"}  # and what each shows
SOFT = 2  # faces that would be enlarged by more are left out: strangers far behind
MAX_ASPECT = 4
DARK = 2**6 - 1  # the brightest that 14 bits are in the upper 8 of 16
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
XMP = ("xmp", "XML:com.adobe.xmp")
METADATA = ("exif", "Raw profile type exif", *XMP)  # where Pillow looks for an orientation


def squares(image: Image.Image, size: int, nc: int, crop: str) -> np.ndarray:
    """What of a picture is trained on, uint8 [N, nc, size, size], by one of CROPS. Raises NoDetector."""
    if crop == "centre":
        return square(image, size, nc)[None]
    photo = upright(image, 3)
    return face_squares(photo, find_faces(photo), size, nc)[0]


def face_squares(photo: Image.Image, faces: list[Landmarks], size: int, nc: int) -> tuple[np.ndarray, int]:
    """The faces of an upright RGB photo, uint8 [N, nc, size, size], and how many of these were enlarged."""
    faces = [face for face in faces if SOFT * side(face) >= size]
    pixels = np.empty((len(faces), nc, size, size), np.uint8)
    for place, face in enumerate(faces):
        pixels[place] = square(framed(photo, face, size), size, nc)
    return pixels, sum(side(face) < size for face in faces)


def square(image: Image.Image, size: int, nc: int) -> np.ndarray:
    """The picture, upright and opaque, after the tutorial's Resize and CenterCrop: uint8 [nc, size, size].

    Beyond MAX_ASPECT it is cropped to a square first: enlarged as it is, a thin strip would take gigabytes.
    """
    from torchvision.transforms import functional as transforms  # an import of seconds, which the demo starts without

    image = upright(image, nc)
    short = min(image.size)
    if max(image.size) > MAX_ASPECT * short:
        image = transforms.center_crop(image, [min(side, short) for side in image.size[::-1]])
    image = transforms.center_crop(transforms.resize(image, [size]), [size])
    return np.asarray(image, dtype=np.uint8).reshape(size, size, nc).transpose(2, 0, 1)


def upright(image: Image.Image, nc: int) -> Image.Image:
    """The picture turned as its metadata says, transparent parts white, in sRGB (nc 3) or greyscale (nc 1)."""
    return opaque(in_srgb(turned(image))).convert("L" if nc == 1 else "RGB")


def turned(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF or XMP orientation says, and without that tag: safe to apply twice.

    Metadata that cannot be read counts as upright; ImageOps.exif_transpose fails where anything in it is malformed.
    """
    image.load()  # Pillow turns a TIFF while it decodes it, and drops the tag
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever a malformed block makes the parser raise
        turn = None
    if turn is None:
        return image
    image = image.transpose(turn)
    for block in METADATA:
        image.info.pop(block, None)
    return image


def in_srgb(image: Image.Image) -> Image.Image:
    """The picture with the colours that its ICC profile means, in sRGB. One that cannot be read counts as sRGB."""
    if profile := image.info.get("icc_profile"):
        with suppress(Exception):  # whatever a malformed one, or one of another mode, makes the library raise
            colours = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(colours):
                mode = "RGBA" if image.has_transparency_data else "RGB"
                image = image.convert(mode) if image.mode in ("P", "PA", "LA") else image
                srgb = ImageCms.createProfile("sRGB")
                return ImageCms.profileToProfile(image, colours, srgb, outputMode=mode) or image
    return image


def opaque(image: Image.Image) -> Image.Image:
    """The picture over white and with 8 bits a channel."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(in_8_bits(np.asarray(image)))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image


def in_8_bits(levels: np.ndarray) -> np.ndarray:
    """Integers of 16 or 32 bits, or floats, in uint8.

    They are scaled from 0, or a lowest level below it, to the first of the usual white levels (1 for floats, 2^n - 1
    for integers) that none exceeds, so that pictures of one camera keep their brightness to each other.
    """
    usual = [1] if levels.dtype.kind == "f" else [2**bits - 1 for bits in (8, 10, 12, 14, 16)]
    levels = levels.astype(np.float64)
    finite = levels[np.isfinite(levels)]
    black, brightest = finite.min(initial=0), finite.max(initial=0)
    white = next((level for level in usual if brightest <= level), brightest)
    return (np.nan_to_num((levels - black) / (white - black), posinf=1).clip(0, 1) * 255).astype(np.uint8)


def with_deep_colours(picture: Image.Image, file: Path | IO[bytes]) -> Image.Image:
    """The picture in a file; colours of fewer than 16 bits that are kept in 16 are scaled as `in_8_bits` says.

    Of 16 bits Pillow reads the upper 8: of colours of 12 bits nearly nothing.
    """
    if picture.format not in ("PNG", "TIFF") or picture.mode not in ("RGB", "RGBA"):
        return picture
    if np.asarray(picture)[:, :, :3].max() > DARK:
        return picture
    import cv2

    if not isinstance(file, Path):
        file.seek(0)
    content = file.read_bytes() if isinstance(file, Path) else file.read()
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # a kind of TIFF that OpenCV does not read
        return picture
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[1::-1] != picture.size:
        return picture
    deep = Image.fromarray(in_8_bits(pixels[:, :, 2::-1]))
    if pixels.shape[2] == 4:
        deep.putalpha(Image.fromarray((pixels[:, :, 3] / 257).astype(np.uint8)))
    deep.info = picture.info
    return deep
