"""Whose turn it is: many visitors and few cores."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 5.0  # seconds to wait for one's turn
POLITE = 0.25  # seconds that long work lets others go first ...
GLANCE = 0.005  # ... looking so often whether anyone waits
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
    def ahead(self) -> Iterator[None]:
        """A turn at once, and before all long work: for what a visitor's hand waits for, one at a time."""
        self._wait(1)
        try:
            yield
        finally:
            self._wait(-1)

    @contextmanager
    def politely(self) -> Iterator[None]:
        """A turn for a piece of long work: others go first, though not for ever, and it is never told to come back."""
        end = time.monotonic() + POLITE
        while self._waiting and time.monotonic() < end:
            time.sleep(GLANCE)
        with self._turn:
            yield
