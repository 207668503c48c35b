"""Calls of the model that do not return: a thread cannot be ended, so the process is, and another takes its place."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

LOG = logging.getLogger("tidemill.serve")
TIMEOUTS = 3  # a call that takes so many time-outs will not return
LOOK_S = 0.25
HUNG_EXIT = 75
Given = TypeVar("Given")
Found = TypeVar("Found")


@dataclass(slots=True)
class Calls:
    """When every call that has not returned began."""

    timeout_s: float
    _began: dict[int, float] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def one(self) -> Iterator[None]:
        """A call, from its begin to its end."""
        number = next(self._numbers)
        self._began[number] = time.monotonic()
        try:
            yield
        finally:
            del self._began[number]

    def watched(self, function: Callable[[Given], Found]) -> Callable[[Given], Found]:
        """The same function, with its calls seen."""

        def call(given: Given) -> Found:
            with self.one():
                return function(given)

        return call

    def hang(self) -> bool:
        """Whether one call has taken several time-outs."""
        began = min(list(self._began.values()), default=None)
        return began is not None and time.monotonic() - began > TIMEOUTS * self.timeout_s

    def end_process_when_hung(self) -> None:
        """Look from a thread of its own: a call on the event loop holds that too."""
        threading.Thread(target=self._watch, name="hang", daemon=True).start()

    def _watch(self) -> None:
        while not self.hang():
            time.sleep(LOOK_S)
        LOG.error("a call of the model did not return within %g s; this process ends", TIMEOUTS * self.timeout_s)
        os._exit(HUNG_EXIT)
