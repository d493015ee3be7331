"""Pictures that show the same: under another name, in another size or quality, or mirrored.

Two prepared pictures are the same if what remains between them is faint, and spread as compression and resizing spread
it. Drawn faces that differ in their eyes alone, or logos in a letter, differ strongly in one place. The thresholds were
measured at 64 px on 21,092 photos (256 copies found; all that were looked at are) and on 10,688 drawn faces (the 7 that
are the same to the pixel found, and no other, though many differ in an eye alone). Found are copies from half to three
times the size, and JPEGs down to quality 30 of pictures not much smaller than 128 px.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

COARSE, MIDDLE, FINE = 8, 16, 32  # pixels: sides at which pictures are compared
REACH = 6  # grey levels, RMS at COARSE: pairs further apart are not looked at
MOST = 64  # pairs of one picture that are looked at
GAP = 16  # grey levels: the largest difference at MIDDLE
FAINT, PEAK = 3, 9  # the largest difference at FINE: so many grey levels, and so many times its RMS
SHARE = 0.25  # the RMS at FINE: of the picture's own contrast, or a grey level if that is more
PIECE = 512


def first_alike(pixels: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Of each picture, uint8 [N, nc, S, S], the first that shows the same, perhaps itself: int [N].

    keys: [N], equal for pictures with the same pixels.
    """
    unique, same = np.unique(keys, return_index=True, return_inverse=True)[1:]
    return joined(len(keys), [(unique[same], np.arange(len(keys))), *_pairs(pixels, unique)])


def joined(count: int, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Of each of `count` things the first that it is joined to, directly or by way of others: int [count]."""
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    first = np.arange(count)
    while (first[one] != first[other]).any():
        lower = np.minimum(first[one], first[other])
        np.minimum.at(first, one, lower)
        np.minimum.at(first, other, lower)
        first = first[first]
    return first


def _pairs(pixels: np.ndarray, indices: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of pictures, among those at `indices`, that show the same."""
    pieces = np.array_split(indices, -(-len(indices) // PIECE) or 1)
    small = torch.cat([_shrunk(pixels[piece], COARSE).mean(1) for piece in pieces])
    mirrored = small.flip(2).flatten(1)
    small = small.flatten(1)
    # As far apart as two pictures are, at least, is their brightness, which mirroring keeps.
    brightness, order = small.mean(1).sort()
    small, mirrored, indices = small[order], mirrored[order], indices[order.numpy()]
    for start in range(0, len(indices), PIECE):
        end = start + PIECE
        reach = int(torch.searchsorted(brightness, brightness[start:end][-1] + REACH, right=True))
        for rows in (small, mirrored):
            near = torch.cdist(rows[start:end], small[start:reach]) <= REACH * COARSE
            near = near.triu(1)
            near &= near.cumsum(1) <= MOST
            one, other = (side.numpy() + start for side in near.nonzero(as_tuple=True))
            for i in range(0, len(one), PIECE):
                a, b = indices[one[i : i + PIECE]], indices[other[i : i + PIECE]]
                same = _same(pixels[a] if rows is small else pixels[a][..., ::-1], pixels[b])
                yield a[same], b[same]


def _same(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each of some pictures shows the same as that in its place among the others: bool [N]."""
    side = min(FINE, some.shape[-1])
    one, other = _shrunk(some, side), _shrunk(others, side)
    rms = (one - other).square().mean((1, 2, 3)).sqrt()
    contrast = one.var((2, 3)).mean(1).sqrt()
    middle = avg_pool2d(one - other, side // MIDDLE).abs().amax((1, 2, 3))
    spread = (one - other).abs().amax((1, 2, 3)) <= FAINT + PEAK * rms
    return ((middle <= GAP) & spread & (rms <= (SHARE * contrast).clamp(min=1))).numpy()


def _shrunk(pixels: np.ndarray, side: int) -> Tensor:
    """Pixels uint8 [N, nc, S, S] at `side` pixels, in floats."""
    return avg_pool2d(torch.from_numpy(np.ascontiguousarray(pixels)).float(), pixels.shape[-1] // side)
