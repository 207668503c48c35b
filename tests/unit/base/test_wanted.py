"""Waiting for programs and locks ends when nobody wants what is waited for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S
from tidemill.base import proc
from tidemill.base.errors import BackendError, FailedError
from tidemill.base.files import locked
from tidemill.base.wanted import wanted_until


def test_a_program_nobody_waits_for_any_more_is_ended() -> None:
    asked = threading.Event()
    threading.Timer(0.3, asked.set).start()
    begun = time.monotonic()
    with wanted_until(asked.is_set), pytest.raises(FailedError, match="canceled"):
        proc.run(["sleep", "300"])
    assert time.monotonic() - begun < PATIENCE_S / 4


def test_a_program_that_is_wanted_is_heard_to_its_end_and_within_its_time() -> None:
    with wanted_until(lambda: False):
        text = "x" * 200_000
        done = proc.run(["sh", "-c", "cat; sleep 0.4; echo done"], stdin=text)
        assert done.stdout == f"{text}done\n"
        with pytest.raises(BackendError, match="did not end within"):
            proc.run(["sleep", "300"], timeout_s=0.3)


def test_a_lock_nobody_waits_for_any_more_is_given_up_and_one_that_comes_free_is_taken(tmp_path: Path) -> None:
    asked = threading.Event()
    with locked(tmp_path / "lock"):
        threading.Timer(0.3, asked.set).start()
        with wanted_until(asked.is_set), pytest.raises(FailedError, match="canceled"), locked(tmp_path / "lock"):
            pass
    with wanted_until(lambda: False), locked(tmp_path / "lock"):
        pass
