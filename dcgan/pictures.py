"""Faces as pictures: in grids, enlarged, and as files."""

import io
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcgan.demo.requests import choice, number, whole

Pixels = NDArray[np.uint8]

GRID = 8  # a grid shows GRID x GRID faces
MAX_FRAMES = 300
FORMATS = ("gif", "webp", "mp4")


def picture(pixels: Pixels) -> Image.Image:
    """[H, W, nc] as a picture."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


def enlarged(image: Image.Image, factor: int) -> Image.Image:
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)


def grid(images: Pixels, columns: int = GRID) -> Pixels:
    """Images [N, S, S, nc] row by row in one [rows S, columns S, nc]; what is left of the last row is black."""
    columns = whole(columns, "columns", 1, MAX_FRAMES)
    rows = -(-len(images) // columns)
    n, size, _, channels = images.shape
    cells = np.zeros((rows * columns, size, size, channels), np.uint8)
    cells[:n] = images
    cells = cells.reshape(rows, columns, size, size, channels).swapaxes(1, 2)
    return cells.reshape(rows * size, columns * size, channels)


def encoded(pixels: Pixels, format: str = "png") -> bytes:
    """[H, W, nc] as the bytes of a file: "png", which keeps every pixel, or "jpeg", for what is only looked at."""
    file = io.BytesIO()
    options = {"png": {"compress_level": 1}, "jpeg": {"quality": 93, "subsampling": 0}}[format]
    picture(pixels).save(file, format, **options)
    return file.getvalue()


def animation(frames: Pixels, format: str = "gif", seconds: float = 4.0, loop: bool = False) -> bytes:
    """Frames [N, S, S, nc] as a GIF, animated WebP or MP4 (H.264) of about 256 px that takes `seconds`.

    It goes there and back, unless the frames are a `loop` themselves. GIF and WebP repeat for ever. Raises ValueError.
    """
    format = choice(format, "format", FORMATS)
    seconds = number(seconds, "seconds", 0.5, 120.0)
    factor = max(1, 256 // frames.shape[1])
    there = [enlarged(picture(frame), factor) for frame in frames]
    if format == "gif":  # one palette for all: nothing flickers, and Pillow's own is a hundred times slower
        palette = picture(grid(frames)).quantize()
        there = [frame.quantize(palette=palette) for frame in there]
    pictures = there if loop else there + there[-2:0:-1]
    pace = max(20, round(1000 * seconds / len(pictures)))  # browsers slow down anything faster
    if format == "mp4":
        return _mp4(pictures, pace)
    file = io.BytesIO()
    options: dict[str, Any] = {"quality": 85, "method": 2} if format == "webp" else {}
    pictures[0].save(file, format, save_all=True, append_images=pictures[1:], duration=pace, loop=0, **options)
    return file.getvalue()


def _mp4(frames: list[Image.Image], pace: int) -> bytes:
    """Frames of `pace` milliseconds each as H.264, in the colours that every player knows."""
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
