"""The run folder: all that a training writes, in which order, and what it resumes from.

`checkpoint/` is what the demo opens, `state/` what resuming needs, `history.jsonl` has every iteration, `snapshots/`
every fixed-noise grid, `generators/` those of a few moments, and beside them lie the tutorial's figures.
"""

import copy
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor
from tqdm import tqdm

from dcgan.card import model_card
from dcgan.checkpoint import (
    CONFIG,
    MOMENTS,
    Snapshot,
    list_moments,
    list_snapshots,
    read_history,
    save_checkpoint,
    save_moment,
    thin_moments,
    write_history,
)
from dcgan.data.images import Images
from dcgan.data.sources import SETTINGS
from dcgan.files import reason, recover, writing
from dcgan.latents import latents
from dcgan.metrics.distances import MIN_IMAGES, Quality
from dcgan.model import Discriminator, Generator, parameter_count
from dcgan.sampling import render
from dcgan.training import figures
from dcgan.training.doctor import Doctor
from dcgan.training.logs import open_log
from dcgan.training.signals import Stop

STATS = ("loss_d", "loss_g", "d_real", "d_fake", "d_fake_after")
STATE = SETTINGS.with_name("state.pt")
TIE = 1.01  # of the best grade: a later generator that is as good but for noise takes its place
BYTES_A_WEIGHT = 20  # of a save: fp32, two moments of Adam, the average, and fp16 twice while a checkpoint is replaced
FIXED_SEEDS = range(figures.GRID)  # the noise of every snapshot
FIGURES = ("training_images.png", "loss.png", "progress.webp", "real_vs_fake.png")
WRITTEN = ("checkpoint", "checkpoint.new", "checkpoint.old", "state", "snapshots", MOMENTS, "history.jsonl", *FIGURES)


class TrainingError(Exception):
    """Training that cannot start or go on; the message is one line that says what to do."""


class Trained(Protocol):
    """What a training has to show: the generator to be shown, the discriminator, and all that resuming needs."""

    shown: Generator
    discriminator: Discriminator

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Writer:
    """Writes a run. What takes long is done by a thread, from copies, while training goes on."""

    def __init__(self, run: Path, nets: Trained, images: Images, settings: dict[str, Any], about_data: dict[str, Any]):
        """settings: name, and the dictionaries model and train, as they go into config.json.

        Raises ValueError where the library for --log is missing.
        """
        self.run, self.nets, self.images = run, nets, images
        data = {"name": images.name, "count": len(images.training), "digest": images.digest, **about_data}
        self.settings = {**settings, "data": data}
        self.noise = latents(FIXED_SEEDS, settings["model"]["nz"])
        self.pending: list[tuple[int, Tensor]] = []
        self.history: list[dict[str, float]] = []
        self.examined = 0  # rows of the history that the doctor has seen
        self.saved = -1  # images seen at the last save
        self.doctor = Doctor()
        self.quality: Quality | None = None
        self.log = open_log(settings["train"]["log"], run, settings)
        self.thread = ThreadPoolExecutor(1)
        self.last_job: Future[None] = self.thread.submit(lambda: None)
        self.lock: int | None = None

    @contextmanager
    def at_work(self, seen: int, private: dict[str, Any], resume: bool) -> Iterator[None]:
        """Start, and in the end, however it comes, let go of the run folder with nothing more on its way there."""
        try:
            self.start(seen, private, resume)
            yield
        finally:
            self.thread.shutdown()
            if self.lock is not None:
                os.close(self.lock)

    def start(self, seen: int, private: dict[str, Any], resume: bool = False) -> None:
        """Make the folders, forget what lies after `seen`, and show what training will look at.

        Raises TrainingError where another training writes or has written here, or nothing can be written.
        """
        with self._writing("choose another --out, or make room"):
            self.run.mkdir(parents=True, exist_ok=True)
            self._claim()
            if not resume:
                check_unused(self.run)
            for name in ("state", "snapshots"):
                (self.run / name).mkdir(exist_ok=True)
            self.history = read_history(self.run / "history.jsonl")
            recover(self.run / "checkpoint")
            self.rewind(seen)
            write_history(self.run / "history.jsonl", self.history)
            settings = {**self.settings, "data": {**self.settings["data"], **private}}
            with writing(self.run / SETTINGS) as temporary:
                temporary.write_text(json.dumps(settings, indent=2), encoding="utf-8")
            if seen and (self.run / "checkpoint").is_dir():
                self.saved = seen
            if not seen:
                some = figures.montage(self.images.some(figures.GRID))
                figures.labelled(self.run / "training_images.png", [("Training images", some)])
                self.snapshot(0)

    def _claim(self) -> None:
        """Keep other trainings out of the run folder until this one ends, in whatever way."""
        try:
            import fcntl
        except ImportError:  # Windows has no such locks
            return
        self.lock = os.open(self.run, os.O_RDONLY)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"another training writes to '{self.run}': wait for its end, or choose another --out"
            ) from None
        except OSError:  # nor have some network file systems
            pass

    def rewind(self, seen: int) -> None:
        """Forget what lies after `seen`."""
        self.wait()
        self.pending.clear()
        self.history = [row for row in self.history if row["images_seen"] <= seen]
        self.examined = len(self.history)
        for snapshot in [*list_snapshots(self.run / "snapshots"), *list_moments(self.run / MOMENTS)]:
            if snapshot.images_seen > seen:
                snapshot.path.unlink()
        self._forget_moments()

    def record(self, seen: int, stats: Tensor) -> None:
        """Note an iteration's STATS, without waiting for the device to have computed them."""
        self.pending.append((seen, stats))

    def snapshot(self, seen: int) -> None:
        """The fixed-noise grid of seeds 0 to 63, and the generator, while it is one of the moments to keep."""
        faces, path = self._faces(), self.run / "snapshots" / f"{seen:010d}.webp"
        self._later(lambda: figures.save_montage(faces, path))
        if self.settings["train"]["moments"]:
            shown = copy.deepcopy(self.nets.shown)
            self._later(lambda: self._write_moment(shown, self.run / MOMENTS / f"{seen:010d}.safetensors"))

    def _write_moment(self, generator: Generator, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        with writing(path) as temporary:
            save_moment(generator, temporary)

    def _moments(self) -> list[Snapshot]:
        """The generators to keep."""
        return thin_moments(list_moments(self.run / MOMENTS), self.settings["train"]["moments"])

    def _forget_moments(self) -> None:
        """All others. Not before a save stands: whoever goes back to the last one would miss them."""
        for moment in set(list_moments(self.run / MOMENTS)) - set(self._moments()):
            moment.path.unlink()

    def tick(self, seen: int, state: dict[str, Any], last: bool, stop: Stop) -> None:
        """History, metrics, doctor, state - in this order; and what there is to say. A signal cuts metrics short."""
        self._collect()
        rows, self.examined = self.history[self.examined :], len(self.history)
        remarks = self.doctor.examine(rows, self._faces())
        if self.must_measure(last) and (metrics := stop.unless(self._measure)):
            self.history[-1] |= metrics
            remarks.append(f"after {seen:,} images: " + ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        self.log(seen, {k: v for k, v in self.history[-1].items() if k != "images_seen"})
        self.save(seen, state)
        for remark in remarks:
            tqdm.write(remark)

    def must_measure(self, last: bool) -> bool:
        """Whether quality is to be measured after the last iteration, and has not been."""
        every = self.settings["train"]["tick"] * self.settings["train"]["quality"]
        if not (every and self.history and len(self.images) >= MIN_IMAGES) or self._metrics():
            return False
        before, seen = [0, *(row["images_seen"] for row in self.history[-2:])][-2:]
        return last or seen // every != before // every

    def save(self, seen: int, state: dict[str, Any]) -> None:
        """History, checkpoint (where none before measured better) and, last, the state that resuming starts from."""
        self._collect()
        self.wait()  # so that no more than one save is ever on its way
        self.saved = seen
        history, best = list(self.history), self._is_best()
        config = {**self.settings, "images_seen": seen, "metrics": self._metrics(), "floor": self._floor()}
        shown, discriminator = (copy.deepcopy(net) for net in (self.nets.shown, self.nets.discriminator))
        state = {"networks": state, "seen": seen, "rng": torch.get_rng_state()}
        device = next(self.nets.shown.parameters()).device
        if device.type == "cuda":
            state["rng_cuda"] = torch.cuda.get_rng_state(device)

        def write() -> None:
            write_history(self.run / "history.jsonl", history)
            if best:
                folder, snapshots = self.run / "checkpoint", self.run / "snapshots"
                card = model_card(config)
                save_checkpoint(folder, shown, discriminator, config, history, snapshots, card, self._moments())
            with writing(self.run / STATE) as temporary, temporary.open("wb") as file:
                torch.save(state, file)
            self._forget_moments()

        self._later(write)

    def finish(self, seen: int, draw: bool = True) -> None:
        """What no tick has saved, and the tutorial's figures."""
        if self.saved != seen:
            self.snapshot(seen)
            self.save(seen, copy.deepcopy(self.nets.state_dict()))
        self.wait()
        if not draw:
            return
        with self._writing("all is saved but the figures; make room, then --resume"):
            if self.history:
                figures.loss_plot(self.run / "loss.png", self.history)
            figures.animation(self.run / "progress.webp", list_snapshots(self.run / "snapshots"))
            pictures = [("Real images", self.images.some(figures.GRID)), ("Fake images", self._faces())]
            figures.labelled(self.run / "real_vs_fake.png", [(label, figures.montage(p)) for label, p in pictures])

    def wait(self) -> None:
        """Until all is written. Raises TrainingError if something could not be."""
        with self._writing("the last save stands; make room, then --resume"):
            self.last_job.result()

    @contextmanager
    def _writing(self, advice: str) -> Iterator[None]:
        """What goes wrong on the disk as a TrainingError, in one line."""
        try:
            yield
        except (OSError, SafetensorError) as error:
            why = getattr(error, "strerror", None) or reason(error)
            if self.run.is_dir():
                weights = sum(map(parameter_count, (self.nets.shown, self.nets.discriminator)))
                why += f"; a save takes about {weights * BYTES_A_WEIGHT / 2**20:,.0f} MiB, "
                why += f"{shutil.disk_usage(self.run).free / 2**20:,.0f} are free"
            raise TrainingError(f"cannot write to '{self.run}' ({why}): {advice}") from None

    def _metrics(self) -> dict[str, float]:
        """The figures of quality taken at the last iteration, if any."""
        last = self.history[-1] if self.history else {}
        return {name: value for name, value in last.items() if name not in STATS and name != "images_seen"}

    def _floor(self) -> dict[str, float]:
        """What real images get in place of samples, and n, how many are compared; {} before the first measurement."""
        if self.quality is None:
            return {}
        return {"n": len(self.quality.real), **{k: float(f"{v:.5g}") for k, v in self.quality.floor.items()}}

    def _measure(self) -> dict[str, float]:
        """The quality of what is shown now."""
        device = next(self.nets.shown.parameters()).device
        # Nothing of this may be felt in the training.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            if self.quality is None:
                self.quality = Quality(self.images, device)
            was_training = self.nets.shown.training
            metrics = self.quality(self.nets.shown.eval())
            self.nets.shown.train(was_training)
        return {name: float(f"{value:.5g}") for name, value in metrics.items()}

    def _is_best(self) -> bool:
        """Whether what is saved now is as good as the best measured so far; where nothing was measured, the last is."""
        measured = [grade for row in self.history if (grade := _grade(row)) is not None]
        return not measured or (measured[-1] <= TIE * min(measured) and _grade(self.history[-1]) is not None)

    def _later(self, job: Callable[[], None]) -> None:
        """Have the thread do it, unless what came before could not be done: a save is whole or not there."""
        before = self.last_job

        def run() -> None:
            before.result()
            job()

        self.last_job = self.thread.submit(run)

    def _faces(self) -> Tensor:
        training = self.nets.shown.training
        images = render(self.nets.shown.eval(), self.noise)
        self.nets.shown.train(training)
        return images

    def _collect(self) -> None:
        if not self.pending:
            return
        values = torch.stack([stats for _, stats in self.pending]).tolist()
        for (seen, _), row in zip(self.pending, values, strict=True):
            rounded = (float(f"{value:.5g}") for value in row)
            self.history.append({"images_seen": seen, **dict(zip(STATS, rounded, strict=True))})
        self.pending.clear()


def _grade(row: dict[str, float]) -> float | None:
    """By what the best is chosen: the first of Quality.KEYS that was measured; lower is better."""
    return next((row[key] for key in Quality.KEYS if key in row), None)


def check_unused(run: Path) -> None:
    """Raise TrainingError, in one line, where a new run in this folder would overwrite anything."""
    if (run / SETTINGS).exists():
        raise TrainingError(f"'{run}' holds a run already: add --resume to go on with it, or choose another --out")
    check_checkpoint(run)
    if taken := [name for name in WRITTEN if _has_content(run / name)]:
        raise TrainingError(f"'{run}' holds {', '.join(taken)}, which a run would overwrite: choose another --out")


def check_checkpoint(run: Path) -> None:
    """Raise TrainingError, in one line, where a run's checkpoint lies without its state."""
    if (run / "checkpoint" / CONFIG).exists() and not (run / SETTINGS).exists():
        raise TrainingError(
            f"'{run}' holds a checkpoint, but not what resuming needs ({SETTINGS.parent}/): choose another --out"
        )


def _has_content(path: Path) -> bool:
    """Whether there is more than what a run leaves that was killed before it had written its settings."""
    if path.is_dir():
        return any(inside.name != f"{SETTINGS.name}.tmp" for inside in path.iterdir())
    return path.is_file() and path.stat().st_size > 0


def restore(run: Path, nets: Trained, device: torch.device) -> int:
    """Load the last save of a run into `nets` and the random generators; the images seen, 0 where nothing was saved."""
    path = run / STATE
    if not path.is_file():
        return 0
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not look at the sums
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} in it is damaged")
        state = torch.load(path, map_location=device, weights_only=True)
        nets.load_state_dict(state["networks"])
        torch.set_rng_state(state["rng"].cpu())
        if device.type == "cuda" and (random := state.get("rng_cuda")) is not None:
            random = random[0] if isinstance(random, list) else random  # of all GPUs, as it was once saved
            torch.cuda.set_rng_state(random.cpu(), device)
        return state["seen"]
    except Exception as error:
        raise TrainingError(
            f"'{path}' cannot be read ({reason(error)}): start again without --resume in another --out"
        ) from None
