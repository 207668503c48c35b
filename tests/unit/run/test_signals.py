"""A signal ends a run, whichever thread of it the system gives it to."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, command, pipeline
from tidemill.base.errors import InterruptedRun


def test_a_signal_that_another_thread_got_ends_the_run_too(workspace: Workspace, tmp_path: Path) -> None:
    began = tmp_path / "began"

    def interrupt() -> None:
        while not began.exists():
            time.sleep(0.02)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)  # comes to this thread: the main one does not take it

    threading.Thread(target=interrupt).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        start = time.monotonic()
        with pytest.raises(InterruptedRun):
            workspace.run(pipeline(command("a", f"touch {began}; sleep 20")))
        assert time.monotonic() - start < 10
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
