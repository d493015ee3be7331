"""A stand-in for the Hugging Face Hub on 127.0.0.1: the part of its HTTP API that huggingface_hub uses here.

Importing this module starts it and points HF_ENDPOINT at it, before huggingface_hub is imported (tests/conftest.py).
"""

import base64
import hashlib
import itertools
import json
import os
import re
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.ports import free_port

TOKEN = "hf_secretsecretsecretsecret"  # of the user `maker`, who may write under that name
READER = "hf_readerreaderreaderreader"  # of a user who may read what is public
USERS = {TOKEN: "maker", READER: "reader"}
LFS = (".safetensors", ".webp", ".jpg", ".png", ".zip", ".tar", ".gz", ".parquet", ".wasm")

NUMBERS = itertools.count(1)


def oid(data: bytes) -> str:
    """The name of a file's content in LFS."""
    return hashlib.sha256(data).hexdigest()


def blob(data: bytes) -> str:
    """The name of a file's content in git."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def tree(folder: Path) -> dict[str, bytes]:
    """The files of a folder on this machine, as a repository has them."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass
class Repo:
    """A repository: its commits, each a whole tree {path: content}, and the commits that branches and tags name."""

    private: bool = False
    gated: bool = False
    sdk: str | None = None
    hardware: str | None = None
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.names["main"]]

    def commit(self, files: dict[str, bytes]) -> str:
        sha = f"{next(NUMBERS):040x}"  # none is used twice: the client keeps what it knows of a commit
        self.commits[sha] = files
        self.names["main"] = sha
        return sha


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path `pattern` is found in."""

    pattern: str
    times: int = 10**6
    status: int = 0  # answered with this status
    cut: int | None = None  # broken off after so many bytes
    silent: bool = False  # closed without an answer


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client may close a connection at any time."""


class Hub:
    """The stand-in: its repositories, the requests so far, and the bytes sent of each file."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()
        self.url = f"http://127.0.0.1:{self.port}"
        self.reset()

    def start(self) -> None:
        self.server = Server(("127.0.0.1", self.port), type("Bound", (Handler,), {"hub": self}))
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Refuse every connection within the block."""
        from huggingface_hub.utils import close_session

        self.server.shutdown()
        self.server.server_close()
        close_session()  # and with it the connections that the client keeps open
        try:
            with socket.socket() as held:  # bound, not listening: it refuses, and no other program gets the port
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held.bind(("127.0.0.1", self.port))
                yield
        finally:
            self.start()

    def reset(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.sent: Counter[str] = Counter()
        self.cdn_tokens: list[str | None] = []

    def add(self, kind: str, name: str, files: dict[str, bytes], **about) -> Repo:
        repo = self.repos[kind, name] = Repo(**about)
        repo.commit({".gitattributes": b"*.safetensors filter=lfs\n", **files})
        return repo


class Refusal(Exception):
    """An answer with a status of 400 or more: status, the Hub's code of the error, message."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None: ...

    def serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.hub.requests.append((self.command, path))
        faults = (fault for fault in self.hub.faults if fault.times > 0 and re.search(fault.pattern, path))
        self.fault = next(faults, Fault(path))
        self.fault.times -= 1
        if self.fault.silent:
            self.close_connection = True
            return None
        try:
            if self.fault.status:
                raise Refusal(self.fault.status, "FaultOfTheTest", "as the test wants it")
            if self.token and self.token not in USERS:
                raise Refusal(401, "", "Invalid credentials in Authorization header")
            for pattern, method in ROUTES:
                if match := re.fullmatch(pattern, f"{self.command} {path}"):
                    return method(self, **match.groupdict())
            raise Refusal(404, "", f"no {self.command} {path} here")
        except Refusal as refusal:
            status, code, message = refusal.args
            self.answer({"error": message}, status, {"X-Error-Message": message, "X-Error-Code": code})

    do_GET = do_HEAD = do_POST = do_PUT = serve

    def answer(self, data: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send(json.dumps(data).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_file(self, data: bytes, headers: dict[str, str]) -> None:
        status = 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
            status, headers = 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
            data = data[first : last + 1]
        self.send(b"", status, {**headers, "Content-Length": str(len(data))})
        if self.fault.cut is not None and len(data) > self.fault.cut:
            data, self.close_connection = data[: self.fault.cut], True
        for start in range(0, len(data) * (self.command != "HEAD"), 65536):
            self.hub.sent[self.path] += self.wfile.write(data[start : start + 65536])

    # Who may do what

    def repo(self, kind: str, name: str) -> Repo:
        repo = self.hub.repos.get((kind, name))
        if repo is None or (repo.private and USERS.get(self.token or "") != name.partition("/")[0]):
            raise Refusal(404, "RepoNotFound", "not found") if self.token else Refusal(401, "", "Invalid username")
        return repo

    def tree(self, repo: Repo, revision: str) -> dict[str, bytes]:
        sha = repo.names.get(unquote(revision), revision)
        if sha not in repo.commits:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo.commits[sha]

    def require_writer(self, name: str) -> None:
        if USERS.get(self.token or "") != name.partition("/")[0]:
            raise Refusal(403, "", "You don't have the rights to create a model under the namespace")

    # The API

    def create(self) -> None:
        about = json.loads(self.body)
        name, kind = f"{about['organization']}/{about['name']}", f"{about.get('type', 'model')}s"
        self.require_writer(name)
        url = f"{self.hub.url}/{name}" if kind == "models" else f"{self.hub.url}/{kind}/{name}"
        known = (kind, name) in self.hub.repos
        if not known:
            private = about.get("visibility") == "private" or bool(about.get("private"))
            self.hub.add(kind, name, {}, private=private, sdk=about.get("sdk"), hardware=about.get("hardware"))
        self.answer({"url": url, "name": name, "id": name}, 409 if known else 200)

    def request_hardware(self, name: str) -> None:
        self.require_writer(name)
        flavor = self.hub.repos["spaces", name].hardware = json.loads(self.body)["flavor"]
        self.answer({"stage": "BUILDING", "hardware": {"current": None, "requested": flavor}, "gcTimeout": None})

    def validate(self) -> None:
        """One of the rules that the real one has for the front matter of a README.md."""
        wrong = "license:\n-" in json.loads(self.body)["content"]
        errors = [{"message": '"license" must be a string'}] * wrong
        self.answer({"errors": errors, "warnings": []}, 400 if wrong else 200)

    def info(self, kind: str, name: str, revision: str | None = None) -> None:
        repo = self.repo(kind, name)
        siblings = [{"rfilename": path} for path in self.tree(repo, revision or "main")]
        sha = repo.names.get(revision or "main", revision)
        self.answer({"_id": "1", "id": name, "sha": sha, "private": repo.private, "siblings": siblings, "tags": []})

    def listing(self, kind: str, name: str, revision: str, under: str | None = None) -> None:
        files = self.tree(self.repo(kind, name), revision)
        self.answer([self.entry(p, d) for p, d in files.items() if not under or p.startswith(f"{under}/")])

    def entry(self, path: str, data: bytes) -> dict:
        self.hub.blobs[oid(data)] = data
        lfs = {"lfs": {"oid": oid(data), "size": len(data), "pointerSize": 134}} if path.endswith(LFS) else {}
        return {"type": "file", "path": path, "size": len(data), "oid": blob(data), **lfs}

    def resolve(self, kind: str | None, name: str, revision: str, path: str) -> None:
        repo = self.repo((kind or "models/").rstrip("/"), name)
        if repo.gated:
            raise Refusal(403 if self.token else 401, "GatedRepo", f"Access to model {name} is restricted")
        files = self.tree(repo, revision)
        if path not in files:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        data, commit = files[path], {"X-Repo-Commit": repo.names.get(revision, revision)}
        if not path.endswith(LFS):
            return self.send_file(data, {"ETag": f'"{blob(data)}"', **commit})
        self.hub.blobs[oid(data)] = data  # on another host, as the real one has them
        place = {"Location": f"http://localhost:{self.hub.port}/cdn/{oid(data)}?signature=secret"}
        linked = {"X-Linked-Etag": f'"{oid(data)}"', "X-Linked-Size": str(len(data))}
        self.send(b"", 302, {**place, **linked, **commit})

    def cdn(self, name: str) -> None:
        self.hub.cdn_tokens.append(self.token)
        self.send_file(self.hub.blobs[name], {})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        self.require_writer(name)
        now = {path: blob(data) for path, data in self.repo(kind, name).files.items()}
        paths = [file["path"] for file in json.loads(self.body)["files"]]
        modes = {path: "lfs" if path.endswith(LFS) else "regular" for path in paths}
        files = [{"path": p, "uploadMode": modes[p], "shouldIgnore": False, "oid": now.get(p)} for p in paths]
        self.answer({"files": files})

    def batch(self, kind: str | None, name: str) -> None:
        self.require_writer(name)
        objects = json.loads(self.body)["objects"]
        for item in objects:
            if item["oid"] not in self.hub.blobs:
                item["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}"}}
        self.answer({"transfer": "basic", "objects": objects})

    def receive(self, name: str) -> None:
        assert oid(self.body) == name
        self.hub.blobs[name] = self.body
        self.answer({})

    def commit(self, kind: str, name: str, revision: str) -> None:
        self.require_writer(name)
        repo = self.repo(kind, name)
        files = dict(repo.files)
        for line in self.body.splitlines():
            key, value = (item := json.loads(line))["key"], item["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files)
        self.answer({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"})


KIND, NAME = r"(?P<kind>models|datasets|spaces)", r"(?P<name>[\w.-]+/[\w.-]+)"
PREFIX, REVISION = r"(?P<kind>(?:datasets|spaces)/)?", r"(?P<revision>[^/]+)"
ROUTES = [
    ("POST /api/repos/create", Handler.create),
    ("POST /api/validate-yaml", Handler.validate),
    (r"POST /api/spaces/(?P<name>[\w.-]+/[\w.-]+)/hardware", Handler.request_hardware),
    (rf"GET /api/{KIND}/{NAME}(?:/revision/{REVISION})?", Handler.info),
    (rf"GET /api/{KIND}/{NAME}/tree/{REVISION}(?:/(?P<under>.+))?", Handler.listing),
    (rf"POST /api/{KIND}/{NAME}/preupload/{REVISION}", Handler.preupload),
    (rf"POST /api/{KIND}/{NAME}/commit/{REVISION}", Handler.commit),
    (rf"POST /{PREFIX}{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    (rf"(?:GET|HEAD) /{PREFIX}{NAME}/resolve/{REVISION}/(?P<path>.+)", Handler.resolve),
    (r"PUT /lfs/(?P<name>\w+)", Handler.receive),
    (r"(?:GET|HEAD) /cdn/(?P<name>\w+)", Handler.cdn),
]

hub = Hub()
home = tempfile.TemporaryDirectory()
os.environ.update(HF_ENDPOINT=hub.url, HF_HOME=home.name, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
os.environ.update(HF_HUB_DOWNLOAD_TIMEOUT="300", HF_HUB_ETAG_TIMEOUT="300")  # a busy machine is slow
for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "SPACE_ID"):
    os.environ.pop(name, None)
