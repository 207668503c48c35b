"""What every `Executor` promises: inherit, provide an `executor` fixture, and get these tests."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tidemill.base.ids import JobName, StepName
from tidemill.plan.graph import Resources
from tidemill.run.ports import Executor, PreparedEnvironment, Task, TaskEnd, TaskWatch, Ticket

PATIENCE_S = 60.0


@dataclass(slots=True)
class Submitted:
    """A task on its way: what was heard of it."""

    over: threading.Event = field(default_factory=threading.Event)
    ends: list[TaskEnd] = field(default_factory=list)
    handles: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def watch(self, *, lines: bool = False) -> TaskWatch:
        """What to hand to the executor."""
        return TaskWatch(self.handles.append, self._ended, self.lines.append if lines else None)

    def _ended(self, end: TaskEnd) -> None:
        self.ends.append(end)
        self.over.set()

    def wait(self) -> TaskEnd:
        """The task's end."""
        assert self.over.wait(PATIENCE_S), "the task did not end"
        return self.ends[0]


def make_task(folder: Path, command: str, **more: object) -> Task:
    """A task with a folder of its own."""
    cwd = folder / "cwd"
    cwd.mkdir(parents=True, exist_ok=True)
    (folder / "outputs").mkdir(exist_ok=True)
    values: dict[str, object] = {
        "ticket": Ticket(f"job/{folder.name}"),
        "job": JobName("job"),
        "step": StepName(folder.name),
        "folder": folder,
        "cwd": cwd,
        "command": command,
        "env": {"PATH": os.environ["PATH"], "GREETING": "hello"},
        "log": folder / "log.txt",
        "environment": PreparedEnvironment(Path(sys.executable)),
        "resources": Resources(),
        "writes": (folder / "outputs",),
    }
    return Task(**values | more)  # type: ignore[arg-type]  # values of a test


def submit(executor: Executor, task: Task, *, lines: bool = False) -> Submitted:
    """Submit and listen."""
    submitted = Submitted()
    executor.submit(task, submitted.watch(lines=lines))
    return submitted


class ExecutorContract:
    """Each test gets a fresh `executor`."""

    def test_a_command_runs_in_bash_in_its_folder(self, executor: Executor, tmp_path: Path) -> None:
        task = make_task(tmp_path / "a", 'echo "$GREETING" | tr a-z A-Z > ../outputs/x && pwd')
        assert submit(executor, task).wait().ok
        assert (tmp_path / "a" / "outputs" / "x").read_text() == "HELLO\n"
        assert task.log.read_text().strip().endswith("a/cwd")

    def test_both_streams_reach_the_log_and_whoever_listens(self, executor: Executor, tmp_path: Path) -> None:
        task = make_task(tmp_path / "a", "echo out; echo err >&2; printf 'no end'")
        submitted = submit(executor, task, lines=True)
        submitted.wait()
        assert sorted(submitted.lines) == ["err", "no end", "out"]
        assert sorted(task.log.read_text().splitlines()) == ["err", "no end", "out"]

    def test_a_failure_has_its_exit_code(self, executor: Executor, tmp_path: Path) -> None:
        end = submit(executor, make_task(tmp_path / "a", "exit 7")).wait()
        assert (end.exit_code, end.ok) == (7, False)

    def test_a_timeout_ends_the_task_and_says_so(self, executor: Executor, tmp_path: Path) -> None:
        end = submit(executor, make_task(tmp_path / "a", "sleep 60", timeout_s=0.5)).wait()
        assert end.timed_out
        assert not end.ok

    def test_a_canceled_task_ends_and_says_so(self, executor: Executor, tmp_path: Path) -> None:
        task = make_task(tmp_path / "a", "sleep 60")
        submitted = submit(executor, task)
        executor.cancel(task.ticket)
        executor.cancel(task.ticket)
        assert submitted.wait().canceled

    def test_canceling_what_is_not_there_is_nothing(self, executor: Executor) -> None:
        executor.cancel(Ticket("nobody"))

    def test_several_processes_know_who_they_are(self, executor: Executor, tmp_path: Path) -> None:
        processes: tuple[Mapping[str, str], ...] = ({"RANK": "0"}, {"RANK": "1"})
        task = make_task(tmp_path / "a", "touch ../outputs/$RANK", processes=processes)
        assert submit(executor, task).wait().ok
        assert sorted(p.name for p in (tmp_path / "a" / "outputs").iterdir()) == ["0", "1"]

    def test_when_one_process_fails_the_others_end_too(self, executor: Executor, tmp_path: Path) -> None:
        processes: tuple[Mapping[str, str], ...] = ({"RANK": "0"}, {"RANK": "1"})
        started = time.monotonic()
        end = submit(
            executor, make_task(tmp_path / "a", "test $RANK = 0 && sleep 60; exit 3", processes=processes)
        ).wait()
        assert end.exit_code == 3
        assert time.monotonic() - started < PATIENCE_S / 2

    def test_a_secret_never_reaches_the_log(self, executor: Executor, tmp_path: Path) -> None:
        task = make_task(tmp_path / "a", "echo token=s3cr3t", secrets=("s3cr3t",))
        submit(executor, task).wait()
        assert task.log.read_text() == "token=***\n"

    def test_a_handle_is_told_and_reaping_an_ended_task_finds_nothing(self, executor: Executor, tmp_path: Path) -> None:
        submitted = submit(executor, make_task(tmp_path / "a", "true"))
        submitted.wait()
        assert submitted.handles
        assert executor.reap(JobName("job"), submitted.handles) == 0


class GrowingFilesContract:
    """For executors that bring back what a task measures while it runs; Azure ML's keeps that itself."""

    def test_a_file_that_grows_is_here_while_the_task_runs_and_goes_on_where_it_was(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        grown = tmp_path / "a" / "trials" / "lines"
        grown.parent.mkdir(parents=True)
        grown.write_text("old\n")
        task = make_task(
            tmp_path / "a",
            "cp ../trials/lines ../outputs/had; echo {} > ../mlflow-run.json; echo new >> ../trials/lines; sleep 60",
            grows=(grown,),
        )
        submitted = submit(executor, task)
        deadline = time.monotonic() + PATIENCE_S
        while grown.read_text() != "old\nnew\n":
            assert time.monotonic() < deadline, grown.read_text()
            time.sleep(0.02)
        assert (tmp_path / "a" / "mlflow-run.json").read_text() == "{}\n"
        executor.cancel(task.ticket)
        assert submitted.wait().canceled
        assert (tmp_path / "a" / "mlflow-run.json").read_text() == "{}\n"
        assert grown.read_text() == "old\nnew\n"
        assert (tmp_path / "a" / "outputs" / "had").read_text() == "old\n"
