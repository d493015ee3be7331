"""Whose turn it is: many visitors and few cores."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 5.0  # seconds to wait for one's turn
POLITE = 1.0  # seconds that long work lets others go first
BUSY = "many visitors are here just now: try again in a moment"


class Busy(ValueError):
    """Too many are here; the message is for the visitor."""

    def __init__(self) -> None:
        super().__init__(BUSY)


class Turns:
    """So many compute at once, and so many more wait their turn, for some seconds. Raises Busy for all others."""

    def __init__(self, at_once: int, waiting: int):
        self._free, self._places = at_once, waiting
        self._spare = min(1, at_once - 1)  # what long work leaves free
        self._hurried = self._waiting = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            if not self._free and self._waiting >= self._places:
                raise Busy
            self._waiting += 1
            got = self._changed.wait_for(lambda: self._free and not self._hurried, PATIENCE)
            self._waiting -= 1
            if not got:
                raise Busy
            self._free -= 1

    def __exit__(self, *error: Any) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """The very next turn: for what a visitor's hand waits for."""
        with self._changed:
            self._hurried += 1
            self._changed.wait_for(lambda: self._free)
            self._hurried -= 1
            self._free -= 1
        try:
            yield
        finally:
            self.__exit__()

    @contextmanager
    def politely(self) -> Iterator[None]:
        """A turn for a piece of long work: others go first, and where several may compute at once, one more could,
        though not for ever. It is never told to come back.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._free > self._spare and not (self._hurried or self._waiting), POLITE)
            self._changed.wait_for(lambda: self._free)
            self._free -= 1
        try:
            yield
        finally:
            self.__exit__()
