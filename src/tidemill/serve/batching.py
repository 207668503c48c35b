"""Requests that wait while the model is busy are answered together: no added delay, one call instead of many."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import numpy as np

from tidemill.serve.decode import Array
from tidemill.serve.predictor import Answer
from tidemill.serve.spans import Span

LOG = logging.getLogger("tidemill.serve")
MAX_ROWS = 256
MANY_ROWS = 1000
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True, eq=False)  # each is itself, whatever its rows
class Waiting:
    """Rows of one request and who waits for their answer."""

    rows: Array
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    span: Span | None = None


class Batcher:
    """One call of the model at a time, in a thread; `gather` puts what waits together. Who holds `alone` knows that there is no call."""

    def __init__(self, predict: Callable[[Array], Answer], saw_batch: Callable[[int], None], *, gather: bool) -> None:
        self._predict = predict
        self._saw_batch = saw_batch
        self._gather = gather
        self._queue: list[Waiting] = []
        self._working: asyncio.Task[None] | None = None
        self.alone = asyncio.Lock()

    async def ask(self, rows: Array) -> Answer:
        """The answer to these rows; the model's exception if they made it fail."""
        waiting = self._waiting(rows)
        self._queue.append(waiting)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        try:
            return await waiting.answer
        finally:
            if waiting in self._queue:  # timed out before its turn
                self._queue.remove(waiting)

    def _waiting(self, rows: Array) -> Waiting:
        return Waiting(rows)

    async def _work(self) -> None:
        while self._queue:
            taken = self._take()
            self._saw_batch(sum(len(w.rows) for w in taken))
            await self._answer(taken)

    def _take(self) -> list[Waiting]:
        """The oldest request, and those after it that go with it."""
        taken = [self._queue.pop(0)]
        size = len(taken[0].rows)
        while self._gather and self._queue:
            other = self._queue[0].rows
            if size + len(other) > MAX_ROWS or other.shape[1:] != taken[0].rows.shape[1:]:
                break
            size += len(other)
            taken.append(self._queue.pop(0))
        return taken

    async def _answer(self, taken: list[Waiting]) -> None:
        try:
            together = taken[0].rows if len(taken) == 1 else np.concatenate([w.rows for w in taken])
            async with self.alone:
                found = await asyncio.to_thread(self._predict, together)
            if len(found.labels) != len(together):
                raise ValueError(f"the model gave {len(found.labels)} answers to {len(together)} rows")
        except Exception as exc:  # noqa: BLE001 - handed to whoever asked
            if len(taken) == 1:
                _settle(taken[0], exc)
                return
            for one in taken:  # one bad row must not fail its neighbours
                await self._answer([one])
            return
        start = 0
        for waiting in taken:
            end = start + len(waiting.rows)
            scores = None if found.probabilities is None else found.probabilities[start:end]
            _settle(waiting, Answer(found.labels[start:end], scores))
            start = end


def _settle(waiting: Waiting, result: Answer | Exception) -> None:
    """Tell the one who waits, unless it went away."""
    if waiting.answer.done():
        return
    if isinstance(result, Exception):
        waiting.answer.set_exception(result)
    else:
        waiting.answer.set_result(result)


async def aside(rows: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The function's answer; made beside the event loop where so many rows would keep others waiting."""
    return function(*args, **kwargs) if rows < MANY_ROWS else await asyncio.to_thread(function, *args, **kwargs)
