"""The training loop: two networks against each other, over images that come without end."""

import shlex
import signal
from pathlib import Path

import torch

from dcgan.checkpoint import Checkpoint
from dcgan.cli import ENDING, handling
from dcgan.data.images import Images
from dcgan.data.sources import SHEET
from dcgan.model import ModelConfig
from dcgan.training.adaptive import adapt
from dcgan.training.config import TrainConfig
from dcgan.training.distributed import join
from dcgan.training.doctor import Doctor
from dcgan.training.init import begin
from dcgan.training.lines import opening_lines, statistics_line
from dcgan.training.networks import Networks
from dcgan.training.resume import origin, restore
from dcgan.training.run import About, Run
from dcgan.training.schedule import Schedule
from dcgan.training.signals import Stop
from dcgan.training.step import capable, check_penalty, stepper


def train(
    model: ModelConfig,
    config: TrainConfig,
    images: Images,
    run: Path,
    resume: bool = False,
    init: Checkpoint | None = None,
    about: About | None = None,
) -> Path:
    """Train on `images` into the folder `run`, and return its checkpoint folder.

    resume: go on from the run's last save, on a CPU bit for bit as if it had never stopped.
    init: a checkpoint with networks of this shape to begin from; resuming needs it no more.
    Prints the tutorial's statistics; saves at every tick and at the end. Ctrl-C, SIGTERM and SIGHUP save and return
    early, the latter two without the figures.
    Raises TrainingError or DataError, before anything is written, if it cannot start, and TrainingError if losses or
    weights are no longer finite or the disk is full: the last save then stands.
    """
    check_penalty(config)
    ranks = capable(join(config.ngpu, config.batch_size, config.device), model, config)
    nets = Networks(model, config, ranks)  # G, D, EMA of G, their optimizers
    seen = restore(run, nets) if resume else 0
    began = origin(run) if resume else begin(nets, init)
    schedule = Schedule(config, images.epoch_length(config.batch_size, config.drop_last, ranks.world))
    nets.set_rates(schedule.rate(seen))
    order = (config.batch_size, config.seed, seen, config.flip, config.drop_last)
    batches = images.batches(*order, ranks.device, ranks.rank, ranks.world)  # uint8 [B, nc, S, S] on the device
    out = Run(run, nets, images, about or About(), began)
    step, doctor, stop = stepper(nets), Doctor(), Stop()

    with out.open(seen, resume), ranks.bar(schedule.target, seen) as bar, handling(stop.note, signal.SIGINT, *ENDING):
        ranks.say(*opening_lines(images, schedule, seen, resume, run / SHEET))
        if out.grades.measure(out.history, seen >= schedule.target, stop):  # a signal had broken the measurement off
            out.save(seen)
        while seen < schedule.target and not ranks.stop(bool(stop), schedule.iteration(seen)):
            # D: reals up, fakes down. G: the same fakes up. EMA.
            real, before = nets.prepared(next(batches)), seen
            seen += len(real) * ranks.world
            # The whole batch's noise on every rank: how many there are does not change what is drawn.
            noise = ranks.share(torch.randn(seen - before, model.nz, 1, 1, device=ranks.device))
            out.pending.append((seen, step(real, noise, schedule.penalty_due(before))))
            nets.average(seen - before, seen)
            bar.update(seen - before)
            if not schedule.anything_due(before, seen):
                continue

            # History, snapshot, metrics, doctor, state - in this order.
            out.read()
            if schedule.line_due(seen):
                ranks.say(statistics_line(out.history[-1], schedule))
            if schedule.snapshot_due(before, seen):
                nets.calibrate()
                out.snapshot(seen)
            if schedule.tick_due(before, seen):
                measured = out.grades.measure(out.history, seen >= schedule.target, stop)
                out.log(out.history[-1])
                complaints = doctor.examine(out.since(seen - config.tick), out.faces())
                adapt(nets, images)
                nets.set_rates(schedule.rate(seen))
                out.save(seen)
                ranks.say(*measured, *complaints)

        if seen < schedule.target:
            goes_on = f"--out {shlex.quote(str(run))} --resume goes on"
            ranks.say(f"stopped at {seen:,} of {schedule.target:,} images: {goes_on}")
        out.finish(seen, stop.hurried)
    ranks.any(False)  # so that none ends before the first has written
    return run / "checkpoint"
