"""Whose turn it is: many visitors and few cores."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from dcgan.generate import render
from dcgan.model import Generator

PATIENCE = 5.0  # seconds to wait for one's turn
POLITE = 0.25  # seconds that long work lets others go first ...
GLANCE = 0.005  # ... looking so often whether anyone waits
TOGETHER = 16  # latents of several visitors in one go
BUSY = "many visitors are here just now: try again in a moment"


class Busy(ValueError):
    """Too many are here; the message is for the visitor."""

    def __init__(self) -> None:
        super().__init__(BUSY)


class Turns:
    """So many compute at once, and so many more wait their turn, for some seconds. Raises Busy for all others."""

    def __init__(self, at_once: int, waiting: int):
        self._turn, self._place = threading.Semaphore(at_once), threading.Semaphore(at_once + waiting)
        self._count, self._waiting = threading.Lock(), 0

    def __enter__(self) -> None:
        if not self._place.acquire(blocking=False):
            raise Busy
        self._wait(1)
        got = self._turn.acquire(timeout=PATIENCE)
        self._wait(-1)
        if not got:
            self._place.release()
            raise Busy

    def __exit__(self, *error: Any) -> None:
        self._turn.release()
        self._place.release()

    def _wait(self, more: int) -> None:
        with self._count:
            self._waiting += more

    @contextmanager
    def politely(self) -> Iterator[None]:
        """A turn for a piece of long work: others go first, though not for ever, and it is never told to come back."""
        end = time.monotonic() + POLITE
        while self._waiting and time.monotonic() < end:
            time.sleep(GLANCE)
        with self._turn:
            yield


class Together:
    """Faces for several visitors in one go: of those who wait, the first to get a turn draws for the others too.

    Eight faces at once take as long as two or three one by one, and no pixel depends on the batch (dcgan/sampler.py).
    """

    def __init__(self, turns: Turns):
        self._turns, self._lock = turns, threading.Lock()
        self._waiting: dict[Future[Tensor], tuple[Generator, Tensor]] = {}

    def render(self, generator: Generator, z: Tensor) -> Tensor:
        """Latents [N, nz] -> uint8 images [N, nc, S, S]. Raises Busy."""
        mine: Future[Tensor] = Future()
        with self._lock:
            self._waiting[mine] = generator, z
        try:
            with self._turns:
                if batch := self._taken(mine):
                    self._draw(generator, batch)
        except Busy:
            with self._lock:
                if self._waiting.pop(mine, None):
                    raise
        return mine.result()  # if need be once the one who draws it is ready

    def _taken(self, mine: Future[Tensor]) -> dict[Future[Tensor], Tensor]:
        """Out of the queue: one's own latents, and others' for the same generator; nothing if someone draws mine."""
        with self._lock:
            if mine not in self._waiting:
                return {}
            generator, z = self._waiting.pop(mine)
            batch, count = {mine: z}, len(z)
            for future, (other, more) in list(self._waiting.items()):
                if other is generator and count + len(more) <= TOGETHER:
                    batch[future], count = more, count + len(more)
                    del self._waiting[future]
            return batch

    @staticmethod
    def _draw(generator: Generator, batch: dict[Future[Tensor], Tensor]) -> None:
        try:
            images = render(generator, torch.cat(list(batch.values())))
        except Exception as error:
            for future in batch:
                future.set_exception(error)
            return
        for future, faces in zip(batch, images.split([len(z) for z in batch.values()]), strict=True):
            future.set_result(faces)
