"""Many visitors at once: each drags a slider for 2 s (10 faces, then their neighbours, as a page asks) every 20 s, and
wants an interpolation or a pair of grids once a minute, while photos are searched for without a pause.

python -m benchmarks.load [checkpoints] [--visitors 200] [--seconds 60] [--searches 2]

Prints times per kind of request, errors, memory and files of the demo, and how fast and how busy the machine was
besides. Linux.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
import websockets
from dcgan.demo.server.channel import LENGTH, PATH

from app import HERE
from dcgan import load_checkpoint, sample
from dcgan.checkpoint import find_checkpoints
from dcgan.demo.studio import WARM_UP_AFTER
from dcgan.model import Generator
from dcgan.pictures import encoded, enlarged, picture

LANES = 4  # faces that a page has on their way at once
SETTLED = 0.2  # cores: what the demo takes when nobody asks it for anything


class Page:
    """A page's way to its server: dcgan/server/channel.py."""

    def __init__(self, socket: websockets.ClientConnection):
        self.socket, self.answers = socket, collections.defaultdict[int, asyncio.Future[str | None]](asyncio.Future)
        self.count = 0

    async def listen(self) -> None:
        async for answer in self.socket:
            assert isinstance(answer, bytes)
            head = json.loads(answer[LENGTH.size : LENGTH.size + LENGTH.unpack_from(answer)[0]])
            self.answers.pop(head["n"]).set_result(head.get("error"))

    async def ask(self, name: str, **request: Any) -> str | None:
        """What was wrong, if anything."""
        self.count += 1
        answer = self.answers[self.count]
        await self.socket.send(json.dumps({"n": self.count, "ask": name, **request}))
        return await answer


class Crowd:
    """Visitors of the demo at `url`, and how long they waited for what."""

    def __init__(self, client: httpx.AsyncClient, url: str, config: dict[str, Any], photo: bytes):
        self.client, self.photo, self.channel = client, photo, url.replace("http", "ws", 1).rstrip("/") + PATH
        self.checkpoint = next(c for c in config["components"] if c["type"] == "dropdown")["props"]["value"]
        self.events = {event["api_name"]: event["id"] for event in config["dependencies"]}
        self.times: dict[str, list[float]] = collections.defaultdict(list)
        self.failures: collections.Counter[str] = collections.Counter()

    async def timed(self, kind: str, asking: Any) -> None:
        began = time.monotonic()
        try:
            if refusal := await asking:
                self.failures[f"{kind}: {refusal}"] += 1
            else:
                self.times[kind].append(time.monotonic() - began)
        except (httpx.HTTPError, websockets.WebSocketException, ValueError) as error:
            self.failures[f"{kind}: {type(error).__name__}"] += 1

    async def grids(self, session: str) -> str | None:
        number, inputs = self.events["show_grids"], [self.checkpoint, None]
        body = {"fn_index": number, "data": inputs, "session_hash": session}
        body["event_data"] = {"id": 1, "shuffle": random.randrange(10**6)}
        answer = (await self.client.post("run/predict", json=body)).json()
        return answer.get("error") or answer["data"][0].get("error")

    async def search(self, session: str) -> str | None:
        path = (await self.client.post("upload", files={"files": ("photo.jpg", self.photo)})).json()[0]
        photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = {"fn_index": self.events["find"], "data": [photo, self.checkpoint], "session_hash": session}
        joined = await self.client.post("queue/join", json=body)
        if joined.status_code != 200:
            return str(joined.json())
        async with self.client.stream("GET", f"queue/data?session_hash={session}") as stream:
            async for line in stream.aiter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return None if message["success"] else message["output"]["error"]
        return "the stream broke off"

    async def drag(self, page: Page, faces: int = 10) -> None:
        seed, dimension, flying = random.randrange(10**6), random.randrange(50), set()
        state = {"checkpoint": self.checkpoint, "seed": seed}
        for step in range(faces):
            edits = {str(dimension): step / faces}
            if len(flying) < LANES:
                task = asyncio.create_task(self.timed("face", page.ask("face", **state, edits=edits)))
                flying.add(task)
                task.add_done_callback(flying.discard)
            await asyncio.sleep(0.2)
        await asyncio.gather(*flying)
        await self.timed("neighbours", page.ask("around", **state, edits=edits))

    async def visitor(self, session: str, end: float) -> None:
        await asyncio.sleep(random.uniform(0, 20))
        async with websockets.connect(self.channel, open_timeout=60) as socket:
            page = Page(socket)
            listening = asyncio.create_task(page.listen())
            await self.look_around(session, page, end)
            listening.cancel()

    async def look_around(self, session: str, page: Page, end: float) -> None:
        wish = time.monotonic() + random.uniform(0, 60)
        while time.monotonic() < end:
            began = time.monotonic()
            await self.drag(page)
            if wish < time.monotonic():
                wish += 60
                way = {"faces": [random.randrange(10**6) for _ in range(2)], "kind": "spherical", "frames": 17}
                asked = page.ask("path", checkpoint=self.checkpoint, loop=False, **way)
                if random.random() < 0.5:
                    await self.timed("interpolation", asked)
                else:
                    asked.close()
                    await self.timed("grids", self.grids(session))
            await asyncio.sleep(max(0, began + 20 - time.monotonic()))

    async def searcher(self, session: str, end: float) -> None:
        while time.monotonic() < end:
            await self.timed("search", self.search(session))

    async def come(self, visitors: int, searches: int, seconds: float) -> None:
        end, name = time.monotonic() + seconds, f"{random.getrandbits(40):x}"
        await asyncio.gather(
            *(self.visitor(f"{name}v{i}", end) for i in range(visitors)),
            *(self.searcher(f"{name}s{i}", end) for i in range(searches)),
        )


class Demo:
    """app.py as a process of its own, with a temporary folder of its own."""

    def __init__(self, checkpoints: str, folder: str):
        self.folder = Path(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        self.log = (self.folder.parent / f"{self.folder.name}.log").open("w+")
        env = {**os.environ, "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "TMPDIR": folder}
        command = [sys.executable, str(HERE / "app.py"), "--checkpoints", checkpoints]
        self.process = subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)

    def ready(self, patience: float = 120) -> dict[str, Any]:
        """The page's configuration, once there is one."""
        end = time.monotonic() + patience
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{self.url}config", timeout=10).json()
            time.sleep(0.1)
        raise SystemExit("app.py does not start")

    def settle(self, patience: float = 120) -> None:
        """Wait until the demo does nothing by itself."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            before = self.cpu()
            time.sleep(3)
            if self.cpu() - before < 3 * SETTLED:
                return

    def cpu(self) -> float:
        """Seconds of a core so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """MiB in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def files(self) -> int:
        return sum(path.is_file() for path in self.folder.rglob("*"))

    def stop(self) -> tuple[int, float]:
        """Its exit code, and the seconds to its end."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60), round(time.monotonic() - began, 1)


def synthetic_photo(generator: Generator) -> bytes:
    """A face that nobody has, as large as a photo."""
    face = sample(generator, [1]).numpy()[0]
    return encoded(np.asarray(enlarged(picture(face), 768 // face.shape[0])), "jpeg")


def speed(generator: Generator, faces: int = 50) -> float:
    """Milliseconds of a core that a face takes, at best: what the machine has to give just now."""
    torch.set_num_threads(1)  # as the demo
    times = []
    for seed in range(faces):
        began = time.perf_counter()
        sample(generator, [seed])
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


async def measure(demo: Demo, config: dict[str, Any], photo: bytes, flags: argparse.Namespace) -> None:
    limits = httpx.Limits(max_connections=None, keepalive_expiry=3)  # before the server's 5 s are over
    async with httpx.AsyncClient(base_url=f"{demo.url}gradio_api/", timeout=120, limits=limits) as client:
        await Crowd(client, demo.url, config, photo).come(flags.visitors, flags.searches, 25)  # everything once
        demo.settle(20)
        before, cpu, files, load = demo.memory(), demo.cpu(), demo.files(), os.getloadavg()[0]
        crowd, began = Crowd(client, demo.url, config, photo), time.monotonic()
        await crowd.come(flags.visitors, flags.searches, flags.seconds)
        took = time.monotonic() - began
        cores = (demo.cpu() - cpu) / took
        busy = os.getloadavg()[0]
        demo.settle(20)
    print(f"{flags.visitors} visitors, {flags.searches} searches, {took:.0f} s on {os.cpu_count()} cores")
    print(f"the demo took {cores:.2f} cores; load average {load:.1f} before, {busy:.1f} at the end")
    print(f"{'':>14} {'count':>6} {'p50':>7} {'p95':>7} {'max':>7}  seconds")
    for kind, times in sorted(crowd.times.items()):
        p50, p95 = np.percentile(times, [50, 95])
        print(f"{kind:>14} {len(times):6} {p50:7.3f} {p95:7.3f} {max(times):7.3f}")
    for failure, count in crowd.failures.most_common() or [("none", 0)]:
        print(f"failed: {count} {failure}")
    after = demo.memory()
    print(f"memory: {before:.0f} MiB before, {after:.0f} after, {after / before - 1:+.1%}")
    print(f"files: {files} before, {demo.files()} after")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="?", default=str(HERE / "checkpoints"))
    parser.add_argument("--visitors", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--searches", type=int, default=2)
    flags = parser.parse_args()
    generator = load_checkpoint(find_checkpoints(flags.checkpoints)[0]).generator
    photo = synthetic_photo(generator)
    print(f"one face takes {speed(generator):.1f} ms of a core while nobody is there")
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(flags.checkpoints, folder)
        try:
            config = demo.ready()
            time.sleep(WARM_UP_AFTER)
            demo.settle()
            asyncio.run(measure(demo, config, photo, flags))
        finally:
            code, seconds = demo.stop()
        print(f"SIGTERM: exit code {code} after {seconds} s, {demo.files()} files left")
        demo.log.seek(0)
        print(f"tracebacks in its log: {demo.log.read().count('Traceback')}")


if __name__ == "__main__":
    main()
