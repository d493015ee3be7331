"""Images as training sees them: read from a source once, packed in the cache, and served in batches.

Every file is decoded once, resized and cropped as the tutorial does it, and packed with all others into one
memory-mapped file. The next start with the same source and settings opens that file and decodes nothing, but for files
that the system would not let be read (no permission, a link to nowhere, no memory): once one of these can be read, all
are packed anew.
"""

import errno
import hashlib
import json
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from dcgan.data.cache import alone, cache_directory, cache_size, make_room, mark_used
from dcgan.data.crop import CROP_VERSION, square, squares
from dcgan.data.duplicates import first_alike
from dcgan.data.faces import NoDetector
from dcgan.data.sources import FILMS, SUFFIXES, DataError, Source, digest, open_source, printable
from dcgan.files import reason, replacing, writing

COPIES = "duplicates.txt"  # beside the packed pixels: on each line a picture, and the first that shows the same
WHOLE = 32  # pixels
RESIDENT_SHARE = 0.5  # of a GPU's free memory, at most, for the images


@dataclass(frozen=True)
class Images:
    """A set of images, all of one size.

    pixels: uint8 [N, nc, S, S], memory-mapped and read-only. names: of their files in the source; several faces of a
    photo have one. skipped: names of files that could not be read, with reasons. faceless: of photos in which faces
    were looked for and not found. digest: of all pixels. folder: where they are packed, and where a network that is
    trained on them may be kept. pending: the skipped files whose reason may pass.
    keys: uint64 [N], a hash of each file's pixels, so that all faces of a photo are held out, or none; None: a tenth
    is held out by name, as earlier versions did it. first: int [N], of each image the first that shows the same. Only
    that one is used, unless `keep_duplicates`, and all of them are held out, or none. known: the keys of images that
    were divided before, and which were held out.
    """

    name: str
    pixels: np.ndarray
    names: list[str]
    skipped: list[tuple[str, str]]
    digest: str
    folder: Path | None = None
    pending: frozenset[str] = frozenset()
    keys: np.ndarray | None = None
    first: np.ndarray | None = None
    keep_duplicates: bool = False
    known: tuple[np.ndarray, np.ndarray] | None = None
    faceless: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Bool [N] and bool [N]: the images of the held-out tenth, copies among them, and the images that are used.

        By a hash of the pixels: no name, and no place in the source, changes it. Of images that show the same one
        decides for all: one that was trained on before, else one that was held out before, else the first.
        """
        if self.keys is None or self.first is None:
            return np.array([is_heldout(name) for name in self.names], bool), np.ones(len(self), bool)
        known, heldout = self.known or (self.keys[:0], np.zeros(0, bool))
        rank = 2 - np.isin(self.keys, known[heldout]) - 2 * np.isin(self.keys, known[~heldout])
        aside = np.where(rank == 2, self.keys % 10 == 0, rank == 1)
        order = np.argsort(rank, kind="stable")
        _, leading, group = np.unique(self.first[order], return_index=True, return_inverse=True)
        leader = np.empty_like(self.first)
        leader[order] = order[leading][group]
        return aside[leader], self.keep_duplicates | (leader == np.arange(len(self)))

    @cached_property
    def heldout(self) -> np.ndarray:
        """Bool [N]: the tenth that is never trained on."""
        heldout, used = self.sides
        return heldout & used

    @cached_property
    def training(self) -> np.ndarray:
        """Indices of the images that are trained on, in an order that their names do not change."""
        heldout, used = self.sides
        found = np.flatnonzero(used & ~heldout)
        return found if self.keys is None else found[np.argsort(self.keys[found], kind="stable")]

    @cached_property
    def split(self) -> str | None:
        """Sixteen hexadecimal digits that stand for what is trained on and what is held out; None if by name."""
        if self.keys is None:
            return None
        sides = (np.sort(self.keys[part]) for part in (self.training, self.heldout))
        return hashlib.sha256(b"/".join(side.astype("<u8").tobytes() for side in sides)).hexdigest()[:16]

    @property
    def copies(self) -> int:
        """The number of images that show the same as an earlier one; 0 where that was not looked for."""
        return 0 if self.first is None else int((self.first != np.arange(len(self))).sum())

    def are_those_of(self, data: dict[str, Any]) -> bool:
        """Whether a checkpoint with these settings of its data was trained on these images, and on no held-out one."""
        return (data.get("split") or data.get("digest")) == (self.split or self.digest)

    def divided(self, by_name: bool, keep_duplicates: bool) -> "Images":
        """The same images, divided as `division` says of a checkpoint or a run."""
        return replace(self, keys=None, first=None) if by_name else replace(self, keep_duplicates=keep_duplicates)

    def batch(self, indices: np.ndarray) -> Tensor:
        """The images at `indices`: uint8 [len(indices), nc, S, S]."""
        return torch.from_numpy(self.pixels[indices])

    def some(self, count: int) -> Tensor:
        """Up to `count` training images from all over the set, always the same ones: uint8 [count, nc, S, S]."""
        return self.batch(np.sort(np.random.default_rng(0).permutation(self.training)[:count]))

    def epoch_length(self, batch_size: int, drop_last: bool, world: int = 1) -> int:
        """The number of images in an epoch; its last, smaller batch is cut to what `world` ranks share evenly."""
        last = len(self.training) % batch_size
        return len(self.training) - (last if drop_last else last % world)

    def batches(
        self,
        batch_size: int,
        seed: int,
        seen: int = 0,
        flip: bool = False,
        drop_last: bool = True,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[Tensor]:
        """Training batches without end, uint8 [B, nc, S, S] on `device`, from `seen` images on.

        Each epoch shows every training image once, in an order (and mirrored at random, with `flip`) that depends on
        the seed and the epoch alone: a resumed run sees what an unbroken one would have seen. Of `world` ranks each
        gets every world-th image of a batch. On a GPU the whole set lies in its memory if it takes no more than
        RESIDENT_SHARE of what is free; else batches are copied while the step before still runs.
        Raises DataError, at once, if a batch takes more images than there are.
        """
        if len(self.training) < batch_size:
            copies = f", {self.copies} show the same as others" if self.copies and not self.keep_duplicates else ""
            raise DataError(
                f"'{self.name}' has {len(self)} images, {len(self.training)} of them for training "
                f"({self.heldout.sum()} held out{copies}): fewer than one batch of {batch_size}. Add images or "
                "lower --batch-size"
            )
        length, device = self.epoch_length(batch_size, drop_last, world), torch.device(device)

        def stream() -> Iterator[Tensor]:
            resident = self._resident(device)  # not before the first batch: another stream's may still be there
            epoch, start = divmod(seen, length)
            while True:
                generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
                order = torch.from_numpy(self.training)[torch.randperm(len(self.training), generator=generator)]
                mirrored = (torch.rand(len(order), generator=generator) < 0.5).to(device)
                if resident is not None:
                    order = order.to(device)
                for i in range(start, length, batch_size):
                    part = slice(i + rank, min(i + batch_size, length), world)
                    if resident is not None:
                        batch = resident[order[part]]
                    else:
                        batch = self.batch(order[part].numpy())
                        if device.type == "cuda":
                            batch = batch.pin_memory()
                        batch = batch.to(device, non_blocking=device.type == "cuda")
                    yield torch.where(mirrored[part, None, None, None], batch.flip(3), batch) if flip else batch
                epoch, start = epoch + 1, 0

        return stream()

    def _resident(self, device: torch.device) -> Tensor | None:
        """All pixels in a GPU's memory, if there is room."""
        if device.type != "cuda" or self.pixels.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            return None
        return torch.from_numpy(np.array(self.pixels)).to(device)


def division(data: dict[str, Any]) -> tuple[bool, bool]:
    """Of a checkpoint's settings of its data: whether names decided what is held out, and whether copies were used.

    By name it was in earlier versions.
    """
    return bool(data.get("digest") and not data.get("split")), bool(data.get("keep_duplicates"))


def is_heldout(name: str) -> bool:
    """Whether an image belongs to the held-out tenth: by a hash of its stem, the same in a zip and in a folder."""
    return zlib.crc32(os.fsencode(PurePosixPath(name).stem)) % 10 == 0


def load_images(
    source: str | Source,
    image_size: int,
    nc: int = 3,
    workers: int = 2,
    limit: int | None = None,
    cache: Path | None = None,
    progress: bool = True,
    crop: str = "centre",
) -> Images:
    """The images of a source at `image_size`, from the cache or decoded now.

    source: a folder, a zip, "avatars" for the drawn faces, hf://datasets/OWNER/NAME, or one that is open.
    workers: processes that decode. limit: only the first so many. cache: by default that of the user. progress: False
    prints nothing. crop: "centre", or "face" for an image of each face.
    Of several processes that load the same images one decodes them; the others wait, and find them packed.
    Raises DataError if there is nothing to read, or no room for the cache.
    """
    found, source = (open_source(source, limit), source) if isinstance(source, str) else (source, source.name)
    if limit is not None:
        found.names = found.names[:limit]
    kinds = ", ".join(
        f"{n} {printable(suffix) or 'without ending'}{' (a film: give it alone as --dataroot)' * (suffix in FILMS)}"
        for suffix, n in found.others.most_common(4)
    )
    own = ", ".join(map(printable, found.own[:3])) + f" and {len(found.own) - 3:,} more" * (len(found.own) > 3)
    if not found.names:
        written = "what this program wrote" * bool(own)
        nothing = " and ".join(filter(None, [f"other files only ({kinds})" if kinds else "", written])) or "nothing"
        raise DataError(f"no images in '{source}': looked for {' '.join(SUFFIXES)} there and below, found {nothing}")
    if own and progress:
        print(f"what this program wrote is not trained on: {own}")
    if kinds and progress and not source.startswith("hf://"):
        print(f"left out as no pictures: {kinds}")
    images = _packed(found, image_size, nc, crop, workers, cache or cache_directory(), progress)
    if images.skipped and progress:
        shown = ", ".join(f"{printable(name)} ({why})" for name, why in images.skipped[:3])
        more = f" and {len(images.skipped) - 3} more, listed in {images.folder}/index.json" * (len(images.skipped) > 3)
        print(f"{len(images.skipped)} of {len(found.names)} files cannot be used and were skipped: {shown}{more}")
    if crop == "face" and progress:
        print(faces_found(images))
    if images.faceless and not images:
        raise DataError(f"no face was found in any of the {len(found.names)} images in '{source}': try --crop centre")
    if not images:
        raise DataError(f"none of the {len(found.names)} images in '{source}' can be read: {images.skipped[0][1]}")
    return images


def faces_found(images: Images) -> str:
    """How many faces there are in how many photos, and in which there is none, in one line."""
    photos = len(set(images.names)) + len(images.faceless)
    line = f"{len(images)} faces in {len(set(images.names))} of {photos} photos"
    if not images.faceless:
        return line
    shown = ", ".join(map(printable, images.faceless[:3]))
    more = f" and {len(images.faceless) - 3} more, listed in {images.folder}/index.json" * (len(images.faceless) > 3)
    return f"{line}; none in {shown}{more}"


def _packed(source: Source, size: int, nc: int, crop: str, workers: int, cache: Path, progress: bool) -> Images:
    """The images of a source as the cache has them; packed now if it lacks any that can be read. Raises DataError."""
    key = digest(f"{source.fingerprint} {len(source.names)} {size} {nc} {CROP_VERSION}{crop.removeprefix('centre')}")
    folder = cache / f"{os.fsdecode(os.fsencode(source.name)[:100])}-{size}-{key}"  # of a length that disks take
    need = len(source.names) * nc * size**2
    images = None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with alone(cache / f".{folder.name}.lock"):
            images = _open_packed(folder, source, size, nc)
            if images is None or _readable_now(source, images, crop):
                make_room(cache, need, keep=source.fingerprint)  # a zip from the Hub is named by it
                if need > (free := shutil.disk_usage(cache).free):
                    raise OSError(errno.ENOSPC, f"{free / 2**20:,.0f} MiB are free")
                _pack(source, size, nc, crop, workers, folder, progress)
                images = _open_packed(folder, source, size, nc)
    except OSError as error:
        if images is None:
            images = _open_packed(folder, source, size, nc)  # the cache may belong to another user
        if images is None:
            raise DataError(
                f"the image cache '{cache}' cannot be written ({error.strerror}): it takes {need / 2**20:,.0f} "
                "MiB; make room or set DCGAN_CACHE to another folder"
            ) from None
    if images is None:
        raise DataError(f"'{folder}' was removed as soon as it was packed: raise DCGAN_CACHE_SIZE, in GB")
    return images


class Decoded(NamedTuple):
    """What of a file is trained on, uint8 [N, nc, size, size], or the reason why it cannot be read."""

    pixels: np.ndarray | None
    reason: str = ""
    may_pass: bool = False  # the reason: it is the system's, and not the file's
    enlarged: bool = False
    whole: np.ndarray | None = None  # of a photo with faces, [nc, WHOLE, WHOLE]: by it copies are found


def decode(source: Source, size: int, nc: int, crop: str, indices: list[int]) -> list[Decoded]:
    """Decode some files of a source. Whatever a broken one makes a decoder raise, the others go on.

    Raises DataError where faces cannot be looked for.
    """
    decoded = []
    for index in indices:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with source.open(index) as image:
                    whole = square(image, WHOLE, nc) if crop == "face" else None
                    pixels = squares(image, size, nc, crop)
                    decoded.append(Decoded(pixels, enlarged=min(image.size) < size, whole=whole))
        except NoDetector as error:
            raise DataError(str(error)) from None
        except Exception as error:
            may_pass = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
            decoded.append(Decoded(None, reason(error), may_pass))
    return decoded


def _decoded(source: Source, size: int, nc: int, crop: str, workers: int) -> Iterator[Decoded]:
    """Decode all files of a source, in processes. Raises DataError if a process is not started, or is killed."""
    loader: DataLoader = DataLoader(
        range(len(source.names)),  # type: ignore[arg-type]  # a sequence is a data set
        batch_size=8,  # a bar that moves, where each takes a while
        num_workers=workers,
        collate_fn=partial(decode, source, size, nc, crop),
    )
    try:
        for items in loader:
            yield from items
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"a process that decodes images failed, perhaps for want of memory ({reason(error)}): lower --workers"
        ) from error


def _pack(source: Source, size: int, nc: int, crop: str, workers: int, folder: Path, progress: bool) -> None:
    """Decode a source into `folder`: pixels.u8 and index.json. Raises OSError, or DataError."""
    names, keys, skipped, pending, faceless = [], [], [], [], []
    wholes, counts, scenes = [], [], []
    enlarged, content = 0, hashlib.sha256()
    with replacing(folder) as working:
        with writing(working / "pixels.u8") as path, path.open("wb") as file:
            decoded = _decoded(source, size, nc, crop, workers)
            bar = tqdm(source.names, f"reading {source.name}", unit="img", disable=not progress)
            for place, (name, item) in enumerate(zip(bar, decoded, strict=True)):
                if item.pixels is None:
                    skipped.append((name, item.reason))
                    pending += [name] * item.may_pass
                else:
                    data = item.pixels.tobytes()
                    file.write(data)
                    content.update(data)
                    keys.append(int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little"))
                    counts.append(len(item.pixels))
                    scenes.append(place // getattr(source, "stretch", 1))
                    wholes += [] if item.whole is None else [item.whole]
                    names += [name] * len(item.pixels)
                    faceless += [name] * (not len(item.pixels))
                    enlarged += item.enlarged
        looks = np.stack(wholes) if wholes else _mapped(working / "pixels.u8", len(names), nc, size)
        first_photo = first_alike(looks, np.array(keys, np.uint64))
        # The faces of a photo, and the frames of a stretch of film, have one key, so that they are on one side. The
        # faces of a copy are copies, one by one.
        leading: dict[int, int] = {}
        keys = [leading.setdefault(scene, key) for scene, key in zip(scenes, keys, strict=True)]
        start = np.cumsum([0, *counts])
        first = [
            int(start[one] + min(n, counts[one] - 1) if counts[one] else start[photo] + n)
            for photo, one in enumerate(first_photo)
            for n in range(counts[photo])
        ]
        keys = [key for key, count in zip(keys, counts, strict=True) for _ in range(count)]
        copies = [f"{name}\t{names[i]}\n" for name, i in zip(names, first, strict=True) if names[i] != name]
        with writing(working / COPIES) as path:
            path.write_text("".join(copies), encoding="utf-8", errors="backslashreplace")
        index = {"names": names, "skipped": skipped, "digest": content.hexdigest()[:16], "again": pending}
        index |= {"keys": keys, "first": first, "faceless": faceless}
        with writing(working / "index.json") as path:
            path.write_text(json.dumps(index), encoding="utf-8")
    if progress and enlarged:
        print(f"warning: {enlarged} of {len(names)} images, smaller than {size} px, were enlarged: they look soft")
    if progress:
        print(f"packed in the image cache '{folder.parent}', which is kept under {cache_size() / 10**9:g} GB")


def _open_packed(folder: Path, source: Source, size: int, nc: int) -> Images | None:
    """The images that are packed in a folder; None if there are none, or if anything of them is damaged."""
    path = folder / "pixels.u8"
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        names, skipped = index["names"], [(name, why) for name, why in index["skipped"]]
        keys, first = np.array(index["keys"], np.uint64), np.array(index["first"], np.int64)
        if path.stat().st_size != len(names) * nc * size**2 or not len(names) == len(keys) == len(first):
            return None
        pixels, again = _mapped(path, len(names), nc, size), frozenset(index["again"])
        mark_used(folder)
        faceless = tuple(index["faceless"])
        return Images(
            source.name, pixels, names, skipped, index["digest"], folder, again, keys, first, faceless=faceless
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _mapped(path: Path, count: int, nc: int, size: int) -> np.ndarray:
    """The packed pixels in a file, uint8 [count, nc, size, size]."""
    shape = (count, nc, size, size)
    return np.memmap(path, np.uint8, "r", shape=shape) if count else np.empty(shape, np.uint8)


def _readable_now(source: Source, images: Images, crop: str) -> bool:
    """Whether any file can be read that was skipped for a reason that may pass."""
    size, nc = images.pixels.shape[-1], images.pixels.shape[1]
    pending = (i for i, name in enumerate(source.names) if name in images.pending)
    return any(decode(source, size, nc, crop, [i])[0].pixels is not None for i in pending)
