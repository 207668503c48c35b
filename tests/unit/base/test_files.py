"""Locks that go with their process."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tidemill.base.errors import ConflictError
from tidemill.base.files import locked


def test_who_waits_for_a_lock_whose_folder_is_removed_gets_the_one_that_counts(tmp_path: Path) -> None:
    path = tmp_path / "job" / ".lock"
    waits, holds, over = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        with locked(path, waiting=lambda _: waits.set()):
            holds.set()
            over.wait(10)

    thread = threading.Thread(target=wait)
    with locked(path):
        thread.start()
        assert waits.wait(10)
        shutil.rmtree(path.parent)
    try:
        assert holds.wait(10)
        with pytest.raises(ConflictError), locked(path, wait=False):
            pass
    finally:
        over.set()
        thread.join()


def test_an_error_in_the_body_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked(tmp_path / "lock"):
        raise FileNotFoundError
    with locked(tmp_path / "lock", wait=False):
        assert (tmp_path / "lock").read_text().isdigit()
