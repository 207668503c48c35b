"""A job is taken up the moment its run was killed: what ends the killed run's processes leaves the new ones alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.conftest import Run

JOB = """
type: command
command: echo $$ >> pids; cp pids "${{outputs.o}}"; sleep 3
environment: {image: x}
outputs: {o: {type: uri_folder}}
"""


def test_a_job_resumed_at_once_is_not_ended_with_the_killed_run(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(JOB)
    words = [sys.executable, "-m", "tidemill", "run", "job.yml", "-n", "j"]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".tidemill/jobs/j/*/outputs/o/pids")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "Completed" in tidemill("job", "resume", "j").stdout
