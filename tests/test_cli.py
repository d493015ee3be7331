"""What all commands share: where they print to, the paths that they take, and how they end."""

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest
from tqdm import tqdm

from dcgan.__main__ import COMMANDS, main
from dcgan.cli import ENDING, guarded, handling, safe_output, user_source
from dcgan.errors import UserError
from tests.tiny import save
from tests.training.tiny import TINY_FLAGS, seen, trained

ROOT = Path(__file__).parents[1]
# For each command, arguments that lack nothing but the path of what it reads, {}.
READS = {
    "train": ["--dataroot", "{}", "--out", "new"],
    "demo": ["--checkpoints", "{}"],
    "crop": ["{}", "new"],
    "evaluate": ["{}", "--dataroot", "avatars"],
    "generate": ["{}", "--out", "new"],
    "directions": ["{}"],
    "export": ["{}", "new"],
    "import": ["{}", "new"],
    "push": ["{}", "maker/faces"],
    "space": ["maker/faces", "--checkpoint", "{}", "--out", "new"],
    "static": ["new", "--checkpoint", "{}"],
}


def broken_pipe() -> TextIO:
    """A stream whose reader is gone, as `head` is after its lines."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


def closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


BROKEN: dict[str, Callable[[], TextIO | None]] = {
    "a reader that is gone": broken_pipe,
    "a disk that is full": lambda: Path("/dev/full").open("w", encoding="utf-8"),  # noqa: SIM115
    "an encoding that lacks it": lambda: io.TextIOWrapper(io.BytesIO(), "ascii"),
    "a file that is closed": closed,
    "none": lambda: None,
}


@pytest.fixture(params=BROKEN)
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both streams of a program, where nothing, or not everything, can be written."""
    streams = [BROKEN[request.param]() for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    yield
    for stream in streams:
        if stream and not stream.closed:
            stream.close()  # as the interpreter does at its end: nothing is left that fails now


@pytest.fixture
def missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty but for links in a circle."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


# Output


@pytest.mark.usefixtures("screen")
@pytest.mark.parametrize("name", COMMANDS)
def test_help_reaches_any_screen_or_none_and_does_not_fail(name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    with pytest.raises(SystemExit) as ended:
        main([name, "--얼굴"])
    assert ended.value.code == 2


@pytest.mark.usefixtures("screen")
def test_whatever_becomes_of_the_screen_work_goes_on_to_its_end() -> None:
    with safe_output():
        for letter in tqdm("é얼굴", desc="얼굴"):
            print(letter * 10_000, flush=True)
            tqdm.write(letter)
            print("\udcff", file=sys.stderr)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp949", "utf-8"])
def test_what_an_encoding_lacks_is_written_as_its_number(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    with safe_output():
        print("é얼굴\udcff", end="")
    sys.stdout.seek(0)
    assert sys.stdout.read().encode("ascii", "backslashreplace").endswith(rb"\uc5bc\uad74\udcff") or encoding == "cp949"
    sys.stdout.seek(0)
    assert ("얼굴" in sys.stdout.read()) == (encoding in ("cp949", "utf-8"))


def test_a_write_within_a_write_as_by_a_signals_handler_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            signal.raise_signal(signal.SIGTERM)
            return len(bytes(data))  # type: ignore[call-overload]

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(Slow()), "utf-8", write_through=True))
    with safe_output(), handling(lambda *_: print("within", flush=True), signal.SIGTERM):
        print("around", flush=True)


@pytest.mark.parametrize(
    ("stream", "counts", "code"),
    [
        ("a reader that is gone", True, 128 + signal.SIGPIPE),
        ("a disk that is full", True, 1),
        ("a disk that is full", False, 0),
        ("a reader that is gone", False, 0),
    ],
)
def test_lost_output_makes_a_failure_where_it_counts(monkeypatch, capsys, stream, counts, code):
    @guarded("figures", output_counts=counts)
    def command() -> int:
        print("1.5")
        return 0

    with BROKEN[stream]() as out:  # type: ignore[union-attr]
        monkeypatch.setattr(sys, "stdout", out)
        assert command() == code
    assert capsys.readouterr().err.count("figures: what it printed is lost (No space left") == (code == 1)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("no faces:\nadd some"), "no faces: add some"),
        (FileNotFoundError(2, "No such file or directory", "a"), "No such file or directory: 'a'"),
        (FileNotFoundError(2, "No such file or directory", "a", None, "b"), "No such file or directory: 'b'"),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'")]), "[Errno 28] No space left on"),
        (OSError("the port is taken"), "the port is taken"),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "this needs the package cv2"),
        (ValueError("a" * 400 + ":\nsay what to do"), "a" * 400 + ": say what to do"),
        (KeyError("'a'"), ""),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_what_nobody_foresaw_a_traceback(capsys, error, line):
    @guarded("faces", ValueError)
    def command() -> int:
        raise error

    if not line:
        with pytest.raises(type(error)):
            command()
        return
    assert command() == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"faces: {line}")
    assert printed.count("\n") == 1


# Training


@pytest.mark.usefixtures("screen")
def test_a_training_is_saved_whatever_becomes_of_its_screen(tmp_path: Path, photos: Path) -> None:
    assert trained(tmp_path / "얼굴", "--dataroot", photos, "--max-images=16", *TINY_FLAGS).images_seen == 16


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_a_training_begun_without_any_stream_writes_into_none_of_its_files(tmp_path: Path, photos: Path) -> None:
    flags = ["--dataroot", str(photos), "--out", str(tmp_path / "run"), "--max-images", "16", *TINY_FLAGS]
    shell = 'exec "$@" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", shell, "sh", sys.executable, "train.py", *flags], cwd=ROOT, timeout=1200)
    assert done.returncode == 0
    assert seen(tmp_path / "run") == 16


def test_a_closed_terminal_ends_a_program_unless_nohup_has_begun_it(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    with handling(lambda number, _: heard.append(number), *ENDING):
        for number in ENDING:
            signal.raise_signal(number)
    assert heard == [signal.SIGTERM, signal.SIGHUP]
    with handling(signal.SIG_IGN, signal.SIGHUP), handling(lambda number, _: heard.append(number), *ENDING):  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert len(heard) == 2


# Paths


def test_every_command_is_tried() -> None:
    assert READS.keys() == COMMANDS.keys(), "add a command's arguments to READS"


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    "path", ["nowhere", "~nobody-such", "~nobody-such/faces", "circle", "circle/of/faces", "\udcff", "얼굴", "é\n"]
)
def test_a_path_where_nothing_is_is_one_line_that_names_it(missing, refusal, name, path):
    line = refusal(name, *(argument.format(path) for argument in READS[name]))
    assert path.strip().encode("utf-8", "backslashreplace").decode() in line
    assert [file.name for file in missing.iterdir()] == ["circle"]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("path", "why"), [("", "must not be empty"), (" ", "must not be empty"), ("~/a", "set HOME")])
def test_a_path_that_cannot_be_is_refused_by_its_flag(monkeypatch, capsys, name, path, why):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no HOME, no entry in the list of users
    with pytest.raises(SystemExit) as ended:
        main([name, *(argument.format(path) for argument in READS[name])])
    assert ended.value.code == 2
    assert why in capsys.readouterr().err.splitlines()[-1]


def test_a_tilde_is_the_home_and_a_name_that_begins_with_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of mine")
    paths = {"~": "/home/of mine", "~/a": "/home/of mine/a", "~nobody-such": "~nobody-such", "a/~": "a/~", "./a": "./a"}
    assert {path: user_source(path) for path in paths} == paths
    assert user_source("hf://datasets/a/b") == "hf://datasets/a/b"


@pytest.mark.parametrize("name", ["generate", "export"])
@pytest.mark.parametrize("folder", ["~faces", "\udcff", "얼굴 é"])
def test_a_checkpoint_of_any_name_is_read_and_written_from(missing: Path, name: str, folder: str) -> None:
    save(missing / folder)
    arguments = {
        "generate": ["--seeds", "1", "--out", f"{folder}/new"],
        "export": [f"{folder}/new", "--format=torchscript"],
    }
    assert main([name, folder, *arguments[name]]) == 0
    assert (missing / folder / "new").exists()
