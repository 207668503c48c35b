"""The local executor keeps the promises of executors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tidemill.backends.executors.local import LocalExecutor
from tidemill.testing.executors import ExecutorContract, make_task, submit


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    with closing(LocalExecutor(2, scope=str(tmp_path), grace_s=0.5)) as found:
        yield found


class TestLocalExecutor(ExecutorContract):
    """All of them."""


def test_what_a_command_leaves_in_the_background_ends_with_it(executor: LocalExecutor, tmp_path: Path) -> None:
    started = time.monotonic()
    assert submit(executor, make_task(tmp_path / "a", "sleep 60 & echo done")).wait().ok
    assert time.monotonic() - started < 5


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


def test_closing_ends_what_runs(tmp_path: Path) -> None:
    executor = LocalExecutor(1, scope=str(tmp_path), grace_s=0.5)
    submitted = submit(executor, make_task(tmp_path / "a", "sleep 60"))
    executor.close()
    assert submitted.wait().canceled


def test_a_task_whose_log_cannot_be_written_ends_and_says_why(executor: LocalExecutor, tmp_path: Path) -> None:
    task = make_task(tmp_path / "a", "echo one; sleep 60", log=Path("/dev/full"), secrets=("hidden",))
    started = time.monotonic()
    end = submit(executor, task).wait()
    assert not end.ok
    assert "No space left" in end.message
    assert time.monotonic() - started < 30
    assert submit(executor, make_task(tmp_path / "b", "true")).wait().ok
