"""Pixels, grids, and picture and animation files."""

import base64
import io
import struct
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

Pixels = NDArray[np.uint8]

GRID = 8  # a grid shows GRID x GRID faces
MAX_FRAMES = 300
FORMATS = ("gif", "webp", "mp4")


def normalised(pixels: Tensor) -> Tensor:
    """uint8 of any shape -> float32 in [-1, 1], the range of the networks."""
    return pixels.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] -> 0 .. 255, with a fixed range: no picture's contrast depends on its neighbours."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def picture(pixels: Pixels) -> Image.Image:
    """Pixels [H, W, nc] as a Pillow image, grey for nc = 1."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


def enlarged(image: Image.Image, factor: int) -> Image.Image:
    """The image `factor` times as wide and high."""
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)


def grid(images: Pixels, columns: int = GRID) -> Pixels:
    """Images [N, S, S, nc] row by row in one [rows S, columns S, nc]; columns: 1 to 300, else ValueError is raised."""
    if not isinstance(columns, int) or not 1 <= columns <= MAX_FRAMES:
        raise ValueError(f"columns must be a whole number from 1 to {MAX_FRAMES}, not {columns!r:.40}")
    rows = -(-len(images) // columns)
    n, size, _, channels = images.shape
    cells = np.zeros((rows * columns, size, size, channels), np.uint8)
    cells[:n] = images
    cells = cells.reshape(rows, columns, size, size, channels).swapaxes(1, 2)
    return cells.reshape(rows * size, columns * size, channels)


def encoded(pixels: Pixels, format: str = "png", xmp: bytes = b"") -> bytes:
    """Pixels [H, W, nc] as a PNG, or as a JPEG or WebP of high quality ("jpeg", "webp"), with a packet of XMP."""
    file = io.BytesIO()
    options: dict[str, Any] = {"compress_level": 1} if format == "png" else {"quality": 93}
    if format == "jpeg":
        options["subsampling"] = 0
    if xmp and format == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    elif xmp:
        options["xmp"] = xmp
    picture(pixels).save(file, format, **options)
    return file.getvalue()


def base64_text(data: bytes) -> str:
    """Bytes as text in base64."""
    return base64.b64encode(data).decode("ascii")


def data_url(data: bytes, kind: str) -> str:
    """The bytes of a file as an address; kind: "image/png", say."""
    return f"data:{kind};base64,{base64_text(data)}"


def animation(frames: Pixels, format: str = "gif", seconds: float = 4.0, loop: bool = False, xmp: bytes = b"") -> bytes:
    """Frames [N, S, S, nc] as a GIF, animated WebP or MP4 (H.264), about 256 px wide, that takes `seconds` to play.

    xmp: a packet that the file carries. The frames run forwards and then backwards, unless they are a `loop`
    themselves. GIF and WebP repeat for ever. Raises ValueError for another format, or a duration outside 0.5 .. 120 s.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be {' or '.join(FORMATS)}, not {format!r:.40}")
    if not isinstance(seconds, int | float) or not 0.5 <= seconds <= 120:
        raise ValueError(f"seconds must be a number from 0.5 to 120, not {seconds!r:.40}")
    factor = max(1, 256 // frames.shape[1])
    forwards = [enlarged(picture(frame), factor) for frame in frames]
    if format == "gif":  # one palette for all frames: no flicker, and a hundred times faster than one for each
        palette = picture(grid(frames)).quantize()
        forwards = [frame.quantize(palette=palette) for frame in forwards]
    pictures = forwards if loop else forwards + forwards[-2:0:-1]
    pace = max(20, round(1000 * seconds / len(pictures)))  # milliseconds; browsers slow down anything faster
    if format == "mp4":
        return _mp4_with(_mp4(pictures, pace), xmp) if xmp else _mp4(pictures, pace)
    file = io.BytesIO()
    options: dict[str, Any] = {"quality": 85, "method": 2, "xmp": xmp} if format == "webp" else {}
    pictures[0].save(file, format, save_all=True, append_images=pictures[1:], duration=pace, loop=0, **options)
    return _gif_with(file.getvalue(), xmp) if xmp and format == "gif" else file.getvalue()


def _mp4(frames: list[Image.Image], pace: int) -> bytes:
    # yuv420p: what every player decodes.
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as video:
        stream = video.add_stream("libx264", rate=Fraction(1000, pace), options={"crf": "18"})
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            video.mux(stream.encode(av.VideoFrame.from_image(frame.convert("RGB"))))
        video.mux(stream.encode())
    return file.getvalue()


def _gif_with(file: bytes, xmp: bytes) -> bytes:
    """A GIF with an application block of XMP behind its global colour table."""
    table = 3 * 2 ** (1 + (file[10] & 7)) if file[10] & 0x80 else 0
    magic = bytes([1, *range(255, -1, -1), 0])  # leads a reader that takes the text for sub-blocks to their end
    head = 13 + table
    return file[:head] + b"!\xff\x0bXMP DataXMP" + xmp + magic + file[head:]


def _mp4_with(file: bytes, xmp: bytes) -> bytes:
    """An MP4 with a last box of XMP."""
    return (
        file + struct.pack(">I4s16s", 24 + len(xmp), b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")) + xmp
    )
