"""Load test of the demo: visitors whose browsers draw, and who ask the server for what only it can answer.

They come within a minute and fetch the page and the weights. When all are there, each asks once for what faces are
ranked among, and every minute for real images and the nearest of them, while photos are searched for without a pause.

python -m benchmarks.load [checkpoints] [--visitors 200] [--arriving 60] [--seconds 60] [--searches 2]

Prints times per kind of request, errors, and the memory of the demo. Linux.
"""

import argparse
import asyncio
import collections
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx
import numpy as np

from dcgan import load_checkpoint, sample
from dcgan.checkpoint import find_checkpoints
from dcgan.pictures import enlarged, picture

ROOT = Path(__file__).parents[1]


@contextmanager
def served(checkpoints: str, log: IO[str] | int) -> Iterator[tuple[subprocess.Popen, int]]:
    """`python app.py` from when it listens until SIGTERM has ended it, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--checkpoints", checkpoints]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) as demo:
        try:
            while demo.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            yield demo, port
        finally:
            demo.terminate()


class Crowd:
    """Visitors of the demo at `url`, and how long they waited for what."""

    def __init__(self, client: httpx.AsyncClient, config: dict[str, Any], files: str, photo: bytes):
        self.client, self.files, self.photo = client, files, photo
        self.functions = {name: c["id"] for c in config["components"] for name in c["props"].get("server_fns", [])}
        self.drawn = "avatars"  # whose real images are always there
        self.find = next(event["id"] for event in config["dependencies"] if event["api_name"] == "find")
        self.times: dict[str, list[float]] = collections.defaultdict(list)
        self.failures: collections.Counter[str] = collections.Counter()

    async def timed(self, kind: str, request: Callable[[], Awaitable[str | None]]) -> None:
        """Run a request, which returns the reason if it was refused."""
        began = time.monotonic()
        try:
            refusal = await request()
        except (httpx.HTTPError, ValueError) as error:
            refusal = type(error).__name__
        if refusal:
            self.failures[f"{kind}: {refusal}"] += 1
        else:
            self.times[kind].append(time.monotonic() - began)

    async def fetch(self, path: str) -> str | None:
        """Fetch a file of the page."""
        answer = await self.client.get(path)
        return None if answer.status_code == 200 else f"status {answer.status_code}"

    async def ask(self, name: str, **request: Any) -> str | None:
        """Call a server function."""
        body = {"component_id": self.functions[name], "fn_name": name, "data": request, "session_hash": "x"}
        answer = (await self.client.post("gradio_api/component_server", json=body)).json()
        return answer.get("error") or answer.get("detail") if isinstance(answer, dict) else None

    async def search(self, session: str) -> str | None:
        """Upload a photo and follow its search to the end."""
        path = (await self.client.post("gradio_api/upload", files={"files": ("photo.jpg", self.photo)})).json()[0]
        data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, ""]
        await self.client.post(
            "gradio_api/queue/join", json={"fn_index": self.find, "data": data, "session_hash": session}
        )
        async with self.client.stream("GET", f"gradio_api/queue/data?session_hash={session}") as stream:
            async for line in stream.aiter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return None if message["success"] else message["output"]["error"]
        return "the stream broke off"

    async def visit(self, start: float, end: float) -> None:
        """One visitor, from the page to the end."""
        await asyncio.sleep(random.uniform(0, start - time.monotonic()))
        await self.timed("page", lambda: self.fetch(""))
        await self.timed("weights", lambda: self.fetch(f"{self.files}/0/generator.safetensors"))
        await asyncio.sleep(max(0, start - time.monotonic()) + random.uniform(0, 20))
        await self.timed("rivals", lambda: self.ask("rivals"))
        for visit in range(random.randrange(3), 10**6):
            began, seed = time.monotonic(), random.randrange(10**6)
            if began > end:
                return
            if visit % 3 == 0:
                await self.timed("reals", lambda seed=seed: self.ask("reals", shuffle=seed))
                await self.timed("nearest", lambda seed=seed: self.ask("nearest", seed=seed, checkpoint=self.drawn))
            await asyncio.sleep(max(0, began + 20 - time.monotonic()))

    async def searcher(self, session: str, start: float, end: float) -> None:
        """Searches one after the other."""
        await asyncio.sleep(start - time.monotonic())
        while time.monotonic() < end:
            await self.timed("search", lambda: self.search(session))


async def measure(url: str, pid: int, photo: bytes, flags: argparse.Namespace) -> None:
    """Let the crowd come, and print what it met."""
    limits = httpx.Limits(max_connections=None, keepalive_expiry=3)  # before the server's 5 s are over
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        config = (await client.get("config")).json()
        files = config["head"].partition('href="')[2].partition("/page.css")[0]
        crowd, before = Crowd(client, config, files, photo), memory(pid)
        start = time.monotonic() + flags.arriving
        end = start + flags.seconds
        searches = (crowd.searcher(f"{random.getrandbits(40):x}", start, end) for _ in range(flags.searches))
        await asyncio.gather(*(crowd.visit(start, end) for _ in range(flags.visitors)), *searches)
    print(f"{flags.visitors} visitors, {flags.searches} searches, {os.cpu_count()} cores")
    print(f"{'':>10} {'count':>6} {'p50':>7} {'p95':>7} {'max':>7}  seconds")
    for kind, times in sorted(crowd.times.items()):
        p50, p95 = np.percentile(times, [50, 95])
        print(f"{kind:>10} {len(times):6} {p50:7.3f} {p95:7.3f} {max(times):7.3f}")
    for failure, count in crowd.failures.most_common() or [("none", 0)]:
        print(f"failed: {count} {failure}")
    print(f"memory: {before:.0f} MiB before, {memory(pid):.0f} after")


def memory(pid: int) -> float:
    """MiB of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Start the demo, measure it, and end it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="?", default=str(ROOT / "checkpoints"))
    parser.add_argument("--visitors", type=int, default=200)
    parser.add_argument("--arriving", type=float, default=60)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--searches", type=int, default=2)
    flags = parser.parse_args()
    face = sample(load_checkpoint(find_checkpoints(flags.checkpoints)[0]).generator, [1]).numpy()[0]
    photo = io.BytesIO()
    enlarged(picture(face), 768 // face.shape[0]).save(photo, "jpeg")
    with tempfile.TemporaryFile("w+") as log:
        with served(flags.checkpoints, log) as (demo, port):
            time.sleep(30)  # the warm-up
            asyncio.run(measure(f"http://127.0.0.1:{port}/", demo.pid, photo.getvalue(), flags))
        log.seek(0)
        print(f"SIGTERM: exit code {demo.returncode}; tracebacks in its log: {log.read().count('Traceback')}")


if __name__ == "__main__":
    main()
