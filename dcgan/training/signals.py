"""Ctrl-C and SIGTERM, which a cluster sends before it takes a machine away: the work ends, and nothing is lost."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

Result = TypeVar("Result")


class Cut(BaseException):
    """Raised in the midst of work that may be broken off anywhere."""


class Stop:
    """Whether, and by which signals, a training was asked to stop. It then ends between two steps and saves."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.cuts = False

    def __bool__(self) -> bool:
        return bool(self.signals)

    @property
    def hurried(self) -> bool:
        """Whether it was SIGTERM: seconds later the machine may be gone."""
        return signal.SIGTERM in self.signals

    def note(self, number: int, _frame: Any) -> None:
        """The signals' handler."""
        if self and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signals.append(number)
        tqdm.write("stopping after this step and saving")
        if self.cuts:
            raise Cut

    def unless(self, work: Callable[[], Result]) -> Result | None:
        """What `work`, which takes long and changes nothing, results in; None where a signal comes before its end."""
        try:
            self.cuts = True
            return None if self else work()
        except Cut:
            return None
        finally:
            self.cuts = False


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM noted, in place of the end that they are."""
    stop = Stop()
    with handling(stop.note, signal.SIGINT, signal.SIGTERM):
        yield stop


@contextlib.contextmanager
def ending_well() -> Iterator[None]:
    """SIGTERM ends the program with 0, where there is nothing yet to save, and leaves nothing half done."""

    def end(*_: Any) -> None:
        print("train.py: stopped; nothing was under way that had to be saved", file=sys.stderr)
        sys.exit(0)

    with handling(end, signal.SIGTERM):
        yield


@contextlib.contextmanager
def handling(handler: Callable[[int, Any], None], *numbers: int) -> Iterator[None]:
    """These signals handled so; only a program's main thread can, and elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        numbers = ()
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
