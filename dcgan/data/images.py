"""From a source of pictures to uint8 images, and from these to batches.

Every file is decoded once, resized and cropped as the tutorial does it, and packed into one memory-mapped file under
the user's cache directory. The next start with the same source and settings opens that file and decodes nothing.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from dcgan.data.crop import CROP_VERSION, square
from dcgan.data.sources import SUFFIXES, DataError, DrawnSource, Source, digest, open_source, printable
from dcgan.files import reason, writing

APPLES = (".heic", ".heif")  # pictures that Pillow does not open
RESIDENT_SHARE = 0.5  # of a GPU's free memory: the images may take so much


@dataclass(frozen=True)
class Images:
    """A set of images, all of one size.

    pixels: uint8 [N, nc, S, S], memory-mapped and read-only. names: their names in the source. skipped: what could
    not be read, and why. folder: where they lie packed, and where what is learned from them may be kept.
    """

    name: str
    pixels: np.ndarray
    names: list[str]
    skipped: list[tuple[str, str]]
    digest: str
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def heldout(self) -> np.ndarray:
        """Bool [N]: the tenth that is never trained on. By a hash of the file's stem, the same in a zip or a folder."""
        return np.array([is_heldout(name) for name in self.names], dtype=bool)

    @cached_property
    def training(self) -> np.ndarray:
        """Indices of the images that are trained on."""
        return np.flatnonzero(~self.heldout)

    def batch(self, indices: np.ndarray) -> Tensor:
        """The images at `indices`, uint8 [len(indices), nc, S, S]."""
        return torch.from_numpy(self.pixels[indices])

    def some(self, count: int) -> Tensor:
        """Up to `count` training images, always the same ones, from all over the set: uint8 [count, nc, S, S]."""
        return self.batch(np.sort(np.random.default_rng(0).permutation(self.training)[:count]))

    def epoch_length(self, batch_size: int, drop_last: bool, world: int = 1) -> int:
        """How many images one epoch shows; a last, smaller batch is cut to what `world` ranks can share evenly."""
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
        """Training batches without end, uint8 [B, nc, S, S] on `device`, going on after `seen` images.

        Of `world` ranks each gets its own part of every batch, [B / world, nc, S, S].

        Each epoch shows every training image once, in an order (and mirrored, with `flip`) that follows from the seed
        and the epoch alone: a resumed run sees what an unbroken one would have seen. On a GPU the whole set lies in
        its memory where that leaves room; else batches are copied there while the step before still runs.
        Raises DataError, at once, where there are fewer images than a batch takes.
        """
        if len(self.training) < batch_size:
            raise DataError(
                f"'{self.name}' has {len(self)} images, {len(self.training)} of them for training (a tenth is held "
                f"out): fewer than one batch of {batch_size}. Add images or lower --batch-size"
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
                            batch = batch.pin_memory().to(device, non_blocking=True)
                    yield torch.where(mirrored[part, None, None, None], batch.flip(3), batch) if flip else batch
                epoch, start = epoch + 1, 0

        return stream()

    def _resident(self, device: torch.device) -> Tensor | None:
        """All pixels in a GPU's memory, if they take no more than RESIDENT_SHARE of what is free there."""
        if device.type != "cuda" or self.pixels.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            return None
        return torch.from_numpy(np.array(self.pixels)).to(device)


def is_heldout(name: str) -> bool:
    """Whether the image of this name belongs to the held-out tenth."""
    stem = PurePosixPath(name).stem
    return zlib.crc32(os.fsencode(stem)) % 10 == 0


def load_images(
    source: str,
    image_size: int,
    nc: int = 3,
    workers: int = 2,
    limit: int | None = None,
    cache: Path | None = None,
    progress: bool = True,
) -> Images:
    """The images of a folder, a zip, "avatars" or a data set on the Hub at `image_size`, cached or decoded now.

    source: a path, "avatars" for the drawn faces, or hf://datasets/OWNER/NAME. limit: only the first so many. cache:
    where packed images are kept, by default $DCGAN_CACHE or the user's cache directory. progress: show a bar while
    decoding, and name what was skipped.
    Raises DataError where there is nothing to read or no room for the cache.
    """
    found = open_source(source, limit)
    if limit is not None:
        found.names = found.names[:limit]
    kinds = ", ".join(
        f"{n} {printable(suffix) or 'without ending'}{' (to be converted to JPEG first)' * (suffix in APPLES)}"
        for suffix, n in found.others.most_common(4)
    )
    if not found.names:
        raise DataError(
            f"no images in '{source}': looked for {' '.join(SUFFIXES)} there and below, "
            f"found {f'other files only ({kinds})' if kinds else 'nothing'}"
        )
    if kinds and not source.startswith("hf://"):
        print(f"left out as no pictures: {kinds}")
    key = digest(f"{found.fingerprint} {len(found.names)} {image_size} {nc} {CROP_VERSION}")
    folder = (cache or cache_directory()) / f"{_short(found.name)}-{image_size}-{key}"
    images = _open_packed(folder, found.name, image_size, nc, True)
    if images is None:
        shutil.rmtree(folder, ignore_errors=True)
        _pack(found, image_size, nc, workers, folder, progress)
        images = _open_packed(folder, found.name, image_size, nc, False)
    if images is None:
        raise DataError(f"the image cache '{folder}' is damaged, and cannot be removed: do so, or set DCGAN_CACHE")
    if images.skipped and progress:  # of a visitor's pictures nothing is logged
        shown = ", ".join(f"{printable(name)} ({why})" for name, why in images.skipped[:3])
        more = f" and {len(images.skipped) - 3} more, listed in {folder / 'index.json'}" * (len(images.skipped) > 3)
        print(f"{len(images.skipped)} of {len(found.names)} files could not be read and were skipped: {shown}{more}")
    if not len(images):
        raise DataError(f"none of the {len(found.names)} images in '{source}' can be read: {images.skipped[0][1]}")
    return images


def cache_directory() -> Path:
    """Where packed images are kept: $DCGAN_CACHE, else `dcgan` in the user's cache directory."""
    if named := os.environ.get("DCGAN_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcgan"


class _Decoder(Dataset):
    """Item i: the square image i and whether it had to be enlarged, or the reason why it cannot be read and whether
    that may pass: the system's, and not the file's.
    """

    def __init__(self, source: Source, size: int, nc: int):
        self.source, self.size, self.nc = source, size, nc

    def __len__(self) -> int:
        return len(self.source.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray | str, bool]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with self.source.open(index) as image:
                    return square(image, self.size, self.nc), min(image.size) < self.size
        except Exception as error:  # whatever a broken file makes a decoder say, the other files go on
            return reason(error), isinstance(error, MemoryError) or getattr(error, "errno", None) is not None


def _pack(source: Source, size: int, nc: int, workers: int, folder: Path, progress: bool) -> None:
    """Decode all of a source into `folder`: pixels.u8 and, last, index.json."""
    if isinstance(source, DrawnSource):
        try:
            source.open(0)
        except ImportError as error:  # before all images are found to be broken
            raise DataError(str(error)) from None
    kept, skipped, small, again, content = [], [], 0, False, hashlib.sha256()
    loader: DataLoader = DataLoader(_Decoder(source, size, nc), 64, num_workers=workers, collate_fn=list)
    need = len(source.names) * nc * size * size
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if need > (free := shutil.disk_usage(folder.parent).free):
            raise OSError(errno.ENOSPC, f"{free / 2**20:,.0f} MiB are free")
        working = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _no_cache(folder.parent, need, error) from None
    try:
        bar = tqdm(total=len(source.names), desc=f"reading {source.name}", unit="img", disable=not progress)
        with bar, writing(working / "pixels.u8") as path, path.open("wb") as pixels:
            names = iter(source.names)
            for items in _decoded(loader):
                bar.update(len(items))
                for (image, about), name in zip(items, names, strict=False):
                    if isinstance(image, str):
                        skipped.append((name, image))
                        again |= about
                        continue
                    data = np.ascontiguousarray(image).tobytes()
                    pixels.write(data)
                    content.update(data)
                    kept.append(name)
                    small += about
        if small:
            print(
                f"warning: {small} of {len(kept)} images are smaller than {size} px and were enlarged: they look soft"
            )
        index = {"names": kept, "skipped": skipped, "digest": content.hexdigest()[:16], "again": again or not kept}
        with writing(working / "index.json") as path:
            path.write_text(json.dumps(index), encoding="utf-8")
        try:
            working.rename(folder)
        except OSError:
            if not (folder / "index.json").is_file():  # unless another process was faster
                raise
    except OSError as error:
        raise _no_cache(folder.parent, need, error) from None
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _decoded(loader: DataLoader) -> Iterator[list[tuple[np.ndarray | str, bool]]]:
    """What the loader's processes decode. Raises DataError where they cannot go on."""
    try:
        decoding = iter(loader)
    except OSError as error:
        raise DataError(
            f"{loader.num_workers} processes that decode pictures cannot be started ({error.strerror}): lower --workers"
        ) from None
    try:
        yield from decoding
    except RuntimeError as error:  # a process of its own has died
        why = "a process that decodes pictures was killed, perhaps for want of memory: lower --workers"
        raise DataError(why) from error


def _no_cache(folder: Path, need: int, error: OSError) -> DataError:
    return DataError(
        f"the image cache '{folder}' cannot be written ({error.strerror}): it takes {need / 2**20:,.0f} MiB; "
        "make room or set DCGAN_CACHE to another folder"
    )


def _open_packed(folder: Path, name: str, size: int, nc: int, older: bool) -> Images | None:
    """What was packed there; None where there is nothing, or only what is damaged, or where it is older and some of it
    could not be read for a reason that may have passed.
    """
    path = folder / "pixels.u8"
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        names, skipped, content = index["names"], [(name, why) for name, why in index["skipped"]], index["digest"]
        shape = (len(names), nc, size, size)
        if older and index.get("again"):
            return None
        if path.stat().st_size != math.prod(shape):
            return None
        pixels = np.memmap(path, np.uint8, "r", shape=shape) if names else np.empty(shape, np.uint8)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Images(name, pixels, names, skipped, content, folder)


def _short(name: str) -> str:
    """A name cut to what a file system takes, with room for what is put before and after it."""
    return os.fsdecode(os.fsencode(name)[:100])
