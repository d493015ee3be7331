"""Faces in pictures: find them, and crop a photo so that its face stands where a generator puts its own."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

LOOKED_AT = 480  # pixels: the longer side of a photo in which a face is looked for
SAMPLE_SIDE = 128  # and that of a generated face
MIN_FACE = 40  # pixels of these


@dataclass(frozen=True)
class Box:
    """A square: its centre and its side, all in pixels, or all in shares of a picture's side."""

    x: float
    y: float
    side: float


def own_frame(faces: list[Image.Image]) -> Box | None:
    """The median box of the faces in square pictures, in shares of the side.

    None where a face is detected in fewer than a quarter of them.
    """
    boxes = [box for face in faces if (box := find_face(face, SAMPLE_SIDE))]
    if 4 * len(boxes) < len(faces):
        return None
    x, y, side = np.median([(box.x, box.y, box.side) for box in boxes], axis=0) / faces[0].width
    return Box(float(x), float(y), float(side))


def find_face(image: Image.Image, looked_at: int = LOOKED_AT) -> Box | None:
    """The largest face in a picture, in its pixels, or None."""
    import cv2
    from cv2.data import haarcascades

    scale = looked_at / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    grey = np.asarray(image.convert("L").resize((width, height)))
    margin = min(width, height) // 2  # a face may fill the picture, and the detector needs to see around it
    grey = cv2.copyMakeBorder(grey, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    # Viola and Jones 2001; a new one each time: it is not safe to share between threads.
    cascade = cv2.CascadeClassifier(f"{haarcascades}haarcascade_frontalface_alt2.xml")
    found = cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=4, minSize=(MIN_FACE, MIN_FACE))
    if not len(found):
        return None
    left, top, side, _ = max(found, key=lambda box: box[2])
    return Box((left + side / 2 - margin) / scale, (top + side / 2 - margin) / scale, side / scale)


def framed(image: Image.Image, face: Box, frame: Box, size: int) -> Tensor:
    """The square of a picture in which its `face` lies as in `frame`: uint8 [nc, size, size].

    Where it reaches beyond the picture, the edge is continued.
    """
    from torchvision.transforms import functional as transforms

    side = face.side / frame.side
    left, top = face.x - frame.x * side, face.y - frame.y * side
    beyond = math.ceil(max(0, -left, -top, left + side - image.width, top + side - image.height))
    padded = transforms.pad(image, [beyond], padding_mode="edge")
    box = left + beyond, top + beyond, left + beyond + side, top + beyond + side
    return transforms.pil_to_tensor(padded.resize((size, size), Image.Resampling.BILINEAR, box))
