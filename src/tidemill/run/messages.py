"""What the loop of a run is told: facts, ends of steps, and that somebody wants it to end."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tidemill.base.frozen import frozen
from tidemill.base.ids import StepName
from tidemill.run.events import RunEvent


@frozen
class Ended:
    """A step has ended, or failed with an `error` of ours. Its thread waits until that is `recorded`."""

    step: StepName
    event: RunEvent | None
    recorded: threading.Event
    error: BaseException | None = None


@frozen
class Told:
    """A fact that somebody waits for to be recorded."""

    event: RunEvent
    recorded: threading.Event


@frozen
class Spared:
    """A step has ended for which nothing had to run; `event` is None if it had completed before the job was resumed."""

    step: StepName
    event: RunEvent | None


class Interrupt:
    """Somebody pressed Ctrl-C, or asked this process to end."""


Message = RunEvent | Ended | Told | Spared | Interrupt | None


@contextmanager
def signals_to(inbox: queue.SimpleQueue[Message]) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a terminal that hangs up become messages; nothing is ever torn in the middle by one.

    Who started this process with SIGHUP ignored, as `nohup` does, wants it to go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def tell(_number: int, _frame: FrameType | None) -> None:
        inbox.put(Interrupt())

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, tell) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
