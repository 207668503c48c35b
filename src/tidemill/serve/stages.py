"""What notes the parts of a request for its span: waiting for a turn, and calls of what decodes, predicts and encodes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import wraps
from typing import Literal, ParamSpec, TypeVar

from tidemill.serve.batching import Batcher, Waiting
from tidemill.serve.decode import Array
from tidemill.serve.spans import CURRENT, Stage

P = ParamSpec("P")
R = TypeVar("R")


def timed(name: str, function: Callable[P, R]) -> Callable[P, R]:
    """The same function, its calls parts of the request that is being answered."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        span = CURRENT.get()
        if span is None:
            return function(*args, **kwargs)
        span.turn()
        with span.stage(name):
            return function(*args, **kwargs)

    return call


def untimed(name: str, function: Callable[P, R]) -> Callable[P, R]:
    """The function itself, for a server nobody traces."""
    del name
    return function


class TracedTurn(asyncio.Semaphore):
    """Requests that wait for their turn say how long."""

    async def acquire(self) -> Literal[True]:
        """Wait; `timed` notes when the waiting ended."""
        span = CURRENT.get()
        if span is not None:
            span.wait()
        return await super().acquire()


class TracedBatcher(Batcher):
    """One call of the model is a part of every request whose rows are in it."""

    def _waiting(self, rows: Array) -> Waiting:
        waiting = super()._waiting(rows)
        waiting.span = CURRENT.get()
        if waiting.span is not None:
            waiting.span.wait()
        return waiting

    async def _answer(self, taken: list[Waiting]) -> None:
        began = time.perf_counter_ns()
        for waiting in taken:
            if waiting.span is not None:
                waiting.span.turn()
        await super()._answer(taken)
        ended = time.perf_counter_ns()
        for waiting in taken:
            if waiting.span is not None:
                failed = waiting.answer.done() and not waiting.answer.cancelled() and waiting.answer.exception()
                waiting.span.stages.append(
                    Stage("predict", began, ended, type(waiting.answer.exception()).__name__ if failed else "")
                )
