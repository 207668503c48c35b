"""The local executor keeps the promises of executors."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S, until
from tidemill.backends.executors import local
from tidemill.backends.executors.local import LocalExecutor
from tidemill.base import descent, proc
from tidemill.run.ports import TaskEnd, TaskWatch
from tidemill.testing.executors import ExecutorContract, GrowingFilesContract, Submitted, make_task, submit


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    with closing(LocalExecutor(2, scope=str(tmp_path), grace_s=0.5)) as found:
        yield found


class TestLocalExecutor(ExecutorContract, GrowingFilesContract):
    """All of them."""


def test_what_a_command_leaves_in_the_background_ends_with_it(executor: LocalExecutor, tmp_path: Path) -> None:
    number = unusual()
    assert submit(executor, make_task(tmp_path / "a", f"sleep {number} & echo done")).wait().ok
    assert not sleepers(number)


def test_a_canceled_command_is_asked_politely_first(executor: LocalExecutor, tmp_path: Path) -> None:
    script = "trap 'echo goodbye; exit 0' TERM; echo up; while true; do sleep 0.02; done"
    task = make_task(tmp_path / "a", f'bash -c "{script}"; true')
    submitted = submit(executor, task, lines=True)
    while "up" not in submitted.lines:
        time.sleep(0.01)
    executor.cancel(task.ticket)
    assert submitted.wait().canceled
    assert submitted.lines[-1] == "goodbye"


def test_a_command_that_will_not_listen_is_killed(executor: LocalExecutor, tmp_path: Path) -> None:
    task = make_task(tmp_path / "a", "trap '' TERM; echo up; while true; do sleep 0.05; done")
    submitted = submit(executor, task, lines=True)
    while not submitted.lines:
        time.sleep(0.01)
    executor.cancel(task.ticket)
    assert submitted.wait().exit_code == -9


def test_a_line_without_end_keeps_nobody_waiting(executor: LocalExecutor, tmp_path: Path) -> None:
    size = 30_000_000
    task = make_task(tmp_path / "a", f"head -c {size} /dev/zero | tr '\\0' a; echo; echo done")
    begun = time.monotonic()
    submitted = submit(executor, task, lines=True)
    assert submitted.wait().ok
    assert time.monotonic() - begun < PATIENCE_S / 10, "it must not be gone through again with each piece"
    assert submitted.lines[-1] == "done"
    assert sum(len(line) for line in submitted.lines[:-1]) == size


def test_a_secret_in_a_line_without_end_never_reaches_the_log(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LONGEST_LINE", 100)
    text = "for i in $(seq 40); do printf 'abcdef s3cr3t '; sleep 0.002; done"
    task = make_task(tmp_path / "a", text, secrets=("s3cr3t",))
    submit(executor, task).wait()
    assert "".join(task.log.read_text().split("\n")) == "abcdef *** " * 40


def test_a_command_that_never_stops_writing_hears_its_timeout(executor: LocalExecutor, tmp_path: Path) -> None:
    task = make_task(tmp_path / "a", "yes | head -c 8000000000", timeout_s=0.5)
    submitted = Submitted()
    executor.submit(task, TaskWatch(submitted.handles.append, submitted._ended, lambda _: None))
    assert submitted.wait().timed_out


def test_closing_ends_what_runs(tmp_path: Path) -> None:
    executor = LocalExecutor(1, scope=str(tmp_path), grace_s=0.5)
    submitted = submit(executor, make_task(tmp_path / "a", "sleep 60"))
    executor.close()
    assert submitted.wait().canceled


def test_a_task_whose_log_cannot_be_written_ends_and_says_why(executor: LocalExecutor, tmp_path: Path) -> None:
    task = make_task(tmp_path / "a", "echo one; sleep 3600", log=Path("/dev/full"), secrets=("hidden",))
    end = submit(executor, task).wait()
    assert not end.ok
    assert "No space left" in end.message
    assert submit(executor, make_task(tmp_path / "b", "true")).wait().ok


LEAVERS = {
    "a session of its own": "setsid sleep {n} &",
    "a session of its own, no variables": "env -i setsid sleep {n} </dev/null >/dev/null 2>&1 &",
    "a daemon of Python's": f"{sys.executable} -c \"import subprocess; subprocess.Popen(['sleep', '{{n}}'], start_new_session=True)\"",
    "a daemon's child": "setsid bash -c 'sleep {n} & wait' &",
}
ENDS = {
    "completed": ("sleep 0.2", TaskEnd(0)),
    "failed": ("sleep 0.2; exit 3", TaskEnd(3)),
    "timed out": ("sleep 60", TaskEnd(-15, timed_out=True)),
    "canceled": ("sleep 60", TaskEnd(-15, canceled=True)),
}


def unusual() -> str:
    """Seconds nobody else sleeps, by which a process is known again."""
    return str(random.SystemRandom().randrange(10**6, 10**8))


def sleepers(number: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [path.parent.name] if path.read_bytes() == f"sleep\0{number}\0".encode() else []
    return found


@pytest.mark.parametrize("leaver", LEAVERS)
@pytest.mark.parametrize("ending", ENDS)
def test_nothing_that_left_the_steps_session_outlives_the_step(
    executor: LocalExecutor, tmp_path: Path, leaver: str, ending: str
) -> None:
    number = unusual()
    rest, expected = ENDS[ending]
    timeout_s = 0.5 if ending == "timed out" else None
    task = make_task(tmp_path / "a", f"{LEAVERS[leaver].format(n=number)} {rest}", timeout_s=timeout_s)
    if LEAVERS[leaver].endswith('"'):
        task = replace(task, command=f"{LEAVERS[leaver].format(n=number)}; {rest}")
    submitted = submit(executor, task)
    if ending == "canceled":
        until(lambda: sleepers(number))
        executor.cancel(task.ticket)
    end = submitted.wait()
    assert (end.exit_code, end.timed_out, end.canceled) == (expected.exit_code, expected.timed_out, expected.canceled)
    assert not sleepers(number)


def test_what_left_the_session_is_asked_politely_and_then_killed(executor: LocalExecutor, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    polite = f"setsid bash -c \"trap 'echo bye; exit' TERM; touch {one}; sleep 3600 & wait\" &"
    stubborn = f"setsid bash -c \"trap '' TERM; echo deaf; touch {two}; while true; do sleep 0.1; done\" &"
    task = make_task(tmp_path / "a", f"{polite} {stubborn} {awaiting(one)}; {awaiting(two)}")
    assert submit(executor, task).wait().ok
    assert sorted(task.log.read_text().splitlines()) == ["bye", "deaf"]


def test_the_end_of_one_task_leaves_what_another_started_alone(executor: LocalExecutor, tmp_path: Path) -> None:
    up, gate, over = (tmp_path / name for name in ("up", "gate", "over"))
    daemon = f"setsid bash -c 'touch {up}; {awaiting(gate)}; echo lives; touch {over}' & {awaiting(over)}"
    long = submit(executor, task := make_task(tmp_path / "long", daemon))
    until(up.exists)
    submit(executor, make_task(tmp_path / "short", "setsid sleep 3600 & exit 3")).wait()
    gate.touch()
    assert long.wait().ok
    assert task.log.read_text() == "lives\n"


def test_daemons_of_a_step_that_end_on_their_own_are_not_kept_as_zombies(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TIDY_S", 0.05)
    gate, left = tmp_path / "gate", tmp_path / "left"
    daemons = f"for i in 1 2 3; do (setsid bash -c 'echo . >> {left}' &); done; {awaiting(gate)}"
    submitted = submit(executor, make_task(tmp_path / "a", daemons))
    until(lambda: left.exists() and len(left.read_text().splitlines()) == 3)
    until(lambda: not zombies())
    gate.touch()
    assert submitted.wait().ok


def awaiting(file: Path) -> str:
    return f"while [ ! -e {file} ]; do sleep 0.05; done"


def zombies() -> list[int]:
    """Adopted from tasks, and buried by nobody."""
    found = []
    for child in descent.tagged_children():
        with contextlib.suppress(OSError):
            found += [child] if "\nState:\tZ" in Path(f"/proc/{child}/status").read_text() else []
    return found


@pytest.mark.parametrize("leaver", LEAVERS)
def test_nothing_outlives_a_run_killed_in_the_moment_it_starts_something(tmp_path: Path, leaver: str) -> None:
    number = unusual()
    killed = KILLED.replace("executor =", "local.Watchdog.watch = lambda *_: threading.Event().wait()\nexecutor =")
    driver = proc.start(
        [sys.executable, "-c", killed, str(tmp_path), f"{LEAVERS[leaver].format(n=number)}\nsleep 3600"]
    )
    until(lambda: sleepers(number))
    driver.kill()
    driver.wait()
    until(lambda: not sleepers(number))


KILLED = """
import sys, threading
from pathlib import Path
from tidemill.backends.executors import local
from tidemill.backends.executors.local import LocalExecutor
from tidemill.testing.executors import make_task, submit
executor = LocalExecutor(1, scope=sys.argv[1])
submit(executor, make_task(Path(sys.argv[1]) / "a", sys.argv[2])).wait()
"""


@pytest.mark.parametrize("leaver", LEAVERS)
def test_nothing_that_left_the_steps_session_outlives_a_run_killed_by_force(tmp_path: Path, leaver: str) -> None:
    number = unusual()
    command = f"{LEAVERS[leaver].format(n=number)}\nsleep 60"
    driver = proc.start([sys.executable, "-c", KILLED, str(tmp_path), command])
    until(lambda: sleepers(number))
    driver.kill()
    driver.wait()
    until(lambda: not sleepers(number))
