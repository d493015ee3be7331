"""Train a DCGAN on your own pictures:  python train.py --dataroot PHOTOS --out runs/mine

PHOTOS is a folder (flat or nested), a zip, a film, a data set on the Hub (hf://datasets/OWNER/NAME), or the word
avatars (the built-in drawn faces, used when nothing is given). runs/mine/checkpoint comes out, which app.py opens.
Ctrl-C saves; --resume goes on.
"""

import argparse
import math
import os
import shlex
import sys
import time
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from dcgan.cli import guarded, user_path, user_source, whole
from dcgan.data.crop import CROPS
from dcgan.data.loading import wants_faces
from dcgan.data.sources import HUB_NAME, printable
from dcgan.errors import UserError
from dcgan.model import ModelConfig
from dcgan.training.choices import choose_data, choose_settings, unused
from dcgan.training.config import RECIPES, TrainConfig
from dcgan.training.distributed import join, launch, launched, leave
from dcgan.training.init import open_init
from dcgan.training.loop import train
from dcgan.training.resume import STATE, TrainingError, check_folder, divided_as_before, read_settings
from dcgan.training.run import About
from dcgan.training.signals import ending_well


@guarded(
    "train.py", ValueError, stopped="stopped at once; the last save, if there was one, stands", output_counts=False
)
def main(argv: list[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 2, after one line on stderr, for an error that the user can mend."""
    try:
        with ending_well():
            return run_training(sys.argv[1:] if argv is None else argv)
    except (UserError, ValueError, OSError):
        if os.environ.get("LOCAL_RANK", "0") == "0":
            raise
        return 2  # of several ranks, which all stop, one says why


def run_training(argv: list[str]) -> int:
    """Read flags, settings and images, and train. Returns the exit code."""
    flags = parse(argv)
    run = flags.out or Path(time.strftime("runs/%Y%m%d-%H%M%S"))
    check_folder(run, flags.resume)
    saved = read_settings(run) if flags.resume else {}
    init = open_init(flags.init, saved) if flags.init else None
    model, config = choose_settings(flags, saved, init)
    if config.ngpu > 1 and not launched():
        return launch(main, config.ngpu, argv)
    ranks = join(config.ngpu, config.batch_size, config.device)
    data = choose_data(flags, saved, run)
    ranks.say(f"{model}\n{config}\nRandom Seed: {config.seed}", *unused(flags, model, config))
    if init and not saved:
        ranks.say(f"begins from {init.name}, after {init.images_seen:,} images; the terms of their data hold too")
    # Of the ranks of a machine one decodes the images; the others wait, and find them packed.
    images = data.load(model, config.workers, progress=ranks.local == 0)
    if saved:
        images, change = divided_as_before(run, saved["data"], images, data.dataroot, flags.changed_data == "ok")
        kept = f"{'images' if images.split else 'names'} that were held out stay so"
        ranks.say(*[f"the data changed: {change}; {kept}"] * bool(change))
    elif ranks.first and data.is_local and not flags.crop and wants_faces(data.dataroot, model.image_size):
        ranks.say("most faces in these photos are small or off the centre, to which they are cropped: try --crop face")
    about = About(flags.name or saved.get("name", ""), data.about(images.name), data.private())
    checkpoint = train(model, config, images, run, flags.resume, None if saved else init, about)
    leave()
    ranks.say(f"{checkpoint} is saved; look at it with:  python app.py --checkpoints {shlex.quote(str(run))}")
    return 0


def parse(argv: list[str]) -> argparse.Namespace:
    """The flags of a command line; ends the program for one that makes no sense. Raises TrainingError."""
    parser = build_parser()
    flags, strange = parser.parse_known_args(argv)
    if strange:
        spaces = "" if strange[0].startswith("-") else ": a path with spaces wants quotes around it"
        parser.error(f"unrecognized arguments: {' '.join(strange)}{spaces}")
    if flags.resume and not flags.out:
        raise TrainingError(f"--resume goes on with a run: name it with --out{latest_run()}")
    return flags


def latest_run() -> str:
    """The run in runs/ that was last written to, as an example in a message; empty if there is none."""
    runs = sorted(Path("runs").glob(f"*/{STATE}"), key=lambda path: path.stat().st_mtime)
    return f", such as --out {shlex.quote(str(runs[-1].parents[1]))}" if runs else ""


def build_parser() -> argparse.ArgumentParser:
    """The flags: a few about files, and one for each field of ModelConfig and TrainConfig."""
    parser = argparse.ArgumentParser(
        prog="python -m dcgan train",
        usage="%(prog)s [--dataroot PHOTOS] [--out RUN] [--resume] [FLAG ...], all of which --help explains",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument_group("the run").add_argument
    add("--out", type=user_path, metavar="RUN", help="folder to write (default: runs/ and the time)")
    add("--resume", action="store_true", help="go on with the run in --out, with its settings")
    init = "checkpoint folder, run or owner/name[@revision] on the Hub to begin from, at the sizes of its networks"
    add("--init", type=user_source, metavar="CHECKPOINT", help=init)
    add("--name", type=one_line, default="", help="name of the checkpoint (default: the run folder's)")

    add = parser.add_argument_group("its pictures").add_argument
    add("--dataroot", type=user_source, metavar="PHOTOS", help="what to train on, as above (default: avatars)")
    add("--crop", choices=CROPS, help="train on the pictures' centre, or on each face in them (default: centre)")
    add("--every", type=seconds, metavar="SECONDS", help="of a film: take a frame every so many (default: 1)")
    add("--limit", type=whole(1), metavar="N", help="use only the first so many images")
    add("--keep-duplicates", action="store_true", default=None, help="use images that show the same as others, too")
    add("--changed-data", choices=["ok"], help="with --resume: go on though images were added or removed")

    add = parser.add_argument_group("what the model card says of them").add_argument
    add("--data-name", type=one_line, metavar="NAME", help="what they are called (default: as the folder or zip)")
    add("--data-license", type=one_line, metavar="TERMS", help="terms of their use, in words")
    add("--data-limits", type=one_line, metavar="TEXT", help="what they lack or are one-sided in")
    add("--data-hub", type=hub_name, metavar="OWNER/NAME", help="where they are on the Hugging Face Hub")

    beside = "G is the generator, D the discriminator. Defaults are those of --recipe best; others stand beside."
    for title, settings in (("the networks", ModelConfig), ("their training", TrainConfig)):
        group = parser.add_argument_group(title, beside)
        for setting in fields(settings):
            add_setting(group, setting)
    return parser


def add_setting(group: Any, setting: Field) -> None:
    """Add the flag of a field of ModelConfig or TrainConfig to a group of the parser, with its defaults by recipe."""
    name, kind = "--" + setting.name.replace("_", "-"), type(setting.default)
    values = {recipe: chosen.get(setting.name, setting.default) for recipe, chosen in RECIPES.items()}
    shown = [in_words(values["best"])]
    if setting.name != "recipe":
        shown += [f"{recipe}: {in_words(value)}" for recipe, value in values.items() if value != values["best"]]
    text = f"{setting.metadata['help']} (default: {'; '.join(shown)})"
    if kind is bool:
        group.add_argument(name, action=argparse.BooleanOptionalAction, help=text)
    else:
        choices = setting.metadata["choices"] if kind is str else ()
        metavar = "N" if kind in (int, float) else None if choices and "" not in choices else "NAME"
        group.add_argument(name, type=kind, choices=choices or None, metavar=metavar, help=text)


def in_words(value: object) -> str:
    """A setting's value in a line of --help."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


def one_line(text: str) -> str:
    """A flag's text, for a line of the model card."""
    return printable(" ".join(text.split()))


def hub_name(text: str) -> str:
    """OWNER/NAME[@REVISION][/FILE] from a flag that may hold the whole address."""
    name = text.removeprefix("https://huggingface.co/datasets/").removeprefix("hf://datasets/").strip("/")
    if not HUB_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"must read OWNER/NAME, then perhaps @REVISION, perhaps /FILE, not {text!r}")
    return name


def seconds(text: str) -> float:
    """A number of seconds from 0.01 up, from a flag."""
    try:
        if 0.01 <= (value := float(text)) < math.inf:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a number of seconds from 0.01 up, not {text}")
