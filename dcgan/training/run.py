"""The run folder: all that a training writes.

checkpoint/    what the demo opens
state/         what resuming needs
history.jsonl  a row for each iteration
snapshots/     the fixed-noise grids
generators/    generators of a few moments
*.png, *.webp  the tutorial's figures; crops.png, 64 of the faces found in photos
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from dcgan import course
from dcgan.checkpoint import load_checkpoint, save_checkpoint, save_net, save_seeds
from dcgan.data.images import Images
from dcgan.data.sources import SETTINGS, SHEET, printable
from dcgan.device import random_state
from dcgan.errors import reason
from dcgan.files import alone, recover, writing
from dcgan.latents import latents
from dcgan.metrics.opening import opening_seeds
from dcgan.metrics.quality import MIN_REFERENCE
from dcgan.model import parameter_count
from dcgan.sampling import render
from dcgan.training import figures
from dcgan.training.card import model_card
from dcgan.training.grades import Grades, is_best, measured, rounded
from dcgan.training.logs import open_log
from dcgan.training.networks import Networks, evaluating
from dcgan.training.resume import STATE, TrainingError, check_folder, save_division
from dcgan.training.step import STATS

BYTES_A_WEIGHT = 20  # of a save: fp32, two moments of Adam, the average, and fp16 twice while a checkpoint is replaced
FIXED_SEEDS = range(figures.GRID)  # the noise of every snapshot


@dataclass(frozen=True)
class About:
    """What a run says of itself besides its settings.

    name: of its checkpoint; "" for the run folder's. data: what config.json says of the data besides what is found in
    them (license, hub, ...). private: of the data, for the run folder alone (dataroot, limit).
    """

    name: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    private: dict[str, Any] = field(default_factory=dict)


class Run:
    """Writes the run folder of one training.

    history: a row for each iteration so far. pending: images seen after each iteration since, and its STATS, still on
    the device. saved: images seen at the last save, None before the first.
    Of several ranks the first alone writes. Methods raise TrainingError if the folder cannot be written.
    """

    def __init__(self, folder: Path, nets: Networks, images: Images, about: About, began: dict[str, Any] | None):
        """began: what is said of the checkpoint that it began from. Raises ValueError without the library for --log."""
        self.folder, self.nets, self.images, self.private = folder, nets, images, about.private
        data = {"name": images.name, "count": len(images.training), "heldout": int(images.heldout.sum())}
        data |= {"digest": images.digest, "split": images.split, "keep_duplicates": images.keep_duplicates}
        name = about.name or printable(Path(os.path.realpath(folder)).name)
        model, train = asdict(nets.generator.config), asdict(nets.config)
        self.config: dict[str, Any] = {"name": name, "model": model, "train": train, "data": {**data, **about.data}}
        self.config |= {"init": began} if began else {}
        self.noise = latents(FIXED_SEEDS, nets.generator.config.nz)
        self.history: list[course.Row] = []
        self.pending: list[tuple[int, Tensor]] = []
        self.saved: int | None = None
        self.writes = nets.ranks.first
        self.grades = Grades(nets, images)
        self.log = open_log(nets.config.log if self.writes else "", folder, self.config)

    @contextmanager
    def open(self, seen: int, resume: bool) -> Iterator[None]:
        """Hold the folder's lock within the block, in which nothing lies after `seen`.

        Raises TrainingError if another training writes or has written here.
        """
        if not self.writes:
            yield
            return
        with ExitStack() as lock:
            with self._writing("choose another --out, or make room"):
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    lock.enter_context(alone(self.folder, wait=False))
                except BlockingIOError:
                    raise TrainingError(
                        f"another training writes to '{self.folder}': wait for its end, or choose another --out"
                    ) from None
                check_folder(self.folder, resume)
                for name in (SETTINGS.parent, course.SNAPSHOTS):
                    (self.folder / name).mkdir(exist_ok=True)
                recover(self.folder / "checkpoint")  # that a killed save has set aside
                self._forget_after(seen)
                with writing(self.folder / SETTINGS) as temporary:
                    settings = {**self.config, "data": {**self.config["data"], **self.private}}
                    temporary.write_text(json.dumps(settings, indent=2), encoding="utf-8")
                save_division(self.folder, self.images)
                if not seen:
                    self._begin()
            yield

    def _begin(self) -> None:
        """Write what stands in the folder before the first step."""
        some = figures.montage(self.images.some(figures.GRID))
        figures.labelled(self.folder / "training_images.png", [("Training images", some)])
        if self.config["data"].get("crop") == "face":
            some.save(self.folder / SHEET)
        self.snapshot(0)
        if "init" in self.config:
            self.save(0)  # resuming needs no other checkpoint

    def _forget_after(self, seen: int) -> None:
        self.history = [row for row in course.read_history(self.folder / course.HISTORY) if row["images_seen"] <= seen]
        course.write_history(self.folder / course.HISTORY, self.history)
        for file in [*self.snapshots(), *course.list_moments(self.folder / course.MOMENTS)]:
            if file.images_seen > seen:
                file.path.unlink()
        self._thin_moments()
        self.saved = seen if seen and (self.folder / "checkpoint").is_dir() else None

    def read(self) -> None:
        """Read the pending figures into the history. Raises TrainingError if they or the weights are not finite."""
        noted = torch.stack([stats for _, stats in self.pending]).cpu() if self.pending else torch.empty(0, len(STATS))
        for (seen, _), values in zip(self.pending, noted.tolist(), strict=True):
            self.history.append({"images_seen": seen, **dict(zip(STATS, map(rounded, values), strict=True))})
        self.pending.clear()
        if self.nets.ranks.any(not (noted.isfinite().all() and self.nets.finite())):
            lr, lr_d = self.nets.config.lr, self.nets.config.lr_d
            flags = f"--lr {lr / 2:g}" + f" --lr-d {lr_d / 2:g}" * bool(lr_d)
            raise TrainingError(
                f"after {self.history[-1]['images_seen']:,} images the losses or the weights are no longer numbers: "
                f"stopped. The state of {self.saved or 0:,} images is saved: go on from there at a lower rate with "
                f"--resume {flags}"
            )

    def since(self, seen: int) -> list[course.Row]:
        """The rows of the history after so many images."""
        return [row for row in self.history if row["images_seen"] > seen]

    def snapshots(self) -> list[course.Snapshot]:
        """The fixed-noise grids so far, oldest first."""
        return course.list_snapshots(self.folder / course.SNAPSHOTS)

    def moments(self) -> list[course.Snapshot]:
        """The generators to keep, of those written so far."""
        return course.thin_moments(course.list_moments(self.folder / course.MOMENTS), self.nets.config.moments)

    def faces(self) -> Tensor:
        """The shown generator's images of seeds 0 to 63: uint8 [64, nc, S, S]."""
        with evaluating(self.nets.shown) as generator:
            return render(generator, self.noise)

    def snapshot(self, seen: int) -> None:
        """Write the fixed-noise grid, and the generator as a moment that `save` may thin out."""
        if not self.writes:
            return
        with self._writing("the last save stands; make room, then --resume"):
            figures.save_montage(self.faces(), self.folder / course.SNAPSHOTS / f"{seen:010d}.webp")
            if self.nets.config.moments:
                (self.folder / course.MOMENTS).mkdir(exist_ok=True)
                with writing(self.folder / course.MOMENTS / f"{seen:010d}.safetensors") as temporary:
                    save_net(self.nets.shown, temporary)

    def _thin_moments(self) -> None:
        """Remove surplus generators. Only once a save stands: a run resumed from an earlier one needs them."""
        for moment in set(course.list_moments(self.folder / course.MOMENTS)) - set(self.moments()):
            moment.path.unlink()

    def save(self, seen: int) -> None:
        """Write history, checkpoint (unless an earlier one is better) and, last, the state that resuming needs."""
        if not self.writes:
            return
        nets, folder = self.nets, self.folder
        state = {"networks": nets.state_dict(), "seen": seen, "rng": torch.get_rng_state()}
        if nets.device.type != "cpu":
            state[f"rng_{nets.device.type}"] = random_state(nets.device)
        with self._writing("the last save stands; make room, then --resume"):
            course.write_history(folder / course.HISTORY, self.history)
            if is_best(self.history):
                config = {**self.config, "images_seen": seen}
                config |= {"metrics": measured(self.history), "floor": self.grades.floor()}
                so_far = course.Course(self.history, self.snapshots(), self.moments())
                target = folder / "checkpoint"
                save_checkpoint(target, nets.shown, nets.discriminator, config, model_card(config), so_far)
            with writing(folder / STATE) as temporary, temporary.open("wb") as file:
                try:
                    torch.save(state, file)
                except RuntimeError as error:  # torch fails once more where it ends a file that the disk refused
                    raise error.__context__ if isinstance(error.__context__, OSError) else error from None
            self._thin_moments()
        self.saved = seen

    def finish(self, seen: int, hurried: bool) -> None:
        """Save what no tick has saved and, unless it is hurried, choose seeds to begin with and draw the figures."""
        self.read()
        self.nets.calibrate()
        if self.saved != seen:
            self.snapshot(seen)
            self.save(seen)
        if hurried or not self.writes:
            return
        with self._writing("all is saved but the seeds to begin with and the figures; make room, then --resume"):
            quality = self.grades.quality
            if quality and len(quality.real) >= MIN_REFERENCE:
                checkpoint = load_checkpoint(self.folder / "checkpoint")
                save_seeds(checkpoint, opening_seeds(checkpoint.generator, quality.features, quality.real))
        with self._writing("all is saved but the figures; make room, then --resume"):
            if self.history:
                figures.loss_plot(self.folder / "loss.png", self.history)
            figures.animation(self.folder / "progress.webp", self.snapshots())
            pictures = [("Real images", self.images.some(figures.GRID)), ("Fake images", self.faces())]
            figures.labelled(self.folder / "real_vs_fake.png", [(label, figures.montage(p)) for label, p in pictures])

    @contextmanager
    def _writing(self, advice: str) -> Iterator[None]:
        """Turn errors of the disk into a TrainingError."""
        try:
            yield
        except (OSError, SafetensorError) as error:
            why = reason(error)
            if self.folder.is_dir():
                need = BYTES_A_WEIGHT * sum(map(parameter_count, (self.nets.shown, self.nets.discriminator)))
                free = shutil.disk_usage(self.folder).free
                why += f"; a save takes about {need / 2**20:,.0f} MiB, {free / 2**20:,.0f} are free"
            raise TrainingError(f"cannot write to '{self.folder}' ({why}): {advice}") from None
