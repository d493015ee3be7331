"""What the command lines share: types of flags, output that cannot fail, new folders, and how one ends."""

import argparse
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, TextIO, cast

from dcgan.errors import UserError, reason

# SIGTERM, which a cluster sends before it takes a machine away, and SIGHUP, which a closed terminal sends.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def nonempty(text: str) -> str:
    """A flag's text that must not be empty, as the value of an unset shell variable is."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def whole(least: int = 0) -> Callable[[str], int]:
    """The type of a flag that is a whole number from `least`, 0 or 1, up."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number{' above 0' * least}, not {text}")
        return int(text)

    return parse


def user_source(text: str) -> str:
    """A flag's folder or file, or a name such as avatars, owner/name or hf://...

    ~ is the home folder: a shell leaves `--out=~/faces` as it is. So is ~name, where there is such a user.
    """
    source = os.path.expanduser(nonempty(text))  # noqa: PTH111  # pathlib fails where there is no such user
    if Path(source).parts[:1] == ("~",):
        raise argparse.ArgumentTypeError(f"nobody knows what ~ is in '{text}': set HOME, or write the path out")
    return source


def user_path(text: str) -> Path:
    """A flag's path, in which ~ is the home folder."""
    return Path(user_source(text))


class Output:
    """A text stream that never fails: what cannot be written is lost; `error` is why, None if nothing was.

    Characters that its encoding lacks are written as \\uXXXX.
    """

    def __init__(self, stream: TextIO | None):
        self.stream = stream or Path(os.devnull).open("w")  # noqa: SIM115  # there is none where it was closed at the start
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        """Write a text, or lose it."""
        encoding = self.stream.encoding or "utf-8"
        self._attempt(lambda: self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding)))
        return len(text)

    def flush(self) -> None:
        """Pass on what is buffered, or lose it."""
        self._attempt(self.stream.flush)

    def end(self) -> None:
        """Flush, so that the interpreter, which does so once more, cannot fail."""
        self.flush()
        if self.error:
            with suppress(Exception):  # a stream without a descriptor
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())
                os.close(nowhere)

    def _attempt(self, write: Callable[[], object]) -> None:
        try:
            write()
        except Exception as error:  # also of a signal's handler that prints while something is printed
            self.error = self.error or error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def safe_output() -> Iterator[Output]:
    """Make both of the program's streams an `Output` within the block; yields that of stdout."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # a closed one of 0 to 2 would be the next file that is opened, and get what C code prints
    os.close(descriptor)
    before, outputs = (sys.stdout, sys.stderr), (Output(sys.stdout), Output(sys.stderr))
    sys.stdout, sys.stderr = cast(tuple[TextIO, TextIO], outputs)
    try:
        yield outputs[0]
    finally:
        for output in outputs:
            output.end()
        sys.stdout, sys.stderr = before


def guarded(
    name: str, *errors: type[Exception], stopped: str = "stopped", output_counts: bool = True
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Decorate the main(argv) of a command, which returns its exit code: its output is safe, its end is a shell's.

    name: begins each line on stderr. UserError, OSError, a missing package and `errors` end it with one line and exit
    code 2, Ctrl-C with the line `stopped` and 130. output_counts: lost output makes a failure of a success, 141 if the
    reader is gone, as shells have it, else 1.
    """
    mendable: tuple[type[Exception], ...] = (UserError, OSError, ModuleNotFoundError, *errors)

    def decorate(main: Callable[..., int]) -> Callable[..., int]:
        @wraps(main)
        def run(*args: Any, **options: Any) -> int:
            with safe_output() as out:
                try:
                    code = main(*args, **options)
                except mendable as error:
                    if isinstance(error, ModuleNotFoundError) and str(error.name).startswith("dcgan"):
                        raise
                    whole = " ".join(str(error).split("\n")) if isinstance(error, errors) else ""
                    print(f"{name}: {whole or reason(error)}", file=sys.stderr)
                    return 2
                except KeyboardInterrupt:
                    print(f"{name}: {stopped}", file=sys.stderr)
                    sys.exit(130)
                out.flush()
                if code or not (output_counts and out.error):
                    return code
                if isinstance(out.error, BrokenPipeError):
                    return 128 + signal.SIGPIPE
                print(f"{name}: what it printed is lost ({reason(out.error)})", file=sys.stderr)
                return 1

        return run

    return decorate


@contextmanager
def handling(handler: Callable[[int, Any], object], *numbers: int) -> Iterator[None]:
    """Install the handler for these signals within the block, in the main thread; nohup's SIGHUP stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        numbers = ()
    by_nohup = {number for number in ENDING[1:] if signal.getsignal(number) is signal.SIG_IGN}
    before = {number: signal.signal(number, handler) for number in numbers if number not in by_nohup}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Create a folder, and delete it if the block fails. Raises UserError if it holds anything or cannot be written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"'{out}' is there already: name a new folder")
    try:
        with ExitStack() as failed:
            failed.callback(shutil.rmtree, out, ignore_errors=True)
            out.mkdir(parents=True, exist_ok=True)
            yield out
            failed.pop_all()
    except OSError as error:
        raise UserError(f"'{out}' cannot be written ({reason(error)})") from None
