"""Train a DCGAN on your own pictures:  python train.py --dataroot PHOTOS --out runs/mine

PHOTOS is a folder (flat or nested), a zip, a data set on the Hub (hf://datasets/OWNER/NAME), or the word avatars (the
built-in drawn faces, used when nothing is given). runs/mine/checkpoint comes out, which app.py opens. Ctrl-C saves;
--resume goes on.
"""

import argparse
import math
import os
import re
import shlex
import sys
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from dcgan.checkpoint import Checkpoint
from dcgan.cli import guarded, user_path, user_source, whole
from dcgan.data import avatars, load_images
from dcgan.data.advice import wants_faces
from dcgan.data.crop import CROPS
from dcgan.data.film import FilmSource
from dcgan.data.sources import DrawnSource, is_drawn, printable
from dcgan.errors import UserError
from dcgan.model import ModelConfig
from dcgan.training.config import RECIPES, RESUMABLE, TrainConfig, configure
from dcgan.training.distributed import join, launch, launched, leave
from dcgan.training.init import check_shape, open_init
from dcgan.training.loop import train
from dcgan.training.resume import STATE, TrainingError, check_folder, divided_as_before, read_settings
from dcgan.training.signals import ending_well

INIT = "begin from its networks, and at their sizes: a checkpoint folder, a run, or owner/name[@revision] on the Hub"
HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[^/@\s]+)?(/.+)?", re.ASCII)


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
    parser = build_parser()
    flags, strange = parser.parse_known_args(argv)
    if strange:
        spaces = "" if strange[0].startswith("-") else ": a path with spaces wants quotes around it"
        parser.error(f"unrecognized arguments: {' '.join(strange)}{spaces}")
    run = flags.out or Path(time.strftime("runs/%Y%m%d-%H%M%S"))
    if flags.resume and not flags.out:
        raise TrainingError(f"--resume goes on with a run: name it with --out{latest_run()}")
    check_folder(run, flags.resume)
    saved = read_settings(run) if flags.resume else {}
    if flags.init and saved and not saved.get("init"):
        raise TrainingError("cannot resume with --init: the run began from nothing. Leave it out, or start a new --out")
    init = open_init(flags.init) if flags.init and not saved else None
    model, config = choose_settings(flags, saved, init)
    if config.ngpu > 1 and not launched():
        return launch(main, config.ngpu, argv)
    ranks = join(config.ngpu, config.batch_size, config.device)
    data = saved.get("data", {})
    dataroot, limit = flags.dataroot or data.get("dataroot", avatars.SOURCE), flags.limit or data.get("limit")
    drawn, path = is_drawn(dataroot) if flags.dataroot else dataroot == avatars.SOURCE, Path(dataroot)
    if saved and not (flags.dataroot or drawn or dataroot.startswith("hf://") or path.exists()):
        raise TrainingError(f"cannot resume: the images are no longer at '{dataroot}'. Say where with --dataroot")
    if not drawn and os.path.realpath(path) == os.path.realpath(run):  # Path.resolve fails at links in a circle
        raise TrainingError(f"--dataroot and --out are both '{run}': choose another --out, perhaps a folder in it")
    if ranks.first:
        print(f"{model}\n{config}\nRandom Seed: {config.seed}")
        if init:
            print(f"begins from {init.name}, after {init.images_seen:,} images; the terms of their data hold too")
    # Of the ranks of a machine one decodes the images; the others wait, and find them packed.
    every = flags.every or data.get("every")
    source = DrawnSource() if drawn else FilmSource(path, every) if every else dataroot
    crop, progress = flags.crop or data.get("crop", "centre"), ranks.local == 0
    images = load_images(source, model.image_size, model.nc, config.workers, limit, progress=progress, crop=crop)
    images = replace(images, keep_duplicates=bool(flags.keep_duplicates))
    if saved:
        images, change = divided_as_before(run, data, images, dataroot, flags.changed_data == "ok")
        if change and ranks.first:
            print(f"the data changed: {change}; {'images' if images.split else 'names'} that were held out stay so")
    advise = ranks.first and not (flags.crop or saved or drawn or dataroot.startswith("hf://"))
    if advise and wants_faces(dataroot, model.image_size):
        print("most faces in these photos are small or off the centre, to which they are cropped: try --crop face")
    address = dataroot.removeprefix("hf://datasets/") if dataroot.startswith("hf://") else None
    about = {
        "name": flags.data_name or data.get("name") or (avatars.NAME if drawn else images.name),
        "license": flags.data_license or data.get("license") or (avatars.LICENSE if drawn else None),
        "limits": flags.data_limits or data.get("limits"),
        "hub": flags.data_hub or data.get("hub") or address,
        "source": avatars.SOURCE if drawn else None,
        "crop": crop,
    }
    here = str(path.resolve()) if path.exists() and not drawn else dataroot  # resumed from anywhere
    private = {"dataroot": here, "limit": limit, "every": every}
    name = flags.name or saved.get("name", "")
    checkpoint = train(model, config, images, run, flags.resume, name, about, private, ranks, init)
    leave()
    if ranks.first:
        print(f"{checkpoint} is saved; look at it with:  python app.py --checkpoints {shlex.quote(str(run))}")
    return 0


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
    add = parser.add_argument
    add(
        "--dataroot",
        type=user_source,
        help="folder or zip of images, hf://datasets/OWNER/NAME, or avatars (the default)",
    )
    add("--out", type=user_path, help="run folder (default: runs/ and the time)")
    add("--resume", action="store_true", help="go on with the run in --out, with its settings")
    add("--init", type=user_source, metavar="CHECKPOINT", help=INIT)
    add("--name", type=one_line, default="", help="name of the checkpoint (default: the run folder's)")
    add("--limit", type=whole(1), help="use only the first so many images")
    add("--keep-duplicates", action="store_true", default=None, help="use images that show the same as others, too")
    add("--changed-data", choices=["ok"], help="with --resume: go on though images were added or removed")
    add("--every", type=seconds, help="seconds between the frames that are taken of a film (default: 1)")
    add("--crop", choices=CROPS, help="what to train on: pictures' centre, or each face in them (default: centre)")
    add("--data-name", type=one_line, help="name of the data in the model card (default: the folder's or zip's)")
    add("--data-license", type=one_line, help="terms of the data, in words, for the model card")
    add("--data-limits", type=one_line, help="what such data lacks or is one-sided in, for the model card")
    add("--data-hub", type=hub_name, metavar="OWNER/NAME", help="where the data is on the Hugging Face Hub")
    for field in (*fields(ModelConfig), *fields(TrainConfig)):
        flag, best = "--" + field.name.replace("_", "-"), RECIPES["best"].get(field.name, field.default)
        alike = best == field.default or field.name == "recipe"
        defaults = repr(best) if alike else f"{best!r}, {field.default!r} with --recipe dcgan"
        text = f"{field.metadata['help']} (default: {defaults})"
        if isinstance(field.default, bool):
            add(flag, action=argparse.BooleanOptionalAction, help=text)
        else:
            add(flag, type=type(field.default), choices=field.metadata.get("choices"), help=text)
    return parser


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


def choose_settings(
    flags: argparse.Namespace, saved: dict[str, Any], init: Checkpoint | None = None
) -> tuple[ModelConfig, TrainConfig]:
    """The settings from the flags over those of a saved run or, with those of `init`'s networks, of a recipe.

    Raises TrainingError if the run or `init` forbids them.
    """
    chosen = {name: value for name, value in vars(flags).items() if value is not None}
    if "epochs" in chosen and "max_images" not in chosen:
        chosen["max_images"] = 0
    if init:
        settings = {**RECIPES[chosen.get("recipe", "finetune")], **asdict(init.model), **chosen}
        check_shape(init, settings)
        return configure(settings)
    if not saved:
        if chosen.get("recipe") == "finetune":
            raise TrainingError("--recipe finetune begins from a checkpoint: give --init, or choose another recipe")
        return configure({**RECIPES[chosen.get("recipe", "best")], **chosen})
    data = saved["data"]
    base = {**saved["model"], **saved["train"], "limit": data.get("limit") or "none"}
    base["keep_duplicates"] = data.get("keep_duplicates", True)  # as earlier versions did
    base |= {"crop": data.get("crop", "centre"), "every": data.get("every") or 1.0}
    names = {"limit", "keep_duplicates", "crop", "every"}
    names |= {f.name for f in (*fields(ModelConfig), *fields(TrainConfig))}
    if gone := [f"{name} ({base[name]})" for name in base.keys() - names if base[name]]:
        raise TrainingError(f"cannot resume: this version has no {', '.join(gone)}, which the run was started with")
    changed = [n for n in chosen.keys() & names - set(RESUMABLE) if chosen[n] != base.get(n, chosen[n])]
    if changed:
        said = ", ".join(f"--{n.replace('_', '-')} was {base[n]}, not {chosen[n]}" for n in sorted(changed))
        raise TrainingError(f"cannot resume with other settings: {said}. Leave them out, or start a new --out")
    return configure({**base, **chosen})
