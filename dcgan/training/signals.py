"""Ctrl-C, SIGTERM and SIGHUP: training saves and ends."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

from dcgan.cli import ENDING, handling

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
        """Whether SIGTERM or SIGHUP was among them: the machine may be gone seconds later."""
        return not set(self.signals).isdisjoint(ENDING)

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
    """SIGTERM or SIGHUP ends the process with exit code 0 and one line on stderr: there is nothing yet to save."""

    def end(*_: Any) -> None:
        print("train.py: stopped; nothing was under way that had to be saved", file=sys.stderr)
        sys.exit(0)

    with handling(end, *ENDING):
        yield
