"""A stand-in for the Hugging Face Hub on loopback: so much of its HTTP API as the real client, huggingface_hub, uses.

Importing this module starts it and points HF_ENDPOINT at it, so that no test reaches the real one. It must therefore
be imported before huggingface_hub is, which tests/conftest.py sees to.
"""

import base64
import hashlib
import json
import os
import re
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_secretsecretsecretsecret"  # of the user `maker`, who may write under that name
READER = "hf_readerreaderreaderreader"  # of a user who may read what is public
USERS = {TOKEN: "maker", READER: "reader"}
KINDS = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}
# What the Hub puts in LFS.
BINARY = (".safetensors", ".webp", ".jpg", ".png", ".zip", ".tar", ".gz", ".parquet", ".wasm", ".onnx")
INITIAL = {".gitattributes": b"*.safetensors filter=lfs\n"}


@dataclass
class Repo:
    """A repository: its commits, the oldest first, each a whole tree {path: bytes}."""

    private: bool = False
    gated: bool = False
    sdk: str | None = None
    commits: list[dict[str, bytes]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # of branches and tags

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]

    def commit(self, files: dict[str, bytes]) -> str:
        self.commits.append(files)
        self.names["main"] = self.sha(len(self.commits) - 1)
        return self.names["main"]

    def sha(self, index: int) -> str:
        tree = sorted((path, hashlib.sha1(data).hexdigest()) for path, data in self.commits[index].items())
        return hashlib.sha1(f"{id(self)} {index} {tree}".encode()).hexdigest()

    def tree(self, revision: str) -> dict[str, bytes] | None:
        wanted = self.names.get(revision, revision)
        return next((tree for i, tree in enumerate(self.commits) if self.sha(i) == wanted), None)


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path `pattern` is found in."""

    pattern: str
    times: int = 10**6
    status: int = 0  # answer with this
    cut: int | None = None  # break off after so many bytes


class Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: "Hub"

    def handle_error(self, *_: object) -> None:
        """A client may go whenever it has enough."""


class Hub:
    """The stand-in. `repos` holds what is there; `requests` what was asked, `sent` how many bytes of files went out."""

    def __init__(self) -> None:
        self.port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self.port}"
        self.reset()

    def start(self) -> None:
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.hub = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Within the block every connection is refused."""
        from huggingface_hub.utils import close_session

        self.server.shutdown()
        self.server.server_close()
        close_session()  # or it would go on with the connections that it keeps
        try:
            yield
        finally:
            self.start()

    def reset(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.sent: dict[str, int] = defaultdict(int)
        self.cdn_tokens: list[str | None] = []

    def add(self, kind: str, name: str, files: dict[str, bytes], **about) -> Repo:
        repo = self.repos[kind, name] = Repo(**about)
        repo.commit({**INITIAL, **files})
        return repo

    def oid(self, data: bytes) -> str:
        """The name under which LFS has these bytes."""
        return hashlib.sha256(data).hexdigest()

    def trouble(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.pattern, path):
                fault.times -= 1
                return fault
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def serve(self) -> None:
        address = urlsplit(self.path)
        path, self.query = unquote(address.path), parse_qs(address.query)
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self._chunks()
        self.hub.requests.append((self.command, path))
        self.fault = self.hub.trouble(path)
        if self.fault and self.fault.status:
            return self.refuse(self.fault.status, "FaultOfTheTest", "as the test wants it")
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        if path.startswith("/cdn/"):
            self.hub.cdn_tokens.append(self.token)
            return self.send_file(path.removeprefix("/cdn/"), self.hub.blobs[path.removeprefix("/cdn/")], {})
        if path.startswith("/lfs/"):
            oid = path.removeprefix("/lfs/")
            assert hashlib.sha256(self.body).hexdigest() == oid
            self.hub.blobs[oid] = self.body
            return self.answer({})
        if self.token and self.token not in USERS:
            return self.refuse(401, None, "Invalid credentials in Authorization header")
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                return method(self, **match.groupdict())
        return self.refuse(404, None, f"no {self.command} {path} here")

    do_GET = do_HEAD = do_POST = do_PUT = serve

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    # Answers

    def answer(self, data: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status: int, code: str | None, message: str) -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self.answer({"error": message}, status, headers)

    def send_file(self, name: str, data: bytes, headers: dict[str, str]) -> None:
        first, last = 0, len(data) - 1
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(match[1]), min(int(match[2] or last), last)
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if self.command == "HEAD":
            return
        piece = data[first : last + 1]
        if self.fault and self.fault.cut is not None and len(piece) > self.fault.cut:
            piece = piece[: self.fault.cut]
            self.close_connection = True
        for start in range(0, len(piece), 65536):
            try:
                self.wfile.write(piece[start : start + 65536])
            except OSError:  # the client has had enough
                self.close_connection = True
                return
            self.hub.sent[name] += len(piece[start : start + 65536])

    # Who may see what

    def found(self, kind: str, name: str) -> Repo | None:
        repo = self.hub.repos.get((kind, name))
        if repo is None or (repo.private and USERS.get(self.token or "") != name.partition("/")[0]):
            if self.token:
                return self.refuse(404, "RepoNotFound", "Repository not found")
            return self.refuse(401, None, "Invalid username or password.")
        return repo

    def may_write(self, name: str) -> bool:
        if not self.token:
            self.refuse(401, None, "Invalid username or password.")
        elif USERS[self.token] != name.partition("/")[0]:
            self.refuse(403, None, "You don't have the rights to create a model under the namespace")
        else:
            return True
        return False

    def tree(self, repo: Repo, revision: str) -> dict[str, bytes] | None:
        files = repo.tree(unquote(revision))
        if files is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return files

    # The API

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or USERS.get(self.token or '')}/{asked['name']}"
        kind = f"{asked.get('type', 'model')}s"
        if not self.may_write(name):
            return
        answer = {"url": f"{self.hub.url}/{KINDS[kind]}{name}", "name": name, "id": name}
        if (kind, name) in self.hub.repos:
            return self.answer({**answer, "error": "You already created this repo"}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.add(kind, name, {}, private=private, sdk=asked.get("sdk"))
        self.answer(answer)

    def info(self, kind: str, name: str, revision: str | None = None) -> None:
        if (repo := self.found(kind, name)) and (files := self.tree(repo, revision or "main")) is not None:
            siblings = [{"rfilename": path} for path in files]
            sha = repo.names.get(revision or "main", revision)
            self.answer({"_id": "1", "id": name, "sha": sha, "private": repo.private, "siblings": siblings, "tags": []})

    def listing(self, kind: str, name: str, revision: str, under: str | None = None) -> None:
        if (repo := self.found(kind, name)) and (files := self.tree(repo, revision)) is not None:
            inside = {path: data for path, data in files.items() if not under or path.startswith(f"{under}/")}
            if under and not inside:
                return self.refuse(404, "EntryNotFound", f"{under} does not exist")
            self.answer([self._entry(path, data) for path, data in inside.items()])

    def paths_info(self, kind: str, name: str, revision: str) -> None:
        if (repo := self.found(kind, name)) and (files := self.tree(repo, revision)) is not None:
            try:
                asked = json.loads(self.body)["paths"]
            except ValueError:
                asked = parse_qs(self.body.decode())["paths"]
            asked = [asked] if isinstance(asked, str) else asked
            folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
            answer: list[dict] = [self._entry(path, files[path]) for path in asked if path in files]
            answer += [{"type": "directory", "path": path, "oid": "0" * 40} for path in asked if path in folders]
            self.answer(answer)

    def _entry(self, path: str, data: bytes) -> dict:
        oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry: dict = {"type": "file", "path": path, "size": len(data), "oid": oid}
        if path.endswith(BINARY):
            entry["lfs"] = {"oid": self._blob(data), "size": len(data), "pointerSize": 134}
        return entry

    def _blob(self, data: bytes) -> str:
        self.hub.blobs[self.hub.oid(data)] = data
        return self.hub.oid(data)

    def resolve(self, prefix: str | None, name: str, revision: str, path: str) -> None:
        kind = (prefix or "models/").rstrip("/")
        repo = self.found(kind, name)
        if not repo:
            return
        if repo.gated:
            return self.refuse(403 if self.token else 401, "GatedRepo", f"Access to model {name} is restricted")
        files = self.tree(repo, revision)
        if files is None:
            return
        if path not in files:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        data, commit = files[path], repo.names.get(revision, revision)
        if path.endswith(BINARY):  # on a host of its own, as the real one has its large files
            oid = self._blob(data)
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.hub.port}/cdn/{oid}?signature=secret")
            self.send_header("X-Linked-Etag", f'"{oid}"')
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Repo-Commit", commit)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        self.send_file(path, data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        if self.may_write(name) and (repo := self.found(kind, name)):
            asked = json.loads(self.body)["files"]
            oids = {p: hashlib.sha1(b"blob %d\0" % len(d) + d).hexdigest() for p, d in repo.files.items()}
            self.answer(
                {
                    "files": [
                        {
                            "path": file["path"],
                            "uploadMode": "lfs" if file["path"].endswith(BINARY) else "regular",
                            "shouldIgnore": False,
                            "oid": oids.get(file["path"]),
                        }
                        for file in asked
                    ]
                }
            )

    def batch(self, prefix: str | None, name: str) -> None:
        if self.may_write(name) and self.found((prefix or "models/").rstrip("/"), name):
            asked = json.loads(self.body)["objects"]
            for item in asked:
                if item["oid"] not in self.hub.blobs:
                    item["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}"}}
            self.answer({"transfer": "basic", "objects": asked})

    def commit(self, kind: str, name: str, revision: str) -> None:
        if not self.may_write(name) or not (repo := self.found(kind, name)):
            return
        files = dict(repo.files)
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files)
        self.answer({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"})

    def validate(self) -> None:
        """Some of the rules that the real one has for the front matter of a README.md."""
        asked = json.loads(self.body)
        errors = []
        front = yaml.safe_load(asked["content"].split("---\n")[1])
        if len(front.get("short_description", "")) > 60:
            errors.append('"short_description" length must be less than or equal to 60 characters long')
        if asked["repoType"] == "model" and not isinstance(front.get("license", ""), str):
            errors.append('"license" must be a string')
        self.answer({"errors": [{"message": e} for e in errors], "warnings": []}, 400 if errors else 200)


KIND, NAME = r"(?P<kind>models|datasets|spaces)", r"(?P<name>[\w.-]+/[\w.-]+)"
PREFIX, REVISION = r"(?P<prefix>(datasets|spaces)/)?", r"(?P<revision>[^/]+)"
ROUTES = [
    ("POST /api/repos/create", Handler.create),
    ("POST /api/validate-yaml", Handler.validate),
    (rf"GET /api/{KIND}/{NAME}(/revision/{REVISION})?", Handler.info),
    (rf"GET /api/{KIND}/{NAME}/tree/{REVISION}(/(?P<under>.+))?", Handler.listing),
    (rf"POST /api/{KIND}/{NAME}/paths-info/{REVISION}", Handler.paths_info),
    (rf"POST /api/{KIND}/{NAME}/preupload/{REVISION}", Handler.preupload),
    (rf"POST /api/{KIND}/{NAME}/commit/{REVISION}", Handler.commit),
    (rf"POST /{PREFIX}{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    (rf"(GET|HEAD) /{PREFIX}{NAME}/resolve/{REVISION}/(?P<path>.+)", Handler.resolve),
]

hub = Hub()
home = tempfile.TemporaryDirectory()
os.environ.update(HF_ENDPOINT=hub.url, HF_HOME=home.name, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "SPACE_ID"):
    os.environ.pop(name, None)
