"""Figures, which matplotlib takes seconds for, are drawn only where a test looks at them."""

import pytest

from dcgan.training import figures


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("labelled", "loss_plot", "animation"):
        monkeypatch.setattr(figures, name, lambda *_: None)
