"""Short work goes one after the other, and nobody waits long for who takes his time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import tidemill.run.turns as turns_module
from tidemill.run.turns import PATIENCE_S, Turns


def test_short_works_of_many_threads_are_done_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "PATIENCE_S", 30.0)
    turns, inside, together = Turns(), [0], []

    def work() -> None:
        for _ in range(20):
            turns.take()
            inside[0] += 1
            together.append(inside[0])
            time.sleep(0.0002)
            inside[0] -= 1
            turns.leave()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: work(), range(2)))
    assert together == [1] * 40


def test_a_long_work_keeps_the_others_waiting_once() -> None:
    turns, release, begun = Turns(), threading.Event(), threading.Event()

    def long() -> None:
        turns.take()
        begun.set()
        release.wait(30)
        turns.leave()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(long)
        begun.wait(30)
        before = time.monotonic()
        for _ in range(200):
            turns.take()
            turns.leave()
        waited = time.monotonic() - before
        release.set()
    assert waited < 100 * PATIENCE_S  # 200 works, each of which would have waited


def test_a_thread_keeps_its_turn_until_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "PATIENCE_S", 30.0)
    turns, order = Turns(), []
    turns.take()
    turns.take()
    other = threading.Thread(target=lambda: (turns.take(), order.append("other"), turns.leave()))
    other.start()
    time.sleep(0.01)
    order.append("ours")
    turns.leave()
    turns.leave()
    other.join()
    assert order == ["ours", "other"]
