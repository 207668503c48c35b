"""What Pythons before 3.11 lack of what the server uses; only the copy of it that `release.older` makes for them imports this.

Deployments run in the Python their environment names, and most of Azure's examples name 3.8 to 3.10.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import enum
import functools
import hashlib
import socket
import typing
from datetime import timezone

UTC = timezone.utc  # noqa: UP017 - there is no datetime.UTC there
ParamSpec = typing.TypeVar
TIMEOUTS = (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError, socket.timeout)
CHUNK = 1 << 18


class StrEnum(str, enum.Enum):  # noqa: UP042
    """An enumeration of texts that is printed as its value."""

    def __str__(self) -> str:
        """The value."""
        return str(self.value)

    def __format__(self, how: str) -> str:
        """The value."""
        return format(str(self.value), how)


class timeout:  # noqa: N801 - as asyncio's
    """`asyncio.timeout`: the task inside is cancelled when its time is up, and sees a `TimeoutError`."""

    def __init__(self, delay: float | None) -> None:
        self._delay = delay
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[typing.Any] | None = None
        self._is_over = False

    async def __aenter__(self) -> timeout:  # noqa: PYI034 - there is no Self there
        """Begin to count."""
        self._task = asyncio.current_task()
        if self._delay is not None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self._end)
        return self

    def _end(self) -> None:
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, exc: object, trace: object) -> None:
        """Stop counting; a cancellation of our own becomes a `TimeoutError`."""
        if self._timer is not None:
            self._timer.cancel()
        if self._is_over and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError


class Semaphore(asyncio.Semaphore):
    """`asyncio.Semaphore`, of the loop that uses it: it was that of the moment when it was made."""

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @_loop.setter
    def _loop(self, loop: asyncio.AbstractEventLoop) -> None:
        del loop


async def to_thread(function: typing.Any, *args: typing.Any, **named: typing.Any) -> typing.Any:  # noqa: ANN401
    """`asyncio.to_thread`."""
    call = functools.partial(contextvars.copy_context().run, function, *args, **named)
    return await asyncio.get_running_loop().run_in_executor(None, call)


def file_digest(file: typing.Any, algorithm: str) -> typing.Any:  # noqa: ANN401
    """`hashlib.file_digest`."""
    made = hashlib.new(algorithm)
    for part in iter(lambda: file.read(CHUNK), b""):
        made.update(part)
    return made


def removeprefix(text: typing.Any, start: typing.Any) -> typing.Any:  # noqa: ANN401
    """`str.removeprefix`, also of bytes."""
    return text[len(start) :] if text.startswith(start) else text  # noqa: FURB188


def removesuffix(text: typing.Any, end: typing.Any) -> typing.Any:  # noqa: ANN401
    """`str.removesuffix`, also of bytes."""
    return text[: -len(end)] if end and text.endswith(end) else text


def either(left: typing.Any, right: typing.Any) -> typing.Any:  # noqa: ANN401
    """`left | right`, also of mappings."""
    return {**left, **right} if isinstance(left, dict) else left | right


def is_relative_to(path: typing.Any, folder: typing.Any) -> bool:  # noqa: ANN401
    """`Path.is_relative_to`."""
    return folder == path or folder in path.parents


def cache(function: typing.Any) -> typing.Any:  # noqa: ANN401
    """`functools.cache`."""
    return functools.lru_cache(maxsize=None)(function)


def dataclass_transform(**_named: typing.Any) -> typing.Any:  # noqa: ANN401
    """`typing.dataclass_transform`, which speaks to type checkers alone."""
    return lambda decorator: decorator
