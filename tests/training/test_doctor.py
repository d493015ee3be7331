"""Each illness of a training, provoked; and no complaint about a healthy one."""

import re

import pytest
import torch

from dcgan.training.doctor import PATIENCE, Doctor


def faces(spread: float) -> torch.Tensor:
    noise = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return (128 + spread * noise).clamp(0, 255).to(torch.uint8)


def rows(d_real: float = 0.8, d_fake: float = 0.2, loss_d: float = 0.7, loss_g: float = 2.0) -> list[dict[str, float]]:
    return [{"d_real": d_real, "d_fake": d_fake, "loss_d": loss_d, "loss_g": loss_g}] * 20


WINNING, HEALTHY = rows(d_real=0.999, d_fake=0.001), rows()


@pytest.mark.parametrize(
    ("ticks", "spreads", "ill", "named"),
    [
        ([HEALTHY] * 5, [5, 20, 50, 45, 50], [], ""),
        ([WINNING, WINNING, HEALTHY] * 3, [50] * 9, [], ""),  # it wins for two ticks at a time
        ([WINNING] * (PATIENCE + 2), [50] * (PATIENCE + 2), [PATIENCE - 1], "discriminator has won.* --augment"),
        ([HEALTHY] * 5, [50, 5, 5, 50, 5], [1, 4], "collapsed"),
        ([rows(loss_d=400.0)], [50], [0], "explode.* --lr"),
        ([rows(loss_g=-90.0)], [50], [0], "explode"),
        ([rows(loss_g=float("inf"))], [50], [0], "explode"),
        ([[]], [50], [], ""),
    ],
)
def test_an_illness_is_named_with_what_helps_when_it_begins(ticks, spreads, ill, named):
    doctor = Doctor()
    said = [doctor.examine(tick, faces(spread)) for tick, spread in zip(ticks, spreads, strict=True)]
    assert [number for number, complaints in enumerate(said) if complaints] == ill
    for number in ill:
        (complaint,) = said[number]
        assert re.search(named, complaint)
