"""From a folder, a zip, the drawn faces or the Hub to uint8 images.

Every file is decoded once, resized and cropped as the tutorial does it, and packed into one memory-mapped file under
the user's cache directory. The next start with the same source and settings opens that file and decodes nothing.
"""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from dcgan import avatars
from dcgan.files import reason, writing

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".apng", ".webp", ".avif"),
    *(".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
)
APPLES = (".heic", ".heif")  # pictures that Pillow does not open
# Pillow is held to these decoders: a file named .jpg that holds PostScript must not start an interpreter.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM")
CROP_VERSION = 3  # part of the cache's key: raise it when the same file would come out as other pixels
SETTINGS = Path("state") / "settings.json"  # marks a run's folder: its pictures are no photos
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MAX_ASPECT = 4
MAX_FILE = 256 * 2**20  # bytes: more than a picture of the most pixels that Pillow opens without a warning takes
RESIDENT_SHARE = 0.5  # of a GPU's free memory: the images may take so much


class DataError(Exception):
    """Images that cannot be had; the message is one line saying what was looked for, and what was found."""


class Source(Protocol):
    """Where images come from: `names` in a fixed order, and a picture for each."""

    name: str
    names: list[str]
    others: Counter[str]
    fingerprint: str

    def open(self, index: int) -> Image.Image: ...


class FolderSource:
    """All images in a folder and below it but those of runs, in the order of their paths, not in the disk's."""

    def __init__(self, root: Path):
        self.root, self.name = root, printable(root.resolve().name)
        self.others: Counter[str] = Counter()
        files = sorted(self._walk(root))
        self.names = [name for name, _ in files]
        self.fingerprint = _digest(f"{root.resolve()}\n{files}")

    def _walk(self, root: Path) -> Iterator[tuple[str, tuple[int, int]]]:
        visited = set()
        for folder, below, files in os.walk(root, onerror=self._unreadable, followlinks=True):
            real = os.path.realpath(folder)
            if real in visited:  # a link that leads back up
                below.clear()
                continue
            visited.add(real)
            below[:] = sorted(d for d in below if not is_junk(d) and not Path(folder, d, SETTINGS).is_file())
            for file in files:
                path = Path(folder, file)
                if is_image(file) and (found := _size_and_time(path)):
                    yield path.relative_to(root).as_posix(), found
                elif not is_junk(file):
                    self.others[path.suffix.lower()] += 1

    def _unreadable(self, error: OSError) -> None:
        self.others["folder that cannot be read"] += 1

    def open(self, index: int) -> Image.Image:
        path = self.root / self.names[index]
        _check_size(path.stat().st_size)
        return Image.open(path, formats=_formats())


def _size_and_time(path: Path) -> tuple[int, int] | None:
    """What changes with a file; None for a pipe or a device. A file that is gone is to be missed when it is read."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return (stat.st_size, stat.st_mtime_ns) if S_ISREG(stat.st_mode) else None


def _check_size(size: int) -> None:
    if size > MAX_FILE:  # some decoders read a file whole
        raise DataError(f"it has {size / 2**20:,.0f} MiB, and no more than {MAX_FILE / 2**20:,.0f} are read")


class ZipSource:
    """All images in a zip, in the order of their names. Read in place, never unpacked."""

    def __init__(self, path: Path):
        self.path, self.name = path, printable(path.stem)
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        try:
            entries = self._zip().infolist()
        except Exception as error:  # whatever a broken one makes zipfile say
            raise DataError(f"'{path}' cannot be read as a zip ({reason(error)})") from None
        files = [e.filename for e in entries if not e.is_dir()]
        self.names = sorted(f for f in files if is_image(f))
        self.others = Counter(PurePosixPath(f).suffix.lower() for f in files if not is_image(f) and not is_junk(f))
        stat = path.stat()
        self.fingerprint = _digest(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}")

    def _zip(self) -> zipfile.ZipFile:
        # One handle a process: forked workers would share a single file position.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), zipfile.ZipFile(self.path)
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def open(self, index: int) -> Image.Image:
        entry = self._zip().getinfo(self.names[index])
        _check_size(entry.file_size)  # more than it says is not unpacked
        return Image.open(self._zip().open(entry), formats=_formats())


class DrawnSource:
    """The built-in faces of `dcgan.avatars`."""

    def __init__(self) -> None:
        self.name = avatars.SOURCE
        self.others: Counter[str] = Counter()
        self.names = [f"{i:06d}" for i in range(avatars.COUNT)]
        self.fingerprint = f"avatars-{avatars.VERSION}"

    def open(self, index: int) -> Image.Image:
        return avatars.face(index)[0]


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
        length = self.epoch_length(batch_size, drop_last, world)
        return self._stream(batch_size, seed, seen, flip, length, torch.device(device), rank, world)

    def _stream(
        self,
        batch_size: int,
        seed: int,
        seen: int,
        flip: bool,
        length: int,
        device: torch.device,
        rank: int,
        world: int,
    ) -> Iterator[Tensor]:
        resident = self._resident(device)
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
    key = _digest(f"{found.fingerprint} {len(found.names)} {image_size} {nc} {CROP_VERSION}")
    folder = (cache or cache_directory()) / f"{_short(found.name)}-{image_size}-{key}"
    images = _open_packed(folder, found.name, image_size, nc)
    if images is None:
        shutil.rmtree(folder, ignore_errors=True)
        _pack(found, image_size, nc, workers, folder, progress)
        images = _open_packed(folder, found.name, image_size, nc)
    if images is None:
        raise DataError(f"the image cache '{folder}' is damaged, and cannot be removed: do so, or set DCGAN_CACHE")
    if images.skipped and progress:  # of a visitor's pictures nothing is logged
        shown = ", ".join(f"{printable(name)} ({why})" for name, why in images.skipped[:3])
        more = f" and {len(images.skipped) - 3} more, listed in {folder / 'index.json'}" * (len(images.skipped) > 3)
        print(f"{len(images.skipped)} of {len(found.names)} files could not be read and were skipped: {shown}{more}")
    if not len(images):
        raise DataError(f"none of the {len(found.names)} images in '{source}' can be read: {images.skipped[0][1]}")
    return images


def is_drawn(source: str) -> bool:
    """Whether a --dataroot names the built-in faces, and no folder or zip that is called like them."""
    return source == avatars.SOURCE and not Path(source).exists()


def open_source(source: str, limit: int | None = None) -> Source:
    """The source that a --dataroot names; from the Hub, no more than `limit` images. Raises DataError."""
    if source.startswith("hf://"):
        return _hub_source(source, limit)
    if is_drawn(source):
        return DrawnSource()
    path = Path(source).expanduser()
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return ZipSource(path)
    raise DataError(
        f"no images at '{source}': it is neither a folder, nor a zip, nor the word avatars, nor hf://datasets/OWNER/NAME"
    )


def _hub_source(source: str, limit: int | None) -> Source:
    try:
        from dcgan.hub_data import HubSource
    except ImportError:
        raise DataError(f"'{source}' needs: pip install huggingface-hub") from None
    return HubSource(source, limit)  # type: ignore[return-value]  # it has its names once they are asked for


def cache_directory() -> Path:
    """Where packed images are kept: $DCGAN_CACHE, else `dcgan` in the user's cache directory."""
    if named := os.environ.get("DCGAN_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcgan"


def open_photo(path: str | Path, largest: int) -> Image.Image:
    """A picture that anyone may have sent, upright and loaded, its longer side at most `largest` pixels.

    Raises DataError, in one line that names no path.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise Image.DecompressionBombError
            image.draft(None, (largest, largest))  # a JPEG need not be decoded whole
            photo = ImageOps.exif_transpose(image)
        photo.thumbnail((largest, largest))
        return photo
    except Image.DecompressionBombError:
        raise DataError("this picture has too many pixels: give a smaller one") from None
    except Exception:  # whatever a broken file makes a decoder say
        raise DataError("this is no picture that can be read: give a JPEG, PNG or WebP") from None


def square(image: Image.Image, size: int, nc: int) -> np.ndarray:
    """A picture as training sees it: uint8 [nc, size, size].

    Made upright, the shorter side resized to `size` with antialiasing, the centre cropped.
    """
    from torchvision.transforms import functional as transforms  # takes seconds, and the demo begins without it

    image = upright(image, nc)
    short = min(image.size)
    if max(image.size) > MAX_ASPECT * short:  # a thin strip would be blown up to a huge one before its crop
        image = transforms.center_crop(image, [min(side, short) for side in image.size[::-1]])
    image = transforms.center_crop(transforms.resize(image, [size]), [size])
    return np.asarray(image, dtype=np.uint8).reshape(size, size, nc).transpose(2, 0, 1)


def upright(image: Image.Image, nc: int) -> Image.Image:
    """A picture turned as its EXIF says, its colours made RGB or grey; transparent parts become white."""
    return _opaque(ImageOps.exif_transpose(image)).convert("L" if nc == 1 else "RGB")


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel or more, which Pillow would clip to 255
        levels = np.asarray(image, dtype=np.float64)
        finite = levels[np.isfinite(levels)]
        black, brightest = finite.min(initial=0), finite.max(initial=0)
        # 32-bit integers often hold what had 8 or 16 bits before, and floats what had a range of 1: pictures of one
        # camera then keep their brightness to each other. Of what goes beyond that nobody knows which level is white.
        usual = {"F": (1,), "I": (255, 65535)}.get(image.mode, (65535,))
        white = next((level for level in usual if brightest <= level), brightest)
        levels = np.nan_to_num((levels - black) / (white - black), posinf=1).clip(0, 1)
        return Image.fromarray((levels * 255).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image


class _Decoder(Dataset):
    """Item i: the square image i and whether it had to be enlarged, or the reason why it cannot be read."""

    def __init__(self, source: Source, size: int, nc: int):
        self.source, self.size, self.nc = source, size, nc

    def __len__(self) -> int:
        return len(self.source.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, bool] | str:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with self.source.open(index) as image:
                    return square(image, self.size, self.nc), min(image.size) < self.size
        except Exception as error:  # whatever a broken file makes a decoder say, the other files go on
            return reason(error)


def _pack(source: Source, size: int, nc: int, workers: int, folder: Path, progress: bool) -> None:
    """Decode all of a source into `folder`: pixels.u8 and, last, index.json."""
    if isinstance(source, DrawnSource):
        try:
            source.open(0)
        except ImportError as error:  # before all images are found to be broken
            raise DataError(str(error)) from None
    kept, skipped, small, digest = [], [], 0, hashlib.sha256()
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
            for items in loader:
                bar.update(len(items))
                for item, name in zip(items, names, strict=False):
                    if isinstance(item, str):
                        skipped.append((name, item))
                        continue
                    image, enlarged = item
                    data = np.ascontiguousarray(image).tobytes()
                    pixels.write(data)
                    digest.update(data)
                    kept.append(name)
                    small += enlarged
        if small:
            print(
                f"warning: {small} of {len(kept)} images are smaller than {size} px and were enlarged: they look soft"
            )
        index = {"names": kept, "skipped": skipped, "digest": digest.hexdigest()[:16]}
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


def _no_cache(folder: Path, need: int, error: OSError) -> DataError:
    return DataError(
        f"the image cache '{folder}' cannot be written ({error.strerror}): it takes {need / 2**20:,.0f} MiB; "
        "make room or set DCGAN_CACHE to another folder"
    )


def _open_packed(folder: Path, name: str, size: int, nc: int) -> Images | None:
    """What was packed there; None where there is nothing, or only what is damaged."""
    path = folder / "pixels.u8"
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        names, skipped, digest = index["names"], [(name, why) for name, why in index["skipped"]], index["digest"]
        shape = (len(names), nc, size, size)
        if path.stat().st_size != math.prod(shape):
            return None
        pixels = np.memmap(path, np.uint8, "r", shape=shape) if names else np.empty(shape, np.uint8)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Images(name, pixels, names, skipped, digest, folder)


def _short(name: str) -> str:
    """A name cut to what a file system takes, with room for what is put before and after it."""
    return os.fsdecode(os.fsencode(name)[:100])


def printable(name: str) -> str:
    """A file's name for the screen, in one line, whatever bytes it is made of."""
    name = os.fsencode(name).decode("utf-8", "replace")
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for a picture."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES and not is_junk(name)


def is_junk(name: str) -> bool:
    """Whether it is hidden, or what macOS packs beside each file: nobody misses it."""
    path = PurePosixPath(name)
    return path.name.startswith(".") or "__MACOSX" in path.parts


def _formats() -> list[str]:
    Image.init()
    return [f for f in FORMATS if f in Image.OPEN]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
