"""What several command lines ask of a flag's text, as argparse wants it."""

import argparse
from pathlib import Path


def filled(text: str) -> str:
    """A text that is not empty, as one is from a shell's variable that is not set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def place(text: str) -> Path:
    """A place of the user's own, who may have written `--out=~/faces`, which a shell leaves as it is."""
    return Path(filled(text)).expanduser()
