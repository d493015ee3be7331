"""Ctrl-C and SIGTERM, which a cluster sends before it takes a machine away: training saves and ends."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

Result = TypeVar("Result")


class Interrupted(BaseException):
    """Raised within `Stop.unless`, in work that may be broken off anywhere."""


class Stop:
    """The signals received so far; true once there was one."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.breaks_off = False

    def __bool__(self) -> bool:
        return bool(self.signals)

    @property
    def hurried(self) -> bool:
        """Whether SIGTERM was among them: the machine may be gone seconds later."""
        return signal.SIGTERM in self.signals

    def note(self, number: int, _frame: Any) -> None:
        """The signals' handler. A second Ctrl-C raises KeyboardInterrupt."""
        if self and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signals.append(number)
        tqdm.write("stopping after this step and saving")
        if self.breaks_off:
            raise Interrupted

    def unless(self, work: Callable[[], Result]) -> Result | None:
        """Return the result of `work`, which changes nothing; None if a signal comes before its end."""
        try:
            self.breaks_off = True
            return None if self else work()
        except Interrupted:
            return None
        finally:
            self.breaks_off = False


@contextlib.contextmanager
def ending_well() -> Iterator[None]:
    """SIGTERM ends the process with exit code 0 and one line on stderr: there is nothing yet to save."""

    def end(*_: Any) -> None:
        print("train.py: stopped; nothing was under way that had to be saved", file=sys.stderr)
        sys.exit(0)

    with handling(end, signal.SIGTERM):
        yield


@contextlib.contextmanager
def handling(handler: Callable[[int, Any], None], *numbers: int) -> Iterator[None]:
    """Install the handler for these signals within the block. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        numbers = ()
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
