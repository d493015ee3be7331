"""The command line: `python -m dcgan COMMAND`, and `dcgan COMMAND` where the package is installed."""

import sys
from importlib import import_module

from dcgan.cli import guarded, safe_output

# The module whose `main(argv)` runs a command and returns its exit code, and what the command does.
COMMANDS = {
    "train": ("dcgan.training.command", "train on a folder, a zip or a Hub data set of pictures"),
    "demo": ("dcgan.demo.command", "open the demo in a browser"),
    "crop": ("dcgan.data.command", "cut the faces out of photos"),
    "evaluate": ("dcgan.metrics.command", "measure checkpoints against real pictures"),
    "generate": ("dcgan.generate", "write a PNG for each seed"),
    "directions": ("dcgan.latent.command", "fit the named directions of a checkpoint"),
    "import": ("dcgan.importing", "make a checkpoint of the PyTorch tutorial's netG.pth"),
    "export": ("dcgan.export", "write a generator as ONNX or TorchScript"),
    "push": ("dcgan.hub.push", "put a checkpoint on the Hugging Face Hub"),
    "space": ("dcgan.hub.space", "make a Gradio Space of the demo"),
    "static": ("dcgan.hub.static", "make a page of plain files that needs no server"),
}


@guarded("dcgan", output_counts=False)  # the commands count theirs
def main(argv: list[str] | None = None) -> int:
    """Run the command that `argv` begins with; the exit code is the command's, or 2 if there is no such command."""
    command, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in ("-h", "--help"):
        print("usage: python -m dcgan COMMAND ...; each COMMAND has a --help of its own\n")
        print("\n".join(f"  {name:12}{purpose}" for name, (_, purpose) in COMMANDS.items()))
        return 0
    if command not in COMMANDS:
        print(f"dcgan: no command '{command}': choose one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return import_module(COMMANDS[command][0]).main(arguments)


def moved(command: str) -> None:
    """Run a command by its earlier spelling, `python -m dcgan.COMMAND`, after a line on stderr with today's; exit."""
    with safe_output():
        print(f"python -m dcgan.{command} is now: python -m dcgan {command}", file=sys.stderr)
    sys.exit(main([command, *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
