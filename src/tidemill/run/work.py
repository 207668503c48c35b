"""The seam for kinds of steps: what a `StepRunner` is given and what it gives back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tidemill.base.errors import FailedError
from tidemill.base.failpoint import failpoint
from tidemill.base.findings import Finding
from tidemill.plan.graph import Step
from tidemill.run.context import RunContext
from tidemill.run.events import StepPreparing, StepStarted
from tidemill.run.folders import StepFolder
from tidemill.run.ports import Task, TaskEnd, TaskWatch
from tidemill.run.reuse import Identity
from tidemill.run.staging import Source
from tidemill.run.state import Status


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended; outputs are collected from its folder afterwards if it completed."""

    status: Status
    exit_code: int | None = None
    message: str = ""
    usage: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True, eq=False)
class StepWork:
    """One step to run: everything resolved, its folder empty."""

    context: RunContext
    step: Step
    folder: StepFolder
    sources: Mapping[str, Source]
    identity: Identity
    reason: str
    holds_slot: bool = True

    def say(self, note: str) -> None:
        """Tell what the step is waiting for."""
        self.context.emit(StepPreparing(self.context.job, self.context.now(), step=self.step.name, note=note))

    def started(self, handle: str = "") -> None:
        """State that the step runs."""
        context = self.context
        context.emit(
            StepStarted(
                context.job,
                context.now(),
                step=self.step.name,
                key=self.identity.key,
                reason=self.reason,
                handle=handle,
            )
        )
        failpoint("step-started")

    def run_task(self, task: Task, started: Callable[[str], None] | None = None) -> TaskEnd:
        """Run a task to its end on the executor of its compute, taking a slot unless the step holds one already."""
        if self.holds_slot:
            return run_task(self.context, task, started or self.started)
        with self.context.slots:
            end = run_task(self.context, task, started or self.started)
        self.context.wake()
        return end


StepRunner = Callable[[StepWork], StepEnd]


def run_task(context: RunContext, task: Task, started: Callable[[str], None]) -> TaskEnd:
    """Run a task to its end and wait; a canceled run cancels it."""
    name = context.ports.place_compute(task.compute)
    executor = context.ports.executors.get(name)
    if executor is None:
        raise FailedError(f"No executor `{name}` is set up for compute `{task.compute}`")
    over = threading.Event()
    ends: list[TaskEnd] = []

    def ended(end: TaskEnd) -> None:
        ends.append(end)
        over.set()

    if context.canceled.is_set():
        return TaskEnd(None, canceled=True)
    observers = context.ports.log_observers

    def wrote(line: str) -> None:
        for observer in observers:
            observer.wrote(task.step, line)

    with context.cancelling(lambda: executor.cancel(task.ticket)):
        executor.submit(task, TaskWatch(started, ended, wrote if observers else None))
        if context.canceled.is_set():
            executor.cancel(task.ticket)
        over.wait()
    return ends[0]
