"""Many visitors, few cores: faces drawn together, and long work that lets others go first."""

import threading
import time

import pytest
import torch

from dcgan import turns
from dcgan.generate import render
from dcgan.model import Generator, ModelConfig
from dcgan.turns import Busy, Together, Turns


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(ModelConfig(image_size=16, nz=8, ngf=8, ndf=8)).eval().requires_grad_(False)


def waiting(together: Together, count: int) -> None:
    while len(together._waiting) < count:
        time.sleep(0.001)


def test_those_who_wait_are_drawn_together_and_each_gets_their_own(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(turns, "render", lambda net, z: (drawn.append((net, len(z))), render(net, z))[1])
    one_turn = Turns(1, 20)
    together, other = Together(one_turn), Generator(generator.config).eval().requires_grad_(False)
    wanted = [(generator, torch.randn(n, 8)) for n in (1, 1, 3, 1)] + [(other, torch.randn(2, 8))]
    answers: dict[int, torch.Tensor] = {}

    def ask(i: int) -> None:
        answers[i] = together.render(*wanted[i])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(wanted))]
    with one_turn:
        for thread in threads:
            thread.start()
        waiting(together, len(wanted))
    for thread in threads:
        thread.join()
    for i, (net, z) in enumerate(wanted):
        assert torch.equal(answers[i], render(net, z))
    assert sorted(count for _, count in drawn) == [2, 6]
    assert {count: net is generator for net, count in drawn} == {6: True, 2: False}


def test_who_hears_that_it_is_busy_is_not_drawn(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    one_turn = Turns(1, 1)
    together = Together(one_turn)
    with one_turn, pytest.raises(Busy):
        together.render(generator, torch.zeros(1, 8))
    assert not together._waiting
    assert len(together.render(generator, torch.zeros(1, 8))) == 1


def test_what_goes_wrong_is_told_to_all_who_waited(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    one_turn = Turns(1, 5)
    together, told = Together(one_turn), []

    def ask() -> None:
        try:
            together.render(generator, torch.zeros(1, 9))
        except RuntimeError as error:
            told.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    with one_turn:
        for thread in threads:
            thread.start()
        waiting(together, 3)
    for thread in threads:
        thread.join()
    assert len(told) == 3


def test_long_work_lets_others_go_first_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "POLITE", 60)
    one_turn, order = Turns(1, 5), []

    def visitor() -> None:
        with one_turn:
            order.append("visitor")

    def search() -> None:
        with one_turn.politely():
            order.append("search")

    with one_turn:
        first = threading.Thread(target=visitor)
        first.start()
        while not one_turn._waiting:
            time.sleep(0.001)
        last = threading.Thread(target=search)
        last.start()
    first.join()
    last.join()
    assert order == ["visitor", "search"]

    monkeypatch.setattr(turns, "POLITE", 0)
    one_turn._wait(1)  # someone always waits
    with one_turn.politely():
        order.append("search")
    assert order[-1] == "search"
