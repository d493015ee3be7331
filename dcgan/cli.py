"""What the command lines share: types of flags, and the end by Ctrl-C."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path


def nonempty(text: str) -> str:
    """A flag's text that must not be empty, as the value of an unset shell variable is."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def user_path(text: str) -> Path:
    """A flag's path, in which ~ is the home folder: a shell leaves `--out=~/faces` as it is."""
    return Path(nonempty(text)).expanduser()


@contextlib.contextmanager
def interruptible(message: str) -> Iterator[None]:
    """Ctrl-C ends the program with one line on stderr and exit code 130, as shells have it."""
    try:
        yield
    except KeyboardInterrupt:
        print(message, file=sys.stderr)
        sys.exit(130)
