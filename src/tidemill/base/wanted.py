"""Whether what is waited for is still wanted: what may wait for long asks, however far below whoever knows."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from tidemill.base.errors import FailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK_S = 0.1
_given_up: ContextVar[Callable[[], bool] | None] = ContextVar("given_up", default=None)


@contextmanager
def wanted_until(given_up: Callable[[], bool]) -> Iterator[None]:
    """In the body, waiting for a program or a lock ends with a `FailedError` once `given_up` says so."""
    token = _given_up.set(given_up)
    try:
        yield
    finally:
        _given_up.reset(token)


def may_be_given_up() -> bool:
    """Whether whoever waits has to look up now and then."""
    return _given_up.get() is not None


def require_wanted() -> None:
    """`FailedError` once it is not."""
    given_up = _given_up.get()
    if given_up is not None and given_up():
        raise FailedError("canceled")
