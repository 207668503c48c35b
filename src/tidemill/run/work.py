"""The seam for kinds of steps: what a `StepRunner` is given and what it gives back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import field, replace

from tidemill.base.errors import FailedError
from tidemill.base.failpoint import failpoint
from tidemill.base.findings import Finding
from tidemill.base.frozen import frozen, slotted
from tidemill.base.wanted import wanted_until
from tidemill.plan.graph import EnvironmentRef, Step
from tidemill.run.abilities import OwnEnvironments
from tidemill.run.context import RunContext
from tidemill.run.events import RunEvent, StepPreparing, StepStarted
from tidemill.run.folders import StepFolder
from tidemill.run.notice import notice_relaxed
from tidemill.run.ports import LOCAL, PreparedEnvironment, Task, TaskEnd, TaskWatch, Ticket
from tidemill.run.reuse import Identity
from tidemill.run.slots import share_of
from tidemill.run.staging import Source
from tidemill.run.state import Status


@frozen
class StepEnd:
    """How a step ended; outputs are collected from its folder afterwards if it completed.

    `metrics` are given by a step that does not log any itself.
    """

    status: Status
    exit_code: int | None = None
    message: str = ""
    usage: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    metrics: Mapping[str, float] | None = None


@slotted
class Stop:
    """A wish to end one step and nothing else, with the reason."""

    asked: threading.Event = field(default_factory=threading.Event)
    reason: str = ""

    def ask(self, reason: str) -> None:
        """Nothing of the step starts any more; what runs has to be canceled beside."""
        self.reason = self.reason or reason
        self.asked.set()


@slotted
class StepWork:
    """One step to run: everything resolved, its folder empty."""

    context: RunContext
    step: Step
    folder: StepFolder
    sources: Mapping[str, Source]
    identity: Identity
    reason: str
    drive_part: Callable[[Step, Stop], RunEvent]
    holds_slot: bool = True
    stop: Stop = field(default_factory=Stop)

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

    def prepare(self, elsewhere: EnvironmentRef | None = None) -> PreparedEnvironment:
        """The step's environment, made ready where the step will run; another one where this machine's are of no use."""
        context, step = self.context, self.step
        executor = context.ports.executors.get(context.ports.place_compute(step.compute))
        own = isinstance(executor, OwnEnvironments)
        maker = executor if isinstance(executor, OwnEnvironments) else context.ports.environments
        with wanted_until(context.canceled.is_set):
            prepared = maker.prepare(elsewhere if own and elsewhere else step.environment, self.say)
        if prepared.relaxed:
            context.raise_finding(notice_relaxed(step, prepared.relaxed), step.name)
        return prepared

    def run_task(self, task: Task, started: Callable[[str], None] | None = None) -> TaskEnd:
        """Run a task to its end on the executor of its compute, taking slots besides the one the step may hold.

        On this machine a task takes as many as it may keep busy, and GPUs of its own; elsewhere the cluster shares out.
        """
        context, begun = self.context, started or self.started
        here = context.ports.place_compute(task.compute) == LOCAL
        share = share_of(task.resources, len(task.processes)) if here else 1
        gpus = int(task.resources.gpus * task.resources.instance_count) if here else 0
        with ExitStack() as held:
            if gpus:
                names = held.enter_context(context.gpus.hold(gpus, self._is_over))
                task = replace(task, env={**task.env, "CUDA_VISIBLE_DEVICES": ",".join(names)})
            if not self.holds_slot:
                context.slots.acquire()
                held.callback(self._let_go)
            with context.slots.more(1, share):
                end = run_task(context, task, begun, self.stop)
        if share > 1:
            context.wake()
        return end

    @contextmanager
    def slots(self, wanted: int) -> Iterator[int]:
        """One slot, waited for, and as many more as are free now, up to what the step wants: how many there are."""
        slots, taken = self.context.slots, 1
        slots.acquire()
        self.holds_slot = True
        try:
            while taken < wanted and slots.acquire(blocking=False):
                taken += 1
            yield taken
        finally:
            for _ in range(taken):
                slots.release()
            self.context.wake()

    def _is_over(self) -> bool:
        return self.context.canceled.is_set() or self.stop.asked.is_set()

    def _let_go(self) -> None:
        self.context.slots.release()
        self.context.wake()


StepRunner = Callable[[StepWork], StepEnd]


def ticket_of(context: RunContext, step: Step) -> Ticket:
    """What names the step's task to executors."""
    return Ticket(f"{context.job}/{step.name}")


def stop_step(context: RunContext, step: Step, stop: Stop, reason: str) -> None:
    """End one step: politely if it runs, before it starts if it waits."""
    stop.ask(reason)
    executor = context.ports.executors.get(context.ports.place_compute(step.compute))
    if executor is not None:
        executor.cancel(ticket_of(context, step))


def run_task(context: RunContext, task: Task, started: Callable[[str], None], stop: Stop) -> TaskEnd:
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

    if context.canceled.is_set() or stop.asked.is_set():
        return TaskEnd(None, canceled=True)
    observers = context.ports.log_observers

    def wrote(line: str) -> None:
        for observer in observers:
            observer.wrote(task.step, line)

    with context.cancelling(lambda: executor.cancel(task.ticket)):
        executor.submit(task, TaskWatch(started, ended, wrote if observers else None))
        if context.canceled.is_set() or stop.asked.is_set():
            executor.cancel(task.ticket)
        over.wait()
    return ends[0]
