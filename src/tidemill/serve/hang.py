"""Calls of the model that do not return. One on the event loop is interrupted; a thread cannot be ended, so the process is, and another takes its place."""

from __future__ import annotations

import faulthandler
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import ParamSpec, TypeVar

LOG = logging.getLogger("tidemill.serve")
TIMEOUTS = 3  # a call that takes so many time-outs will not return
LOOK_S = 0.25
HUNG_EXIT = 75
LOOP = -1  # the number of the one call that may be on the event loop
INTERRUPT = signal.SIGUSR2
Given = TypeVar("Given")
Found = TypeVar("Found")
P = ParamSpec("P")


class _Overdue(BaseException):
    """Raised in a call on the event loop; no `except Exception` of the model's keeps it."""


class ModelExitError(Exception):
    """The model called `sys.exit()`, or the like: it failed on this request, which is no reason to end the server."""


def _exited(exc: BaseException) -> ModelExitError:
    return ModelExitError(f"the model raised {type(exc).__name__}({', '.join(map(repr, exc.args))})")


@dataclass(slots=True)
class Calls:
    """When every call that has not returned began."""

    timeout_s: float
    _began: dict[int, float] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _on_loop: float | None = None

    @contextmanager
    def one(self) -> Iterator[None]:
        """A call, from its begin to its end."""
        number = next(self._numbers)
        self._began[number] = time.monotonic()
        try:
            yield
        finally:
            del self._began[number]

    def on_loop(self, function: Callable[P, Found], *args: P.args, **kwargs: P.kwargs) -> Found:
        """A call on the event loop, which nobody else turns meanwhile: `TimeoutError` when it takes too long."""
        self._began[LOOP] = self._on_loop = time.monotonic()
        try:
            try:
                return function(*args, **kwargs)
            finally:
                self._on_loop = None
        except _Overdue:
            raise TimeoutError from None
        except (SystemExit, KeyboardInterrupt) as exc:
            raise _exited(exc) from exc
        finally:
            self._began.pop(LOOP, None)

    def watched(self, function: Callable[[Given], Found]) -> Callable[[Given], Found]:
        """The same function, with its calls seen."""

        def call(given: Given) -> Found:
            try:
                with self.one():
                    return function(given)
            except (SystemExit, KeyboardInterrupt) as exc:
                raise _exited(exc) from exc

        return call

    def hang(self) -> bool:
        """Whether one call has taken several time-outs."""
        began = min(list(self._began.values()), default=None)
        return began is not None and time.monotonic() - began > TIMEOUTS * self.timeout_s

    def watch(self, *, end_when_hung: bool) -> None:
        """Look from a thread of its own: a call on the event loop holds that."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(INTERRUPT, self._interrupt)
        threading.Thread(target=self._watch, args=(end_when_hung,), name="hang", daemon=True).start()

    def _watch(self, end_when_hung: bool) -> None:  # noqa: FBT001 - a thread's arguments have no names
        while not (end_when_hung and self.hang()):
            time.sleep(min(LOOK_S, self.timeout_s))
            if self._is_overdue() and signal.getsignal(INTERRUPT) == self._interrupt:
                signal.pthread_kill(threading.main_thread().ident or 0, INTERRUPT)
        faulthandler.dump_traceback()  # says where it hangs
        LOG.error("a call of the model did not return within %g s; this process ends", TIMEOUTS * self.timeout_s)
        os._exit(HUNG_EXIT)

    def _is_overdue(self) -> bool:
        began = self._on_loop
        return began is not None and time.monotonic() - began > self.timeout_s

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        """In the main thread, between two steps of what it does: out of the call, when it is still in it."""
        del signum, frame
        if self._is_overdue():
            self._on_loop = None
            raise _Overdue
