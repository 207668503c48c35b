"""Commands of one workspace take turns: one changes what serves, one makes a model, and whoever waits says for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidemill.app.wiring import App
from tidemill.base.files import locked

Say = Callable[[str], None]


@contextmanager
def releasing(app: App, say: Say) -> Iterator[None]:
    """The turn of whoever changes what serves. Nothing is trained meanwhile, so that a rollback need not wait for that."""
    with locked(app.home / "up.lock", waiting=_tell(say, "changes what serves")):
        yield


@contextmanager
def training(app: App, say: Say) -> Iterator[None]:
    """The turn of whoever makes the version to release: two would register it twice."""
    with locked(app.home / "candidate.lock", waiting=_tell(say, "makes a model version")):
        yield


def _tell(say: Say, doing: str) -> Say:
    return lambda process: say(f"waiting for {process}, which {doing} in this workspace")
