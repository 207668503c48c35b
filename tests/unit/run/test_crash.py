"""A run killed anywhere is taken up again: nothing lost, nothing that completed done twice, nobody left behind."""

from __future__ import annotations

import errno
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.unit.run.drive_job import WIDTH
from tests.waiting import PATIENCE_S, until
from tidemill.backends.stores.sqlite import SqliteStore
from tidemill.base import proc
from tidemill.base.failpoint import NAMES
from tidemill.record.runs import get_job

ROOT = Path(__file__).parents[3]


def start(home: Path, mode: str, **env: str) -> proc.Popen[bytes]:
    argv = [sys.executable, "-m", "tests.unit.run.drive_job", str(home), str(home.parent / "trace"), "job", mode]
    return proc.start(argv, cwd=ROOT, env={**os.environ, **env}, stdout=proc.PIPE)


def completed_before(home: Path) -> set[str]:
    if not (home / "tidemill.db").exists():
        return set()
    store = SqliteStore(home / "tidemill.db")
    try:
        if store.job("job") is None:
            return set()
        return {n for n, s in get_job(store, "job").steps.items() if s.status == "Completed"}
    finally:
        store.close()


def check_resumed(home: Path) -> None:
    """Resume, then look from outside."""
    trace = home.parent / "trace"
    done = completed_before(home)
    before = trace.read_text().splitlines() if trace.exists() else []
    process = start(home, "resume")
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, out.decode()
    assert out.decode().split()[-1] == "Completed"
    again = {line.split()[1] for line in trace.read_text().splitlines()[len(before) :] if line.startswith("start")}
    assert not again & done
    assert not proc.find_marked("TIDEMILL_TASK_OF", f"{home}|job")
    assert completed_before(home) == {f"c{c}_{link}" for c in range(WIDTH) for link in range(3)}
    outputs = [home / "jobs" / "job" / f"c{c}_2" / "outputs" / "o" / "x" for c in range(WIDTH)]
    assert [p.read_text().strip() for p in outputs] == [f"c{c}_2" for c in range(WIDTH)]


ONCE = [n for n in NAMES if n.startswith("job")]
OFTEN = [n for n in NAMES if n.startswith(("step", "command", "outputs"))]
LATER = [pytest.param(n, 7, marks=pytest.mark.slow) for n in OFTEN]


@pytest.mark.parametrize(("name", "count"), [*((n, 1) for n in (*ONCE, *OFTEN)), *LATER])
def test_killed_at_a_failpoint_the_job_resumes(name: str, count: int, tmp_path: Path) -> None:
    home = tmp_path / ".tidemill"
    process = start(home, "run", TIDEMILL_FAILPOINT=f"{name}:{count}")
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    check_resumed(home)


def test_children_of_a_killed_run_end_at_once(tmp_path: Path) -> None:
    home = tmp_path / ".tidemill"
    process = start(home, "run", TIDEMILL_FAILPOINT="step-started:3")
    process.communicate(timeout=PATIENCE_S)
    until(lambda: not proc.find_marked("TIDEMILL_TASK_OF", f"{home}|job"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_random_moments_the_job_resumes(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    chance = random.Random(seed)  # the seed is in the message when this fails
    for round_ in range(int(os.environ.get("TIDEMILL_CRASH_ROUNDS", "4"))):
        home = tmp_path / str(round_) / ".tidemill"
        home.parent.mkdir()
        process = start(home, "run")
        time.sleep(chance.uniform(0.3, 1.3))
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        try:
            check_resumed(home)
        except AssertionError as exc:
            raise AssertionError(f"seed {seed}, round {round_}") from exc


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_cancels_politely_and_the_job_resumes(tmp_path: Path, number: signal.Signals) -> None:
    home = tmp_path / ".tidemill"
    before = signal.signal(
        number, signal.SIG_DFL
    )  # under `nohup` the tests, and what they start, would not hear SIGHUP
    process = start(home, "run")
    signal.signal(number, before)
    trace = tmp_path / "trace"
    while not trace.exists():
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    store = SqliteStore(home / "tidemill.db")
    assert get_job(store, "job").status == "Canceled"
    store.close()
    check_resumed(home)


ERRORS = ("ENOSPC", "EIO")
IN_A_STEP = [n for n in NAMES if n in {"step-staged", "step-started", "command-ended", "outputs-kept"}]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", IN_A_STEP)
def test_a_failing_disk_fails_the_step_with_words_and_the_job_resumes(name: str, error: str, tmp_path: Path) -> None:
    home = tmp_path / ".tidemill"
    process = start(home, "run", TIDEMILL_FAILPOINT=f"{name}:3:{error}")
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert out.decode().split()[-1] == "Failed"
    store = SqliteStore(home / "tidemill.db")
    failed = [s.message for s in get_job(store, "job").steps.values() if s.status == "Failed"]
    store.close()
    assert len(failed) == 1
    assert os.strerror(getattr(errno, error)) in failed[0]
    check_resumed(home)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", ["job-created", "step-recorded", "job-ended"])
def test_a_disk_that_fails_the_record_ends_the_run_and_the_job_resumes(name: str, error: str, tmp_path: Path) -> None:
    home = tmp_path / ".tidemill"
    process = start(home, "run", TIDEMILL_FAILPOINT=f"{name}:1:{error}")
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    check_resumed(home)
