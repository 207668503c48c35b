"""A job is taken up the moment its run was killed: what ends the killed run's processes leaves the new ones alone."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.waiting import PATIENCE_S, until
from tidemill.app.jobs import cancel_job
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.backends.locks.flock import FlockLocks
from tidemill.base.errors import FailedError
from tidemill.base.ids import JobName

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
    until(lambda: list(tmp_path.glob(".tidemill/jobs/j/*/outputs/o/pids")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "Completed" in tidemill("job", "resume", "j").stdout


ONCE = """
type: command
command: "[ -e $HERE/ok ] || exit 1; echo ran >> $HERE/trace; sleep 0.3"
environment: {image: x}
is_deterministic: false
"""


def start(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tidemill", *words]
    env = {**os.environ, "HERE": str(tmp_path)}
    return subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)


@pytest.mark.parametrize("words", [("run", "once.yml", "-n", "j"), ("job", "resume", "j")])
def test_what_several_processes_begin_at_once_runs_once(tidemill: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "once.yml").write_text(ONCE)
    if words[0] == "job":
        tidemill("run", "once.yml", "-n", "j", code=1, HERE=str(tmp_path))
    (tmp_path / "ok").touch()
    said = [p.communicate(timeout=PATIENCE_S)[0] for p in [start(tmp_path, *words) for _ in range(4)]]
    assert (tmp_path / "trace").read_text() == "ran\n", said
    refused = [text for text in said if "There is a job `j` already" in text or "by another process" in text]
    assert not [text for text in said if text not in refused and "Completed" not in text]
    assert json.loads(tidemill("job", "show", "-n", "j", "-o", "json").stdout)["status"] == "Completed"


def test_canceling_a_job_whose_process_is_stopped_says_so(
    tidemill: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.app.jobs.CANCEL_S", 0.5)
    (tmp_path / "job.yml").write_text(JOB)
    process = start(tmp_path, "run", "job.yml", "-n", "j")
    until(lambda: list(tmp_path.glob(".tidemill/jobs/j/*/outputs/o/pids")))
    process.send_signal(signal.SIGSTOP)
    monkeypatch.chdir(tmp_path)
    with open_app(read_settings()) as app, pytest.raises(FailedError, match=f"process {process.pid}"):
        cancel_job(app, "j")
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert json.loads(tidemill("job", "show", "-n", "j", "-o", "json").stdout)["status"] == "Canceled"


def test_looking_at_a_job_keeps_nobody_from_driving_it(tmp_path: Path) -> None:
    locks = [FlockLocks(tmp_path) for _ in range(2)]
    job = JobName("j")
    with locks[0].job(job):
        assert locks[1].is_driven(job)
    lock = tmp_path / "jobs" / "j" / ".lock"
    with lock.open("rb") as looks:
        fcntl.flock(looks, fcntl.LOCK_SH)
        assert not locks[0].is_driven(job), "two that look do not take each other for its driver"
        soon = threading.Timer(0.2, fcntl.flock, (looks, fcntl.LOCK_UN))
        soon.start()
        with locks[1].job(job):
            soon.join()
    for each in locks:
        each.close()
