"""Each illness of a training, provoked; and no complaint about a healthy one."""

import pytest
import torch

from dcgan.training.doctor import PATIENCE, Doctor


def faces(spread: float) -> torch.Tensor:
    noise = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return (128 + spread * noise).clamp(0, 255).to(torch.uint8)


def rows(d_real: float = 0.8, d_fake: float = 0.2, loss_d: float = 0.7, loss_g: float = 2.0) -> list[dict[str, float]]:
    return [{"d_real": d_real, "d_fake": d_fake, "loss_d": loss_d, "loss_g": loss_g}] * 20


def test_a_healthy_run_is_left_alone():
    doctor = Doctor()
    assert [doctor.examine(rows(), faces(spread)) for spread in (5, 20, 50, 45, 50)] == [[]] * 5


def test_a_discriminator_that_wins_for_long_is_told_with_what_helps():
    doctor, winning = Doctor(), rows(d_real=0.999, d_fake=0.001)
    said = [doctor.examine(winning, faces(50)) for _ in range(PATIENCE + 2)]
    assert said[: PATIENCE - 1] == [[]] * (PATIENCE - 1)
    assert len(said[PATIENCE - 1]) == 1
    assert "discriminator has won" in said[PATIENCE - 1][0]
    assert "--augment" in said[PATIENCE - 1][0]
    assert said[PATIENCE:] == [[], []]  # once is enough


def test_a_single_lost_tick_is_nothing():
    doctor, winning = Doctor(), rows(d_real=0.999, d_fake=0.001)
    said = [doctor.examine(r, faces(50)) for r in [winning, winning, rows()] * 3]
    assert said == [[]] * 9


def test_a_collapse_is_told_and_told_again_after_a_recovery():
    doctor = Doctor()
    said = [doctor.examine(rows(), faces(spread)) for spread in (50, 5, 5, 50, 5)]
    assert [len(complaints) for complaints in said] == [0, 1, 0, 0, 1]
    assert "collapsed" in said[1][0]


@pytest.mark.parametrize("loss", [{"loss_d": 400.0}, {"loss_g": -90.0}, {"loss_g": float("inf")}])
def test_exploding_losses_are_told(loss):
    (said,) = Doctor().examine(rows(**loss), faces(50))
    assert "explode" in said
    assert "--lr" in said


def test_no_rows_are_nothing_to_say():
    assert Doctor().examine([], faces(50)) == []
