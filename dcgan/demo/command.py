"""The demo: explore what a checkpoint can draw, on http://127.0.0.1:7860."""

import argparse
import os
import socket
from pathlib import Path

from dcgan.cli import guarded, user_source
from dcgan.errors import UserError

# Settings that Gradio reads as numbers, with their least and largest value.
NUMBERS = {
    "GRADIO_SERVER_PORT": (1, 65_535),
    "GRADIO_NUM_PORTS": (1, 65_535),
    "GRADIO_NODE_NUM_PORTS": (1, 65_535),
    "GRADIO_ANALYTICS_MAX_EVENTS": (0, 2**31),
    "GRADIO_DEBUG": (0, 1),
}


@guarded("demo", output_counts=False)
def main(argv: list[str] | None = None, home: Path = Path()) -> int:
    """Serve the demo until Ctrl-C or SIGTERM; the exit code is then 0. home: the folder of the default checkpoints."""
    parser = argparse.ArgumentParser(prog="python -m dcgan demo", description=__doc__)
    parser.add_argument(
        "--checkpoints",
        type=user_source,
        help="a run, a checkpoint folder, a folder of them, or owner/name[@revision] on the Hub "
        f"(default: {home / 'checkpoints'})",
    )
    parser.add_argument(
        "--dataroot",
        type=user_source,
        help="the real images that the checkpoints learned from: folder, zip or hf://datasets/OWNER/NAME",
    )
    flags = parser.parse_args(argv)
    check_environment()
    from dcgan.demo.app import default_checkpoints, serve  # Gradio reads the environment when it is imported

    serve(flags.checkpoints or default_checkpoints(home), flags.dataroot)
    return 0


def check_environment() -> None:
    """Take empty settings of Gradio's for unset ones. Raises UserError if one of the others makes no sense."""
    for name in [name for name, value in os.environ.items() if name.startswith("GRADIO_") and not value.strip()]:
        del os.environ[name]
    for name, (low, high) in NUMBERS.items():
        value = os.environ.get(name, str(low))
        if not value.strip().isdecimal() or not low <= int(value) <= high:
            raise UserError(f"{name} must be a whole number from {low} to {high}, not '{value}'")
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
            free.bind((host.strip("[]"), 0))  # Gradio has IPv6 in brackets
    except OSError as error:
        raise UserError(
            f"GRADIO_SERVER_NAME must be an address of this machine, such as 127.0.0.1 or 0.0.0.0, not '{host}' "
            f"({error.strerror})"
        ) from None
