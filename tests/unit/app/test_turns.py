"""Commands take turns, and whoever waits says for whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S
from tidemill.app.settings import Settings
from tidemill.app.turns import releasing, training
from tidemill.app.wiring import App, open_app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        yield app


def test_a_rollback_does_not_wait_for_a_training(app: App) -> None:
    said: list[str] = []
    with training(app, said.append), releasing(app, said.append):
        assert said == []


def test_whoever_waits_names_the_process_that_is_at_work(app: App) -> None:
    said: list[str] = []
    came = threading.Event()

    def wait() -> None:
        with releasing(app, said.append):
            came.set()

    with releasing(app, said.append):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not came.wait(0.3)
    waiting.join(PATIENCE_S)
    assert came.is_set()
    (line,) = said
    assert line.startswith("waiting for process ")
    assert line.endswith("which changes what serves in this workspace")
