"""Pictures made by code, and the files and zips that they are put into."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.data import DataError, Images, load_images

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def blot(width: int = 24, height: int = 24, seed: int = 0) -> Image.Image:
    """Soft random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(seed: int = 0, kind: str = "PNG") -> bytes:
    """A picture as a file's content."""
    file = io.BytesIO()
    blot(seed=seed).save(file, kind)
    return file.getvalue()


def put(folder: Path, *names: str, size: tuple[int, int] = (24, 24)) -> Path:
    """A different picture under each name."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        blot(*size, seed=seed).save(path)
    return folder


def zip_bytes(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(zip_bytes(files))
    return path


def zip_of(folder: Path, path: Path) -> Path:
    """A zip of all files in a folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return zipped(path, {file.relative_to(folder).as_posix(): file.read_bytes() for file in files})


def spoil(*paths: Path) -> None:
    """Make files unreadable as pictures, without any change that a listing shows."""
    for path in paths:
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def load(source: Path | str, size: int = 16, nc: int = 3, **settings) -> Images:
    return load_images(str(source), size, nc, **{"workers": 0, "progress": False, **settings})


def refused(source: Path | str, **settings) -> str:
    """The one line with which a source is refused."""
    with pytest.raises(DataError) as caught:
        load(source, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def colour(picture: np.ndarray) -> list[int]:
    """The mean colour of [C, H, W] pixels."""
    return picture.reshape(len(picture), -1).mean(axis=1).round().astype(int).tolist()
