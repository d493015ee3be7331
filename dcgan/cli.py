"""What several command lines ask of a flag's text, as argparse wants it."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path


def filled(text: str) -> str:
    """A text that is not empty, as one is from a shell's variable that is not set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def place(text: str) -> Path:
    """A place of the user's own, who may have written `--out=~/faces`, which a shell leaves as it is."""
    return Path(filled(text)).expanduser()


@contextlib.contextmanager
def interruptible(message: str) -> Iterator[None]:
    """Ctrl-C ends the program with one line on stderr and exit code 130, as shells have it."""
    try:
        yield
    except KeyboardInterrupt:
        print(message, file=sys.stderr)
        sys.exit(130)
