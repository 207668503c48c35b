"""Requests gathered while the model is busy."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from tests.waiting import PATIENCE_S
from tidemill.serve.batching import Batcher
from tidemill.serve.decode import Array
from tidemill.serve.predictor import Answer


def test_requests_that_wait_are_answered_in_one_call_each_with_its_own_rows() -> None:
    gate = threading.Event()
    sizes: list[int] = []

    def predict(rows: Array) -> Answer:
        gate.wait(PATIENCE_S)
        return Answer([int(r[0]) for r in rows], rows)

    async def story() -> list[Answer]:
        batcher = Batcher(predict, sizes.append, gather=True)
        asked = [asyncio.create_task(batcher.ask(np.full((n, 2), n))) for n in (1, 2, 3)]
        await asyncio.sleep(0.01)
        gate.set()
        return await asyncio.gather(*asked)

    answers = asyncio.run(story())
    assert [a.labels for a in answers] == [[1], [2, 2], [3, 3, 3]]
    assert len(sizes) <= 2
    assert sum(sizes) == 6


def test_one_row_that_makes_the_model_fail_fails_alone() -> None:
    def predict(rows: Array) -> Answer:
        if (rows < 0).any():
            raise ValueError("negative")
        return Answer(rows[:, 0].tolist())

    async def story() -> list[Answer | BaseException]:
        batcher = Batcher(predict, lambda _: None, gather=True)
        return await asyncio.gather(*(batcher.ask(np.array([[v]])) for v in (1, -1, 2)), return_exceptions=True)

    first, bad, last = asyncio.run(story())
    assert isinstance(bad, ValueError)
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert (first.labels, last.labels) == ([1], [2])


def test_a_model_that_answers_too_few_rows_is_an_error_not_a_mixed_up_answer() -> None:
    async def story() -> None:
        await Batcher(lambda _: Answer([1]), lambda _: None, gather=True).ask(np.zeros((2, 1)))

    with pytest.raises(ValueError, match="1 answers to 2 rows"):
        asyncio.run(story())


def test_one_that_times_out_in_the_queue_leaves_it_whatever_the_others_ask() -> None:
    gate = threading.Event()
    sizes: list[int] = []

    def predict(rows: Array) -> Answer:
        gate.wait(PATIENCE_S)
        return Answer(rows[:, 0].tolist())

    async def story() -> list[Answer]:
        batcher = Batcher(predict, sizes.append, gather=False)
        asked = [asyncio.create_task(batcher.ask(np.full((1, 2), n))) for n in (1, 2)]
        await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await batcher.ask(np.full((1, 2), 3))
        gate.set()
        return await asyncio.gather(*asked)

    assert [a.labels for a in asyncio.run(story())] == [[1], [2]]
    assert len(sizes) == 2
