"""Images of a data set on the Hugging Face Hub: hf://datasets/OWNER/NAME[@revision][/file or folder].

Parquet files, tars, zips or image files are streamed once, up to a limit, into a zip in the cache, which is read.
"""

import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath
from urllib.parse import unquote

from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from PIL import Image
from tqdm import tqdm

from dcgan.data.cache import cache_directory, mark_used
from dcgan.data.sources import HUB_NAME, MAX_FILE, Source, ZipSource, digest, is_image
from dcgan.errors import DataError
from dcgan.files import alone, writing
from dcgan.hub_errors import HUB_ERRORS, error_message

TRAIN = re.compile(r"(^|[/_.-])train([/_.-]|$)")  # in the name of a file of the training split
UNREADABLE = (*HUB_ERRORS, tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)
PARALLEL = 8  # image files downloaded at a time

Encoded = Iterator[tuple[str, bytes]]  # names and contents of image files


class HubSource(Source):
    """The first `limit` images, or all, of a data set on the Hub: looked up at once, downloaded when `names` is used.

    Both raise DataError. Without a network, an earlier download is used.
    """

    def __init__(self, source: str, limit: int | None = None):
        address = HUB_NAME.fullmatch(source.removeprefix("hf://datasets/"))
        if address is None:
            raise DataError(f"'{source}' must read hf://datasets/OWNER/NAME, then perhaps @REVISION, perhaps /FILE")
        self.source, self.limit, self.name = source, limit, address["repo"].partition("/")[2]
        self.paths: list[str] = []  # as HfFileSystem takes them
        cache = cache_directory() / "hub"
        key = f"{address['repo'].replace('/', '--')}-{digest(f'{source} {limit}')}"
        try:
            revision = unquote(address["revision"] or "main")
            commit = HfApi().dataset_info(address["repo"], revision=revision, timeout=10).sha
            self.zip = cache / f"{key}-{commit}.zip"
            if not self.zip.is_file():
                files = HfApi().list_repo_files(address["repo"], repo_type="dataset", revision=commit)
                self.read, chosen = self._choose(files, (address["path"] or "").strip("/"))
                self.paths = [f"datasets/{address['repo']}@{commit}/{file}" for file in chosen]
        except HUB_ERRORS as error:
            fetched = sorted(cache.glob(f"{key}-*.zip"), key=lambda path: path.stat().st_mtime)
            if not fetched or isinstance(error, RepositoryNotFoundError | RevisionNotFoundError):
                why = error_message(error, "data set of that name")
                raise DataError(f"no images at '{source}', nor from there in the cache: {why}") from None
            self.zip = fetched[-1]
        self.fingerprint = self.zip.name

    def _choose(self, files: list[str], path: str) -> tuple["Reader", list[str]]:
        """Return a reader and its files: those at `path`, a file or a folder, of the first kind in READERS."""
        files = sorted(name for name in files if not path or name == path or name.startswith(f"{path}/"))
        self.others = Counter(PurePosixPath(name).suffix.lower() for name in files)
        for suffixes, reader in READERS.items():
            if found := [name for name in files if name.lower().endswith(suffixes)]:
                return reader, [name for name in found if TRAIN.search(name)] or found
        return read_images, [name for name in files if is_image(name)]

    @cached_property
    def names(self) -> list[str]:  # type: ignore[override]
        """The images' names, in a fixed order; downloads the images unless they are in the cache."""
        if not self.zip.is_file():
            if not self.paths:
                return []
            self._download()
        return self._images.names

    @cached_property
    def _images(self) -> ZipSource:
        mark_used(self.zip)
        return ZipSource(self.zip)

    def open(self, index: int) -> Image.Image:
        """Open an image by its place in `names`."""
        return self._images.open(index)

    def _download(self) -> None:
        try:
            self.zip.parent.mkdir(parents=True, exist_ok=True)
            with alone(self.zip.with_suffix(".lock")):
                if self.zip.is_file():  # another process has downloaded it
                    return
                bar = tqdm(desc=f"fetching {self.name}", total=self.limit, unit="img", disable=None)
                with writing(self.zip) as part, zipfile.ZipFile(part, "w") as archive, bar:
                    seen: Counter[str] = Counter()
                    for name, content in islice(self.read(self.paths, self.limit), self.limit):
                        seen[name] += 1  # equal names go into folders
                        archive.writestr(name if seen[name] == 1 else f"{seen[name]}/{name}", content)
                        bar.update()
        except ImportError:
            raise DataError(f"'{self.source}' is stored as parquet, which needs: pip install datasets") from None
        except UNREADABLE as error:
            raise DataError(f"'{self.source}' cannot be fetched: {error_message(error, 'data set')}") from None


def read_parquet(paths: list[str], limit: int | None) -> Encoded:
    """Yield the column `image`, else the first that holds images; named by their paths, else by their rows."""
    from datasets import load_dataset
    from pyarrow.dataset import ParquetFragmentScanOptions

    # With a limit, no more than the rows that are wanted is read ahead.
    options = {"fragment_scan_options": ParquetFragmentScanOptions(pre_buffer=False), "batch_size": 64} if limit else {}
    files = [f"hf://{path}" for path in paths]
    rows = load_dataset("parquet", data_files=files, split="train", streaming=True, **options).decode(False)
    for number, row in enumerate(rows):
        columns = {name: value for name, value in row.items() if isinstance(value, dict) and value.get("bytes")}
        if columns:
            image = columns.get("image") or next(iter(columns.values()))
            name = image.get("path") or ""
            yield name if is_image(name) else f"{number:06d}.png", image["bytes"]


def read_tars(paths: list[str], limit: int | None) -> Encoded:
    """Yield the first image of each WebDataset sample: files that share their name up to its first dot.

    Unlike the reader of `datasets`, this takes samples that differ in their files.
    """
    for tar in paths:
        last = None
        stream = HfFileSystem().open(tar, "rb", block_size=0)
        with stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                key = path.with_name(path.name.partition(".")[0] or path.name)
                if not is_image(member.name) or key == last or member.size > MAX_FILE:
                    continue
                if content := archive.extractfile(member):
                    last = key
                    yield f"{key}{path.suffix}", content.read()


def read_zips(paths: list[str], limit: int | None) -> Encoded:
    """Yield the images of zips: of each the first by name, in the order in which they are stored."""
    for path in paths:
        with HfFileSystem().open(path, "rb") as stream:
            stream.read(1)  # an error of the Hub, which zipfile would take for a broken zip
            with zipfile.ZipFile(stream) as archive:
                names = [e.filename for e in archive.infolist() if is_image(e.filename) and e.file_size <= MAX_FILE]
                first = set(sorted(names)[:limit])
                yield from ((name, archive.read(name)) for name in names if name in first)


def read_images(paths: list[str], limit: int | None) -> Encoded:
    """Yield image files, several downloaded at a time."""
    hub, paths = HfFileSystem(), paths[:limit]

    def content(path: str) -> bytes:
        with hub.open(path, "rb", block_size=0) as stream:
            return stream.read()

    with ThreadPoolExecutor(PARALLEL) as pool:
        for start in range(0, len(paths), PARALLEL):
            some = paths[start : start + PARALLEL]
            yield from ((path.split("/", 3)[3], data) for path, data in zip(some, pool.map(content, some), strict=True))


Reader = Callable[[list[str], int | None], Encoded]
READERS: dict[tuple[str, ...], Reader] = {
    (".parquet",): read_parquet,
    (".tar", ".tar.gz", ".tgz"): read_tars,
    (".zip",): read_zips,
}
