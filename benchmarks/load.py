"""Load test of the demo: visitors whose browsers draw, and who ask the server for what only it can answer.

They come within a minute and fetch the page and the weights. When all are there, each asks once for what faces are
ranked among, and every minute for real images and the nearest of them, while photos are searched for without a pause.

python -m benchmarks.load [checkpoints] [--visitors 200] [--arriving 60] [--seconds 60] [--searches 2]

Prints times per kind of request, errors, and the memory of the demo. Linux.
"""

import argparse
import asyncio
import collections
import os
import random
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from gradio_client import Client, handle_file

from dcgan import load_checkpoint, sample
from dcgan.checkpoint import find_checkpoints
from dcgan.pictures import enlarged, picture
from tests.demo_fixtures import ROOT, program

DRAWN = "avatars"  # a checkpoint whose real images are always there


class Crowd:
    """Visitors of the demo, and how long they waited for what. config: as Gradio serves it."""

    def __init__(self, client: httpx.AsyncClient, config: dict[str, Any]):
        self.client = client
        self.files = config["head"].partition('href="')[2].partition("/page.css")[0]
        self.functions = {name: c["id"] for c in config["components"] for name in c["props"].get("server_fns", [])}
        self.times: dict[str, list[float]] = collections.defaultdict(list)
        self.failures: collections.Counter[str] = collections.Counter()

    async def timed(self, kind: str, request: Coroutine[Any, Any, str | None]) -> None:
        """Wait for a request, which returns the reason if it was refused."""
        began = time.monotonic()
        try:
            refusal = await request
        except Exception as error:
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

    async def visit(self, start: float, end: float) -> None:
        """One visitor, from the page to the end."""
        await asyncio.sleep(random.uniform(0, start - time.monotonic()))
        await self.timed("page", self.fetch(""))
        await self.timed("weights", self.fetch(f"{self.files}/0/generator.safetensors"))
        await asyncio.sleep(max(0, start - time.monotonic()) + random.uniform(0, 20))
        await self.timed("rivals", self.ask("rivals"))
        await asyncio.sleep(random.choice((0, 20, 40)))
        while (began := time.monotonic()) < end:
            seed = random.randrange(10**6)
            await self.timed("reals", self.ask("reals", shuffle=seed))
            await self.timed("nearest", self.ask("nearest", seed=seed, checkpoint=DRAWN))
            await asyncio.sleep(max(0, began + 60 - time.monotonic()))

    async def search(self, photo: Path, start: float, end: float) -> None:
        """One search after the other."""
        scripts = await asyncio.to_thread(Client, str(self.client.base_url), verbose=False)

        async def find() -> None:
            await asyncio.to_thread(scripts.predict, handle_file(photo), "", api_name="/find")

        await asyncio.sleep(start - time.monotonic())
        while time.monotonic() < end:
            await self.timed("search", find())


async def measure(url: str, pid: int, photo: Path, flags: argparse.Namespace) -> None:
    """Let the crowd come, and print what it met."""
    limits = httpx.Limits(max_connections=None, keepalive_expiry=3)  # before the server's 5 s are over
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        crowd, before = Crowd(client, (await client.get("config")).json()), memory(pid)
        start = time.monotonic() + flags.arriving
        end = start + flags.seconds
        visitors = [crowd.visit(start, end) for _ in range(flags.visitors)]
        await asyncio.gather(*visitors, *(crowd.search(photo, start, end) for _ in range(flags.searches)))
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
    parser.add_argument("checkpoints", nargs="?", default=ROOT / "checkpoints")
    parser.add_argument("--visitors", type=int, default=200)
    parser.add_argument("--arriving", type=float, default=60)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--searches", type=int, default=2)
    flags = parser.parse_args()
    face = sample(load_checkpoint(find_checkpoints(flags.checkpoints)[0]).generator, [1]).numpy()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        enlarged(picture(face), 768 // face.shape[0]).save(folder / "photo.jpg")
        with program(folder / "log.txt", "--checkpoints", flags.checkpoints) as demo:
            time.sleep(30)  # the warm-up
            asyncio.run(measure(demo.url, demo.process.pid, folder / "photo.jpg", flags))
            code, log = demo.end()
        print(f"SIGTERM: exit code {code}; tracebacks in its log: {log.count('Traceback')}")


if __name__ == "__main__":
    main()
