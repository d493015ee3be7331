"""Images of a data set on the Hugging Face Hub: hf://datasets/OWNER/NAME[@revision][/file or folder].

Parquet files, WebDataset tars, zips and plain picture files are streamed, no more of them than a limit asks for, into
a zip in the cache. From then on that zip is the source.
"""

import hashlib
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from huggingface_hub import HfApi, HfFileSystem, hf_hub_url
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff
from PIL import Image
from tqdm import tqdm

from dcgan.data.images import cache_directory
from dcgan.data.sources import MAX_FILE, DataError, ZipSource, is_image
from dcgan.hub_errors import TROUBLE, trouble

ADDRESS = re.compile(r"hf://datasets/(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[^/@]+))?(/(?P<path>.+))?", re.ASCII)
TRAIN = re.compile(r"(^|[/_.-])train([/_.-]|$)")  # as the Hub names the split to train on
BROKEN = (*TROUBLE, tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)  # half a file, or none of its kind
PARALLEL = 8  # picture files fetched at a time

Pictures = Iterator[tuple[str, bytes]]  # names and the files' bytes


class HubSource:
    """The first `limit` images, or all, of a data set on the Hub.

    What is there is looked up now, and fetched when `names` are first asked for. Without a network, what was fetched
    before is read. Both raise DataError, in one line that says what is wrong.
    """

    def __init__(self, source: str, limit: int | None = None):
        address = ADDRESS.fullmatch(source)
        if address is None:
            raise DataError(f"'{source}' must read hf://datasets/OWNER/NAME, then perhaps @REVISION, perhaps /FILE")
        self.source, self.limit, self.repo = source, limit, address["repo"]
        self.name = self.repo.partition("/")[2]
        self.others: Counter[str] = Counter()
        self.read: Callable[[HubSource], Pictures] = _pictures
        self.files: list[str] = []
        cache = cache_directory() / "hub"
        key = f"{self.repo.replace('/', '--')}-{hashlib.sha256(f'{source} {limit}'.encode()).hexdigest()[:12]}"
        try:
            revision = unquote(address["revision"] or "main")
            self.commit = str(HfApi().dataset_info(self.repo, revision=revision, timeout=10).sha)
            self.zip = cache / f"{key}-{self.commit}.zip"
            if not self.zip.is_file():
                there = HfApi().list_repo_files(self.repo, repo_type="dataset", revision=self.commit)
                self._choose(there, (address["path"] or "").strip("/"))
        except TROUBLE as error:
            fetched = sorted(cache.glob(f"{key}-*.zip"), key=lambda path: path.stat().st_mtime)
            if not fetched or isinstance(error, RepositoryNotFoundError | RevisionNotFoundError):
                why = trouble(error, "data set of that name")
                raise DataError(f"no images at '{source}', nor from there in the cache: {why}") from None
            self.zip = fetched[-1]
        self.fingerprint = self.zip.name

    def _choose(self, there: list[str], path: str) -> None:
        """Which files to read, and how: those at `path`, a file or a folder, of the most telling kind there is."""
        there = sorted(name for name in there if not path or name == path or name.startswith(f"{path}/"))
        self.others.update(PurePosixPath(name).suffix.lower() for name in there)
        for endings, self.read in KINDS.items():
            self.files = [name for name in there if name.lower().endswith(endings)]
            if self.files:
                self.files = [name for name in self.files if TRAIN.search(name)] or self.files
                return
        self.read, self.files = _pictures, [name for name in there if is_image(name)]

    @cached_property
    def names(self) -> list[str]:
        if not self.zip.is_file() and not self.files:
            return []
        if not self.zip.is_file():
            self._fetch()
        return self._opened.names

    @cached_property
    def _opened(self) -> ZipSource:
        return ZipSource(self.zip)

    def open(self, index: int) -> Image.Image:
        return self._opened.open(index)

    def _fetch(self) -> None:
        try:
            self.zip.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.zip.parent) as working:
                half = Path(working, self.zip.name)
                bar = tqdm(desc=f"fetching {self.repo}", total=self.limit, unit="img", disable=None)
                with zipfile.ZipFile(half, "w") as archive, bar:
                    for name, data in islice(_told_apart(self.read(self)), self.limit):
                        archive.writestr(name, data)
                        bar.update()
                half.replace(self.zip)
        except ImportError:
            raise DataError(f"'{self.source}' is stored as parquet, which needs: pip install datasets") from None
        except BROKEN as error:
            raise DataError(f"'{self.source}' cannot be fetched: {trouble(error, 'data set')}") from None

    def path(self, file: str) -> str:
        """A file of this commit, as HfFileSystem has it."""
        return f"datasets/{self.repo}@{self.commit}/{file}"


def _told_apart(pictures: Pictures) -> Pictures:
    """Names that no other has. Their stems, which decide what is held out, stay as they are."""
    seen: Counter[str] = Counter()
    for name, data in pictures:
        seen[name] += 1
        yield name if seen[name] == 1 else f"{seen[name]}/{name}", data


def _parquet(source: HubSource) -> Pictures:
    """The column `image`, else the first that holds pictures; named by their paths, else by their rows."""
    from datasets import config, load_dataset
    from pyarrow.dataset import ParquetFragmentScanOptions

    config.STREAMING_READ_MAX_RETRIES = 1  # huggingface_hub, below, is patient enough
    urls = [f"hf://{source.path(file)}" for file in source.files]
    whole = source.limit is None  # else read no further than the rows that are wanted
    options = {} if whole else {"fragment_scan_options": ParquetFragmentScanOptions(pre_buffer=False), "batch_size": 64}
    rows = load_dataset("parquet", data_files=urls, split="train", streaming=True, **options).decode(False)
    for number, row in enumerate(rows):
        columns = {name: value for name, value in row.items() if isinstance(value, dict) and value.get("bytes")}
        if not columns:
            continue
        picture = columns.get("image") or next(iter(columns.values()))
        path = PurePosixPath(picture.get("path") or "")
        yield str(path) if is_image(path.name) else f"{number:06d}.png", picture["bytes"]


def _tars(source: HubSource) -> Pictures:
    """WebDataset: the files of a sample share their name up to its first dot; the first picture of each."""
    for file in source.files:
        last = None
        stream = HfFileSystem().open(source.path(file), "rb", block_size=0)
        with stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                key = path.with_name(path.name.partition(".")[0] or path.name)
                if not is_image(member.name) or key == last or member.size > MAX_FILE:
                    continue
                if content := archive.extractfile(member):
                    last = key
                    yield f"{key}{path.suffix}", content.read()


def _zips(source: HubSource) -> Pictures:
    """The first of each zip by name, as ever, but read in the order in which they lie there."""
    for file in source.files:
        with HfFileSystem().open(source.path(file), "rb") as stream:
            stream.read(1)  # zipfile would take a refusal for a file of another kind
            with zipfile.ZipFile(stream) as archive:
                names = [e.filename for e in archive.infolist() if is_image(e.filename) and e.file_size <= MAX_FILE]
                first = set(sorted(names)[: source.limit])
                yield from ((name, archive.read(name)) for name in names if name in first)


def _pictures(source: HubSource) -> Pictures:
    def read(file: str) -> bytes:
        url = hf_hub_url(source.repo, file, repo_type="dataset", revision=source.commit)
        response = http_backoff("GET", url, headers=build_hf_headers(), follow_redirects=True)
        hf_raise_for_status(response)
        return response.content

    files = source.files[: source.limit]
    with ThreadPoolExecutor(PARALLEL) as pool:
        for start in range(0, len(files), PARALLEL):
            some = files[start : start + PARALLEL]
            yield from zip(some, pool.map(read, some), strict=True)


KINDS: dict[tuple[str, ...], Callable[[HubSource], Pictures]] = {
    (".parquet",): _parquet,
    (".tar", ".tar.gz", ".tgz"): _tars,
    (".zip",): _zips,
}
