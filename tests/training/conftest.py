"""Hooks into a training: what each step had and what happens around it, and grades in place of measurements."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from dcgan.metrics.quality import Quality
from dcgan.training import figures, grades, step
from dcgan.training.step import adversarial_step


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib takes seconds; fixtures of a module, which come before this one, draw."""
    for name in ("labelled", "loss_plot", "animation"):
        monkeypatch.setattr(figures, name, lambda *_: None)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """rates, penalties: of each step taken. before: functions by the number of the step, from 1, that they precede.

    after: functions of (networks, statistics), likewise, that return the statistics of the step.
    """
    seen = SimpleNamespace(rates=[], penalties=[], before={}, after={})

    def recorded(nets, real, noise, with_penalty):
        seen.rates.append(nets.rates)
        seen.penalties.append(with_penalty)
        number = len(seen.rates)
        if number in seen.before:
            seen.before[number]()
        stats = adversarial_step(nets, real, noise, with_penalty)
        return seen.after[number](nets, stats) if number in seen.after else stats

    monkeypatch.setattr(step, "adversarial_step", recorded)
    return seen


@pytest.fixture
def graded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have these grades measured, one after the other; a function among them is called for its grade."""

    def arrange(*results: float | Callable[[], float]) -> None:
        remaining = iter(results)

        def grade(*_: object) -> dict[str, float]:
            torch.randn(7)  # must not be felt in the training
            value = next(remaining)
            return {"fd": value() if callable(value) else value, "other": 1.0}

        monkeypatch.setattr(Quality, "__init__", lambda self, images, device: None)
        monkeypatch.setattr(Quality, "floor", {"ffd": 0.5}, raising=False)
        monkeypatch.setattr(Quality, "real", torch.zeros(7), raising=False)
        monkeypatch.setattr(Quality, "__call__", grade)
        monkeypatch.setattr(grades, "MIN_IMAGES", 10)

    return arrange
