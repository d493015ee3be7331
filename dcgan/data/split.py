"""Which images are trained on and which are held out: a tenth, by a hash of the pixels.

A key is a hash of a file's pixels; the faces of a photo have one, and so have the frames of a stretch of film.
"""

import os
import zlib
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from dcgan.data.duplicates import joined

Known = tuple[np.ndarray, np.ndarray]  # keys of images that were divided before, and which of them were held out


def sides(keys: np.ndarray, first: np.ndarray, names: list[str], known: Known | None) -> tuple[np.ndarray, np.ndarray]:
    """Bool [N] and bool [N]: the images of the held-out tenth, copies among them, and the images that are used.

    keys: uint64 [N]. first: int [N], of each image the first that shows the same; only one of these is used.
    Images that show the same, and faces of one photo, are on one side, directly or by way of others. One decides for
    all: one that was trained on before, else one that was held out before, else the first.
    """
    before, heldout = known or (keys[:0], np.zeros(0, bool))
    rank = 2 - np.isin(keys, before[heldout]) - 2 * np.isin(keys, before[~heldout])
    aside = np.where(rank == 2, keys % 10 == 0, rank == 1)
    images = np.arange(len(keys))
    photos: dict[str, int] = {}
    of_photo = np.array([photos.setdefault(name, i) for i, name in enumerate(names)], int)
    groups = joined(len(keys), [(first, images), (of_photo, images)])
    return aside[_leaders(groups, rank)], _leaders(first, rank) == images


def _leaders(groups: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Of each image the one that leads its group: the first of the lowest rank. int [N]."""
    order = np.argsort(rank, kind="stable")
    _, leading, group = np.unique(groups[order], return_index=True, return_inverse=True)
    leaders = np.empty_like(groups)
    leaders[order] = order[leading][group]
    return leaders


def division(data: dict[str, Any]) -> tuple[bool, bool]:
    """Of a checkpoint's settings of its data: whether names decided what is held out (in earlier versions), and whether
    copies were used.
    """
    return bool(data.get("digest") and not data.get("split")), bool(data.get("keep_duplicates"))


def is_heldout(name: str) -> bool:
    """Whether an image belongs to the held-out tenth: by a hash of its stem, the same in a zip and in a folder."""
    return zlib.crc32(os.fsencode(PurePosixPath(name).stem)) % 10 == 0
