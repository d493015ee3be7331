"""Faces in pictures: found wherever they are, turned level, and framed as UTKFace frames its own.

The detector is YuNet (Wu, Peng and Yu 2023, A Tiny Millisecond-level Face Detector), run by OpenCV. Its weights and
their licence (MIT) lie in `yunet/`, as in the OpenCV Zoo.

A face is its landmarks, float [5, 2]: x and y of the eye on the left, the eye on the right, the tip of the nose, the
left and the right corner of the mouth, in pixels. A frame is where they lie in a square picture, in shares of its side.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcgan.errors import DataError

Landmarks = NDArray[np.float64]

VERSION = 2  # part of the keys of what is kept of photos: raise it when `find_faces` finds others

# Medians over 700 photos of UTKFace, made symmetrical. The chin lies at 0.99 of the height.
FRAME: Landmarks = np.array([(0.304, 0.286), (0.696, 0.286), (0.5, 0.524), (0.329, 0.676), (0.671, 0.676)])
MODEL = Path(__file__).with_name("yunet") / "face_detection_yunet_2023mar.onnx"
LARGE, SMALL = 256, 896  # pixels: the longer side of a picture that is searched, once for large faces, once for small
# YuNet's scores, 0 to 1: of what is looked at closely, of what then is a face, and of what is surely an upright one.
SUSPECTED, MIN_SCORE, UPRIGHT = 0.4, 0.8, 0.9
# The sides, in pixels, of the views of a close look, one after the other. YuNet is surest of faces of about 100 px; of
# larger ones it places the landmarks better: of small ones that are turned it sees half of the turn.
VIEWS = (256, 448, 448, 448)
TURNS = 1j, -1j, -1  # of a face among others that lies on a side, or is upside down
QUARTERS = Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270
MARGIN = 0.28  # of a view's side, around the frame
LEVEL = math.radians(3)  # the turn between two views that ends them
SAME = 0.5  # of the distance between a face's eyes and mouth: what is found nearer to its middle is that face again
PLAIN = 128  # pixels: of the side of a picture that is looked at once
MIN_FOUND = 4  # a frame is known where a face is found in one of so many pictures


class NoDetector(DataError):
    """Faces cannot be looked for. The message is one line that says what to install."""


def check_detector() -> None:
    """Raise NoDetector if OpenCV is missing."""
    try:
        import cv2  # noqa: F401
    except ImportError:
        raise NoDetector("finding faces needs OpenCV: pip install opencv-python-headless") from None


def find_faces(image: Image.Image) -> list[Landmarks]:
    """The faces of a picture, each once, the largest first. Raises NoDetector.

    A picture in which none is surely upright is also looked at from its other sides.
    """
    image = image.convert("RGB")
    found = _search(image, TURNS)
    surest = _surest(found)
    for quarters, way in enumerate(QUARTERS, 1):
        if surest >= UPRIGHT:
            break
        turned = image.transpose(way)
        there = _search(turned, ())
        if _surest(there) > surest:
            surest = _surest(there)
            middle, other = complex(*image.size) / 2, complex(*turned.size) / 2
            found = [(score, _points(middle + 1j**quarters * (face @ (1, 1j) - other))) for score, face in there]
    return sorted((face for _, face in found), key=_extent, reverse=True)


class FaceCache:
    """Finds faces as `find_faces` does, and searches each photo once.

    Each line of its file in the image cache is a hash of a photo's pixels and the landmarks of its faces; every process
    adds the photos that it has searched.
    """

    def __init__(self, cache: Path):
        self._path = cache / f"faces-{VERSION}.jsonl"
        self._known: dict[str, list[Landmarks]] = {}
        with suppress(OSError), self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with suppress(ValueError, TypeError):  # cut by the end of a process
                    photo, faces = json.loads(line)
                    self._known[photo] = [*np.array(faces, np.float64).reshape(-1, 5, 2)]

    def find(self, photo: Image.Image) -> list[Landmarks]:
        """The faces of an upright RGB photo, the largest first. Raises NoDetector."""
        key = hashlib.blake2b(f"{photo.size}".encode() + photo.tobytes(), digest_size=16).hexdigest()
        if key not in self._known:
            self._known[key] = find_faces(photo)
            line = json.dumps([key, [face.tolist() for face in self._known[key]]])
            with suppress(OSError), self._path.open("a", encoding="utf-8") as file:  # the cache of another user
                file.write(line + "\n")
        return self._known[key]


def plain_face(picture: Image.Image) -> Landmarks | None:
    """The face that fills a square picture, by a single look; None if it is not plainly one. Raises NoDetector."""
    found = _detect(picture.convert("RGB").resize((PLAIN, PLAIN)), UPRIGHT)
    return max(found, key=lambda item: item[0])[1] * picture.width / PLAIN if found else None


def own_frame(pictures: list[Image.Image]) -> Landmarks | None:
    """The median frame of the faces in square pictures; None where one is found in fewer than a quarter of them."""
    frames = [faces[0] / picture.width for picture in pictures if (faces := find_faces(picture))]
    return np.median(frames, axis=0) if MIN_FOUND * len(frames) >= len(pictures) else None


def side(face: Landmarks) -> float:
    """The side, in pixels, of the square in which a face lies as in FRAME."""
    return abs(_similarity(FRAME, face)[0])


def framed(image: Image.Image, face: Landmarks, size: int, frame: Landmarks = FRAME) -> Image.Image:
    """The square of a picture, `size` pixels wide, in which the landmarks of `face` lie nearest to `frame`.

    The square is turned, scaled and shifted; beyond the picture its edge is continued.
    """
    import cv2

    scale, origin = _similarity(frame, face)
    corners = origin + scale * np.array([0, 1, 1j, 1 + 1j])
    # Only what the square needs, at no more than twice its resolution: phones take 50 megapixels.
    left, top, right, bottom = (
        int(np.clip(value, 0, limit - 1))
        for value, limit in zip(
            (corners.real.min() - 2, corners.imag.min() - 2, corners.real.max() + 2, corners.imag.max() + 2),
            image.size * 2,
            strict=True,
        )
    )
    shrink = max(1, int(abs(scale) / (2 * size)))
    part = np.asarray(image.reduce(shrink, (left, top, right + 1, bottom + 1)))
    scale, origin = scale / shrink, (origin - complex(left, top)) / shrink
    across = max(size, math.ceil(abs(scale)))  # the turn neither enlarges nor shrinks; resizing is antialiased
    step = scale / across
    start = origin + step * (0.5 + 0.5j) - (0.5 + 0.5j)  # OpenCV counts from the middle of the first pixel
    matrix = np.array([(step.real, -step.imag, start.real), (step.imag, step.real, start.imag)])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    level = cv2.warpAffine(part, matrix, (across, across), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return Image.fromarray(level).resize((size, size), Image.Resampling.BILINEAR)


def _search(image: Image.Image, turns: Sequence[complex]) -> list[tuple[float, Landmarks]]:
    """The faces of an RGB picture as it is held, each once, with their scores. turns: of faces that lie in it."""
    suspects = []
    for longer in sorted({LARGE, max(LARGE, min(SMALL, max(image.size)))}):
        scale = longer / max(image.size)
        width, height = (max(1, round(length * scale)) for length in image.size)
        suspects += [(score, face / scale) for score, face in _detect(image.resize((width, height)), SUSPECTED)]
    found: list[tuple[float, Landmarks]] = []
    for _, suspect in sorted(suspects, key=lambda item: -item[0]):
        if not any(_same(suspect, face) for _, face in found):
            score, face = _close_look(image, suspect, turns)
            if score >= MIN_SCORE and not any(_same(face, other) for _, other in found):
                found.append((score, face))
    return found


def _surest(found: list[tuple[float, Landmarks]]) -> float:
    """The highest score of the faces that are held more upright than not; 0 where there is none."""
    turns = (abs(np.angle(_similarity(FRAME, face)[0])) for _, face in found)
    return max((score for (score, _), turn in zip(found, turns, strict=True) if turn < math.pi / 4), default=0.0)


def _close_look(image: Image.Image, face: Landmarks, turns: Sequence[complex]) -> tuple[float, Landmarks]:
    """The landmarks of a suspected face, with their score, measured where it is large and level; 0 if it is none."""
    best = _levelled(image, face)
    for turn in turns if best[0] < UPRIGHT else ():
        z = face @ (1, 1j)
        best = max(best, _levelled(image, _points(z.mean() + turn * (z - z.mean()))), key=lambda looked: looked[0])
    return best


def _levelled(image: Image.Image, face: Landmarks) -> tuple[float, Landmarks]:
    """The score and the landmarks of a face, from views that are turned until it is level."""
    frame, score = MARGIN + (1 - 2 * MARGIN) * FRAME, 0.0
    for view in VIEWS:
        scale, origin = _similarity(frame, face)
        found = [(s, seen / view) for s, seen in _detect(framed(image, face, view, frame), SUSPECTED)]
        found = [(s, seen) for s, seen in found if _same(seen, frame)]
        if not found:
            break
        score, seen = max(found, key=lambda item: item[0])
        face = _points(origin + scale * (seen @ (1, 1j)))
        if view == VIEWS[-1] and abs(np.angle(_similarity(frame, seen)[0])) < LEVEL:
            break
    return score, face


def _detect(image: Image.Image, least: float) -> list[tuple[float, Landmarks]]:
    """The faces that YuNet finds in an RGB picture, with their scores, from `least` up."""
    check_detector()
    import cv2

    cv2.setNumThreads(0)  # its threads do not survive the fork of a process that decodes images
    # A new one each time: it is not safe to share between threads. From memory: OpenCV reads no path that is not ASCII.
    detector = cv2.FaceDetectorYN.create("onnx", _model(), np.empty(0, np.uint8), image.size, least)
    found = detector.detect(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]))[1]
    # Each row: a box (4), landmarks (10), a score.
    return [] if found is None else [(float(row[14]), row[4:14].reshape(5, 2).astype(np.float64)) for row in found]


@cache
def _model() -> NDArray[np.uint8]:
    return np.fromfile(MODEL, np.uint8)


def _points(z: NDArray[np.complexfloating]) -> Landmarks:
    """Landmarks x + iy [5] as pairs."""
    return np.stack([z.real, z.imag], axis=1)


def _extent(face: Landmarks) -> float:
    """The distance between the middle of the eyes and that of the mouth: it is the same for a face seen from aside."""
    return float(np.hypot(*(face[3:].mean(0) - face[:2].mean(0))))


def _same(face: Landmarks, other: Landmarks) -> bool:
    """Whether two findings are one face."""
    return np.hypot(*(face.mean(0) - other.mean(0))) < SAME * _extent(other)


def _similarity(frame: Landmarks, face: Landmarks) -> tuple[complex, complex]:
    """(a, b) of the map a z + b, z = x + iy, that takes a frame's landmarks nearest to a face's (least squares)."""
    z, w = frame @ (1, 1j), face @ (1, 1j)
    dz, dw = z - z.mean(), w - w.mean()
    a = (dz.conj() @ dw) / (dz.conj() @ dz)
    return complex(a), complex(w.mean() - a * z.mean())
