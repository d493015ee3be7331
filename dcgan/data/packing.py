"""The images of a source, decoded once and packed in the cache, as one memory-mapped file.

The next start with the same source and settings decodes nothing, but for files that the system did not let be read (no
permission, a link to nowhere, no memory): once one of these can be read, all are packed anew.
"""

import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader
from tqdm import tqdm

from dcgan.data import faces
from dcgan.data.cache import cache_size, make_room, mark_used
from dcgan.data.crop import CROP_VERSION, face_squares, square, upright
from dcgan.data.duplicates import first_alike
from dcgan.data.images import Images
from dcgan.data.sources import Source, digest
from dcgan.errors import DataError, reason
from dcgan.files import alone, replacing, writing

PIXELS, INDEX = "pixels.u8", "index.json"
COPIES = "duplicates.txt"  # beside them: on each line a picture, and the first that shows the same
WHOLE = 32  # pixels: of the look of a photo with faces

Find = Callable[[Image.Image], list[faces.Landmarks]]


class Shape(NamedTuple):
    """What images are made of pictures: their side in pixels, their channels, and one of CROPS."""

    size: int
    nc: int
    crop: str = "centre"


class Decoded(NamedTuple):
    """A file of a source, decoded, or the reason why it cannot be.

    scene: files of one scene are held out together. pixels: images, uint8 [number, nc, size, size]. key: their hash.
    enlarged: how many of them were. look: a photo with faces, [nc, WHOLE, WHOLE], by which copies are found. may_pass:
    whether the reason is the system's, and not the file's.
    """

    name: str
    scene: int
    pixels: np.ndarray | None = None
    key: int = 0
    number: int = 0
    enlarged: int = 0
    look: np.ndarray | None = None
    reason: str = ""
    may_pass: bool = False


def packed(source: Source, shape: Shape, workers: int, cache: Path, progress: bool) -> Images:
    """The images of a source as the cache has them; packed now if it lacks any that can be read. Raises DataError."""
    crop = f"face{faces.VERSION if faces.VERSION > 1 else ''}" if shape.crop == "face" else ""
    key = digest(f"{source.fingerprint} {len(source.names)} {shape.size} {shape.nc} {CROP_VERSION}{crop}")
    folder = cache / f"{os.fsdecode(os.fsencode(source.name)[:100])}-{shape.size}-{key}"  # of a length that disks take
    need = len(source.names) * shape.nc * shape.size**2
    images = None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with alone(cache / f".{folder.name}.lock"):
            images = _open(folder, source, shape)
            if images is None or _readable_now(source, images, shape):
                make_room(cache, need, keep=source.fingerprint)  # a zip from the Hub is named by it
                if need > (free := shutil.disk_usage(cache).free):
                    raise OSError(errno.ENOSPC, f"{free / 2**20:,.0f} MiB are free")
                _pack(source, shape, workers, folder, progress)
                images = _open(folder, source, shape)
    except OSError as error:
        if images is None:
            images = _open(folder, source, shape)  # the cache may belong to another user
        if images is None:
            raise DataError(
                f"the image cache '{cache}' cannot be written ({error.strerror}): it takes {need / 2**20:,.0f} "
                "MiB; make room or set DCGAN_CACHE to another folder"
            ) from None
    if images is None:
        raise DataError(f"'{folder}' was removed as soon as it was packed: raise DCGAN_CACHE_SIZE, in GB")
    return images


def _open(folder: Path, source: Source, shape: Shape) -> Images | None:
    """The images that are packed in a folder; None if there are none, or if anything of them is damaged."""
    path = folder / PIXELS
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        names, keys, first = index["names"], np.array(index["keys"], np.uint64), np.array(index["first"], np.int64)
        if path.stat().st_size != len(names) * shape.nc * shape.size**2 or not len(names) == len(keys) == len(first):
            return None
        images = Images(
            source.name,
            _mapped(path, len(names), shape),
            names,
            skipped=[(name, why) for name, why in index["skipped"]],
            digest=index["digest"],
            folder=folder,
            pending=frozenset(index["again"]),
            keys=keys,
            first=first,
            faceless=tuple(index["faceless"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    mark_used(folder)
    return images


def _mapped(path: Path, count: int, shape: Shape) -> np.ndarray:
    """The packed pixels in a file, uint8 [number, nc, size, size]."""
    whole = (count, shape.nc, shape.size, shape.size)
    return np.memmap(path, np.uint8, "r", shape=whole) if count else np.empty(whole, np.uint8)


def _readable_now(source: Source, images: Images, shape: Shape) -> bool:
    """Whether any file can be read that was skipped for a reason that may pass."""
    pending = (i for i, name in enumerate(source.names) if name in images.pending)
    return any(not decode(source, shape, faces.find_faces, [i])[0].reason for i in pending)


def _pack(source: Source, shape: Shape, workers: int, folder: Path, progress: bool) -> None:
    """Decode a source into `folder`: pixels, index and the list of copies. Raises OSError, or DataError."""
    with replacing(folder) as working:
        decoded = _decoded(source, shape, workers, folder.parent)
        bar = tqdm(decoded, f"reading {source.name}", len(source.names), unit="img", disable=not progress)
        with writing(working / PIXELS) as path:
            files, content = _write_pixels(path, bar)
        pictures = [file for file in files if not file.reason]
        looks = [file.look for file in pictures if file.look is not None]  # of photos that faces were cut from
        pixels = np.stack(looks) if looks else _mapped(working / PIXELS, len(pictures), shape)
        names, keys, first = _described(pictures, pixels)
        with writing(working / COPIES) as path:
            copies = [f"{name}\t{names[i]}\n" for name, i in zip(names, first, strict=True) if names[i] != name]
            path.write_text("".join(copies), encoding="utf-8", errors="backslashreplace")
        index = {"names": names, "keys": keys, "first": first, "digest": content}
        index["skipped"] = [(file.name, file.reason) for file in files if file.reason]
        index["again"] = [file.name for file in files if file.may_pass]
        index["faceless"] = [file.name for file in pictures if not file.number]
        with writing(working / INDEX) as path:
            path.write_text(json.dumps(index), encoding="utf-8")
    enlarged = sum(file.enlarged for file in files)
    if progress and enlarged:
        small = f"{enlarged} of {len(names)} images, smaller than {shape.size} px,"
        print(f"warning: {small} were enlarged: they look soft")
    if progress:
        print(f"packed in the image cache '{folder.parent}', which is kept under {cache_size() / 10**9:g} GB")


def _decoded(source: Source, shape: Shape, workers: int, cache: Path) -> Iterator[Decoded]:
    """Decode all files of a source, in processes. Raises DataError if one dies, or where faces cannot be looked for."""
    if shape.crop == "face":
        faces.check_detector()  # here, since what a process raises comes with its traceback
    find = faces.FaceCache(cache).find if shape.crop == "face" else faces.find_faces
    loader: DataLoader = DataLoader(
        range(len(source.names)),  # type: ignore[arg-type]  # a sequence is a data set
        batch_size=8,  # a bar that moves, where each takes a while
        num_workers=workers,
        collate_fn=partial(decode, source, shape, find),
    )
    try:
        for files in loader:
            yield from files
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"a process that decodes images failed, perhaps for want of memory ({reason(error)}): lower --workers"
        ) from error


def decode(source: Source, shape: Shape, find: Find, indices: list[int]) -> list[Decoded]:
    """Decode some files of a source. Whatever a broken one makes a decoder raise, the others go on."""
    decoded = []
    for index in indices:
        file = Decoded(source.names[index], scene=index // source.stretch)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with source.open(index) as picture:
                    decoded.append(_prepared(file, picture, shape, find))
        except Exception as error:
            may_pass = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
            decoded.append(file._replace(reason=reason(error), may_pass=may_pass))
    return decoded


def _prepared(file: Decoded, picture: Image.Image, shape: Shape, find: Find) -> Decoded:
    """The file with the images that are made of its picture."""
    look = None
    if shape.crop == "face":
        photo = upright(picture, 3)
        pixels, enlarged = face_squares(photo, find(photo), shape.size, shape.nc)
        look = square(photo, WHOLE, shape.nc)
    else:
        pixels, enlarged = square(picture, shape.size, shape.nc)[None], min(picture.size) < shape.size
    key = int.from_bytes(hashlib.blake2b(pixels.tobytes(), digest_size=8).digest(), "little")
    return file._replace(pixels=pixels, key=key, number=len(pixels), enlarged=enlarged, look=look)


def _write_pixels(path: Path, decoded: Iterator[Decoded]) -> tuple[list[Decoded], str]:
    """Write the pixels of files one after the other; return the files without them, and a digest of all."""
    files, content = [], hashlib.sha256()
    with path.open("wb") as packed:
        for file in decoded:
            if file.pixels is not None:
                packed.write(file.pixels.tobytes())
                content.update(file.pixels.tobytes())
            files.append(file._replace(pixels=None))
    return files, content.hexdigest()[:16]


def _described(pictures: list[Decoded], looks: np.ndarray) -> tuple[list[str], list[int], list[int]]:
    """Names, keys and `first` of all images of some pictures. The faces of a copy are copies, one by one."""
    names, keys, first = [], [], []
    start = np.cumsum([0, *(file.number for file in pictures)])
    leading: dict[int, int] = {}
    alike = first_alike(looks, np.array([file.key for file in pictures], np.uint64))
    for place, (file, original) in enumerate(zip(pictures, alike, strict=True)):
        names += [file.name] * file.number
        keys += [leading.setdefault(file.scene, file.key)] * file.number
        shared = min(file.number, pictures[original].number)
        first += [int(start[original if face < shared else place] + face) for face in range(file.number)]
    return names, keys, first
