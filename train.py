"""Train a DCGAN on your own pictures:  python train.py --dataroot PHOTOS --out runs/mine

PHOTOS is a folder (flat or nested), a zip, a data set on the Hub (hf://datasets/OWNER/NAME), or the word avatars (the
built-in drawn faces, used when nothing is given). runs/mine/checkpoint comes out, which app.py opens. Ctrl-C saves;
--resume goes on.
"""

import argparse
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from dcgan.cli import filled, interruptible, place
from dcgan.data import avatars
from dcgan.data.images import Images, load_images
from dcgan.data.sources import SETTINGS, DataError, is_drawn
from dcgan.files import reason
from dcgan.model import ModelConfig
from dcgan.training.config import RECIPES, RESUMABLE, TrainConfig, configure
from dcgan.training.distributed import Ranks, join, launched, leave
from dcgan.training.loop import train
from dcgan.training.run import TrainingError, check_checkpoint, check_unused
from dcgan.training.signals import ending_well

HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[^/@\s]+)?(/.+)?", re.ASCII)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 2, after one line on stderr, for what the user can mend."""
    with ending_well(), interruptible("train.py: stopped at once; the last save, if there was one, stands"):
        return run_training(argv)


def run_training(argv: list[str] | None) -> int:
    """What `main` does, where SIGTERM and Ctrl-C end it well."""
    flags = build_parser().parse_args(argv)
    run = flags.out or Path(time.strftime("runs/%Y%m%d-%H%M%S"))
    try:
        saved = saved_settings(run, flags.resume)
        model, config = choose_settings(flags, saved)
        if config.ngpu > 1 and not launched():
            return launch(config.ngpu, sys.argv[1:] if argv is None else argv)
        ranks = join(config.ngpu, config.batch_size)
        data = saved.get("data", {})
        dataroot = flags.dataroot or data.get("dataroot", avatars.SOURCE)
        if Path(dataroot).resolve() == run.resolve():
            raise TrainingError(f"--dataroot and --out are both '{run}': choose another --out, perhaps a folder in it")
        limit = flags.limit or data.get("limit")
        if ranks.first:
            print(f"{model}\n{config}\nRandom Seed: {config.seed}")
        images = read_once(ranks, lambda: load_images(dataroot, model.image_size, model.nc, config.workers, limit))
        if saved and data["digest"] != images.digest:
            raise TrainingError(f"cannot resume: the data changed since ('{dataroot}' has {len(images)} images now)")
        drawn = is_drawn(dataroot)
        about = {
            "name": flags.data_name or data.get("name") or (avatars.NAME if drawn else images.name),
            "license": flags.data_license or data.get("license") or (avatars.LICENSE if drawn else None),
            "limits": flags.data_limits or data.get("limits"),
            "hub": flags.data_hub or data.get("hub") or hub_address(dataroot),
            "source": avatars.SOURCE if drawn else None,
        }
        found = Path(dataroot).expanduser()  # so that a run is resumed from any folder
        private = {"dataroot": str(found.resolve()) if found.exists() else dataroot, "limit": limit}
        name = flags.name or saved.get("name", "")
        checkpoint = train(model, config, images, run, flags.resume, name, about, private, ranks)
        leave()
    except (DataError, TrainingError, ValueError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    if ranks.first:
        print(f"{checkpoint} is saved; look at it with:  python app.py --checkpoints {shlex.quote(str(run))}")
    return 0


def hub_address(dataroot: str) -> str | None:
    """OWNER/NAME[@REVISION][/FILE] of images that come from the Hub: the one place that a checkpoint may name."""
    return dataroot.removeprefix("hf://datasets/") if dataroot.startswith("hf://") else None


def launch(ngpu: int, argv: list[str]) -> int:
    """Start a rank for each GPU of this machine with torchrun, which ends all when one of them fails."""
    found = torch.cuda.device_count()
    if ngpu > found:
        raise TrainingError(f"--ngpu {ngpu}, but this machine has {found} GPUs")
    try:
        torchrun(["--standalone", f"--nproc-per-node={ngpu}", str(Path(__file__).resolve()), *argv])
    except SignalException:  # passed on to the ranks, which have saved
        return 0
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        how = f"exit code {first.exitcode}, as it said" if first.exitcode > 0 else first.signal_name()
        print(f"train.py: rank {rank} ended with {how}, and the others with it", file=sys.stderr)
        return max(first.exitcode, 1)
    return 0


def read_once(ranks: Ranks, read: Callable[[], Images]) -> Images:
    """The images, decoded by the first rank of each machine; the others find them packed."""
    decodes = int(os.environ.get("LOCAL_RANK", 0)) == 0
    images = read() if decodes else None
    ranks.wait()
    return read() if images is None else images


def build_parser() -> argparse.ArgumentParser:
    """The flags: a few about files, and one for each field of ModelConfig and TrainConfig."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dataroot",
        type=filled,
        help="folder or zip of images, hf://datasets/OWNER/NAME, or avatars (default: avatars)",
    )
    parser.add_argument("--out", type=place, help="run folder (default: runs/ and the time)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, with its settings")
    parser.add_argument("--name", type=one_line, default="", help="name of the checkpoint (default: the run folder's)")
    parser.add_argument("--limit", type=positive, help="use only the first so many images")
    parser.add_argument(
        "--data-name", type=one_line, help="name of the data in the model card (default: the folder's or zip's)"
    )
    parser.add_argument("--data-license", type=one_line, help="terms of the data, in words, for the model card")
    parser.add_argument(
        "--data-limits", type=one_line, help="what such data lacks or is one-sided in, for the model card"
    )
    parser.add_argument(
        "--data-hub", type=hub_name, metavar="OWNER/NAME", help="where the data is on the Hugging Face Hub"
    )
    for field in (*fields(ModelConfig), *fields(TrainConfig)):
        flag = "--" + field.name.replace("_", "-")
        best = RECIPES["best"].get(field.name, field.default)
        alike = best == field.default or field.name == "recipe"
        defaults = repr(best) if alike else f"{best!r}, {field.default!r} with --recipe dcgan"
        text = f"{field.metadata['help']} (default: {defaults})"
        if isinstance(field.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        else:
            kind, choices = type(field.default), field.metadata.get("choices")
            parser.add_argument(flag, type=kind, choices=choices, help=text)
    return parser


def one_line(text: str) -> str:
    """A flag's text, for a line of the model card."""
    return " ".join(text.split())


def hub_name(text: str) -> str:
    """OWNER/NAME[@REVISION][/FILE] from a flag that may hold the whole address."""
    name = text.removeprefix("https://huggingface.co/datasets/").removeprefix("hf://datasets/").strip("/")
    if not HUB_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"must read OWNER/NAME, then perhaps @REVISION, perhaps /FILE, not {text!r}")
    return name


def positive(text: str) -> int:
    """A whole number above 0, from a flag."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text}")
    return int(text)


def choose_settings(flags: argparse.Namespace, saved: dict[str, Any]) -> tuple[ModelConfig, TrainConfig]:
    """Settings from a saved run or the recipe, then from the flags. Raises TrainingError where a run forbids it."""
    given = {name: value for name, value in vars(flags).items() if value is not None}
    if "epochs" in given and "max_images" not in given:
        given["max_images"] = 0
    recipe = given.get("recipe", "best")
    base = {**saved["model"], **saved["train"]} if saved else RECIPES[recipe]
    if saved:
        base["limit"] = saved["data"].get("limit") or "none"
        names = {"limit", *(f.name for f in (*fields(ModelConfig), *fields(TrainConfig)))} - set(RESUMABLE)
        changed = [n for n in given.keys() & names if given[n] != base.get(n, given[n])]
        if changed:
            said = ", ".join(f"--{n.replace('_', '-')} was {base[n]}, not {given[n]}" for n in sorted(changed))
            raise TrainingError(f"cannot resume with other settings: {said}. Leave them out, or start a new --out")
    return configure({**base, **given})


def saved_settings(run: Path, resume: bool) -> dict[str, Any]:
    """What the run in this folder was started with, {} for a new one. Raises TrainingError where the two do not fit."""
    file = run / SETTINGS
    if not resume:
        check_unused(run)
        return {}
    check_checkpoint(run)
    if not file.is_file():
        raise TrainingError(f"nothing to resume in '{run}': leave out --resume to start there")
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        parts = {part: settings[part] for part in ("name", "model", "train", "data")}
        if wrong := [part for part, value in parts.items() if not isinstance(value, str if part == "name" else dict)]:
            raise ValueError(f"its {wrong[0]} is none")
        return parts
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"'{file}' is damaged ({reason(error)}): start again in another --out") from None


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names may be of any bytes
    sys.exit(main())
