"""Many visitors, few cores: whose turn it is."""

import threading
import time
from collections.abc import Callable

import pytest

from dcgan.demo import turns
from dcgan.demo.turns import Busy, Turns


def until(true: Callable[[], object]) -> None:
    while not true():
        time.sleep(0.001)


def test_a_hand_goes_first_and_long_work_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "POLITE", 60)
    one_turn, order = Turns(1, 5), []

    def search() -> None:
        with one_turn.politely():
            order.append("search")

    def visitor() -> None:
        with one_turn:
            order.append("visitor")

    def hand() -> None:
        with one_turn.ahead():
            order.append("hand")

    threads = [threading.Thread(target=target) for target in (search, visitor, hand)]
    with one_turn:
        for thread in threads:
            thread.start()
        until(lambda: one_turn._waiting and one_turn._hurried)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == ["hand", "visitor", "search"]


def test_long_work_leaves_a_turn_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "POLITE", 60)
    two_turns, order = Turns(2, 5), []

    def search() -> None:
        with two_turns.politely():
            order.append("search")

    another = threading.Thread(target=search)
    with two_turns.politely():
        another.start()
        another.join(0.3)
        assert order == [], "it would take the last one"
        with two_turns:
            order.append("visitor")
    another.join()
    assert order == ["visitor", "search"]


def test_long_work_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "POLITE", 0.01)
    two_turns = Turns(2, 5)
    two_turns._waiting = 1  # someone always waits
    with two_turns.politely(), two_turns.politely():
        pass


def test_who_comes_when_all_places_are_taken_is_told_at_once() -> None:
    one_turn, inside, leave = Turns(1, 1), threading.Event(), threading.Event()

    def stay() -> None:
        with one_turn:
            inside.set()
            leave.wait()

    threads = [threading.Thread(target=stay) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()
    until(lambda: one_turn._waiting)
    with pytest.raises(Busy, match="many visitors"), one_turn:
        pass
    leave.set()
    for thread in threads:
        thread.join()
    with one_turn:
        pass


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    one_turn = Turns(1, 5)
    with one_turn:
        for _ in range(8):  # a place that is given up is free again
            with pytest.raises(Busy), one_turn:
                pass
    with one_turn:
        pass


def test_a_turn_that_fails_is_over() -> None:
    one_turn = Turns(1, 0)
    for turn in (lambda: one_turn, one_turn.ahead, one_turn.politely):
        with pytest.raises(ZeroDivisionError), turn():
            1 / 0  # noqa: B018
    with one_turn:
        pass
