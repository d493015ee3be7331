"""Many visitors, few cores: long work lets others go first."""

import threading
import time

import pytest

from dcgan import turns
from dcgan.turns import Turns


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
