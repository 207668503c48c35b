"""The loop that drives a plan: starts what may start, hears what ended, states the facts in order."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

from tidemill.base import proc
from tidemill.base.errors import FailedError, InterruptedRun
from tidemill.base.failpoint import failpoint
from tidemill.base.ids import JobName, StepName
from tidemill.plan.graph import Plan, Step
from tidemill.run.automl_needs import require_automl
from tidemill.run.context import RunContext, RunOptions
from tidemill.run.drive import drive
from tidemill.run.events import JobCreated, JobFinished, JobResumed, RunEvent, StepFinished
from tidemill.run.job import JobView
from tidemill.run.kinds import CONTROL
from tidemill.run.messages import Ended, Interrupt, Message, Spared, Told, signals_to
from tidemill.run.ports import RunPorts
from tidemill.run.result import JobResult, make_result
from tidemill.run.scheduler import Scheduler
from tidemill.run.slots import Gpus, Slots
from tidemill.run.state import BEFORE_RESUME, Status, job_status

MAX_THREADS = 256
LOOK_S = 1.0
SPARED_AT_ONCE = 32


def execute(plan: Plan, *, job: JobName, ports: RunPorts, options: RunOptions | None = None) -> JobResult:
    """Run the plan as `job` to its end; every fact goes to the observers, every child is gone when this returns.

    Ctrl-C, SIGTERM and SIGHUP cancel what runs, record it, and raise `InterruptedRun`. With `options.resume` the job is
    taken up again: steps that completed under the same key are not run. A job another process drives is a
    `ConflictError`.
    """
    with ports.locks.job(job):
        return execute_held(plan, job=job, ports=ports, options=options)


def execute_held(plan: Plan, *, job: JobName, ports: RunPorts, options: RunOptions | None = None) -> JobResult:
    """As `execute`, for who holds the job's lock already: what `options` say of it cannot have changed since."""
    require_automl(plan, ports)
    with ports.artifacts.in_use():
        run = _Run(plan, job, ports, options or RunOptions())
        with signals_to(run.inbox):
            return run.to_end()


class _Run:
    """One run of a plan, from the first fact to the last."""

    def __init__(self, plan: Plan, job: JobName, ports: RunPorts, options: RunOptions) -> None:
        self.plan = plan
        self.job = job
        self.ports = ports
        self.options = options
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.interrupted = False
        self.closing = threading.Event()
        self.turn = threading.Lock()  # for who asks or tells the scheduler
        self.view = JobView(job)
        self.steps = {s.name: s for s in plan.steps}
        self.slots = Slots(self._count_slots())
        self.context = RunContext(
            plan,
            job,
            ports,
            options,
            emit=self.inbox.put,
            settle=self._settle,
            wake=lambda: self.inbox.put(None),
            slots=self.slots,
            gpus=Gpus(ports.gpus),
        )
        self.scheduler = Scheduler({s.name: s.depends_on for s in plan.steps}, keep_going=self._keep_going())

    def to_end(self) -> JobResult:
        """Drive the plan until nothing is left to do."""
        self._begin()
        with ThreadPoolExecutor(MAX_THREADS, "step") as pool:
            try:
                self._loop(pool)
            finally:
                self.closing.set()
                self.context.cancel()
        self._finish()
        if self.interrupted:
            raise InterruptedRun(
                f"Job {self.job} was interrupted", hint=f"Take it up again with: tidemill job resume {self.job}"
            )
        return make_result(self.view, self.context.folder)

    def _count_slots(self) -> int:
        executor = self.ports.executors.get(self.ports.place_compute(self.plan.settings.default_compute))
        slots = executor.slots if executor else os.cpu_count() or 1
        return max(1, self.options.parallel or slots)

    def _keep_going(self) -> bool:
        wish = self.options.continue_on_step_failure
        return self.plan.settings.continue_on_step_failure if wish is None else wish

    def _begin(self) -> None:
        owner = f"{os.getpid()}:{proc.started_at(os.getpid())}"
        created = JobCreated(
            self.job,
            self.context.now(),
            display_name=self.plan.display_name,
            experiment_name=self.plan.experiment_name,
            type=self.plan.type,
            description=self.plan.description,
            source=str(self.plan.source),
            steps=tuple(_about(s) for s in self.plan.steps),
            inputs=self.plan.inputs,
            tags=self.plan.tags,
            properties=self.plan.properties,
            request=self.options.request,
            owner=owner,
        )
        if self.options.resume is None:
            self._state([created])
        else:
            self.view.apply(created)
            self._state([JobResumed(self.job, self.context.now(), owner=owner)])
        failpoint("job-created")

    def _state(self, events: Sequence[RunEvent]) -> None:
        """Make facts known: to the job's own view and to every observer."""
        if not events:
            return
        for event in events:
            self.view.apply(event)
        for observer in self.ports.observers:
            observer.saw(events)

    def _loop(self, pool: ThreadPoolExecutor) -> None:
        self._start(pool)
        while not self.scheduler.is_done:
            self._hear()
            self._start(pool)

    def _start(self, pool: ThreadPoolExecutor) -> None:
        """Start every step that may start and for which there is a slot."""
        while self.slots.acquire(blocking=False):
            step = self._take(pool)
            if step is None:
                self.slots.release()
                return
            pool.submit(self._work, pool, step)

    def _take(self, pool: ThreadPoolExecutor) -> Step | None:
        """The next step that may start and needs a slot; those before it that need none are started."""
        while True:
            with self.turn:
                name = None if self.closing.is_set() else self.scheduler.take()
            step = None if name is None else self.steps[StepName(name)]
            if step is None or step.kind not in CONTROL:
                return step
            pool.submit(self._work, pool, step)

    def _work(self, pool: ThreadPoolExecutor, step: Step) -> None:
        """In a thread: a step to its end. As long as earlier results stand for them, the steps after it too.

        That spares the loop a round for each of a thousand steps that have not changed.
        """
        spared: list[Spared] = []
        has_slot = step.kind not in CONTROL  # and keeps it from step to step
        at: Step | None = step
        while at is not None and self._bring_to_end(at, spared):
            at = self._go_on(pool, spared) if has_slot else None
            if at is None and has_slot:
                self.slots.release()
        self.context.looks.leave()
        self._tell(spared)
        self.inbox.put(None)

    def _bring_to_end(self, step: Step, spared: list[Spared]) -> bool:
        """Drive one step; whether nothing had to run for it. The slot of one that ran is free afterwards.

        The key of one that ran stays locked until its end is recorded, so that others can reuse it.
        """
        event: RunEvent | None = None
        error: BaseException | None = None
        with ExitStack() as held:
            try:
                event = drive(self.context, step, held)
            except BaseException as exc:  # noqa: BLE001 - told to the loop, which raises it
                error = exc
            if error is None and not isinstance(event, StepFinished):
                spared.append(Spared(step.name, event))
                return True
            self.context.looks.leave()
            self._tell(spared)
            if step.kind not in CONTROL:
                self.slots.release()
            recorded = threading.Event()
            self.inbox.put(Ended(step.name, event, recorded, error))
            while not recorded.wait(LOOK_S) and not self.closing.is_set():
                pass
        return False

    def _go_on(self, pool: ThreadPoolExecutor, spared: list[Spared]) -> Step | None:
        """The next step for a thread that has a slot; what it spared is told when there is none, or much of it."""
        step = self._take(pool) if len(spared) < SPARED_AT_ONCE else None
        if step is None:
            self._tell(spared)
            step = self._take(pool)
        return step

    def _tell(self, spared: list[Spared]) -> None:
        """Have the ends of steps recorded, before what waits for them may start."""
        for end in spared:
            self.inbox.put(end)
        with self.turn:
            for end in spared:
                self.scheduler.ended(end.step, Status.COMPLETED)
        spared.clear()

    def _settle(self, event: RunEvent) -> None:
        """In a thread: state a fact and wait until it is recorded."""
        told = Told(event, threading.Event())
        self.inbox.put(told)
        while not told.recorded.wait(LOOK_S):
            if self.closing.is_set():
                raise FailedError("The job ended before this was recorded")

    def _hear(self) -> None:
        """Wait for something to happen, then take in all that has, as one batch."""
        batch: list[RunEvent] = []
        ended: list[Ended] = []
        waiting: list[threading.Event] = []
        message = self._next()
        while True:
            if isinstance(message, Interrupt):
                self._interrupt()
            elif message is not None:
                batch += self._facts(message)
                ended += [message] if isinstance(message, Ended) else []
                waiting += [message.recorded] if isinstance(message, Ended | Told) else []
            if self.inbox.empty():
                break
            message = self.inbox.get()
        self._state(batch)
        failpoint("step-recorded")
        for recorded in waiting:
            recorded.set()
        self._account(ended)

    def _next(self) -> Message:
        """The next message. A signal that the system gives to another thread wakes nobody here, so look up now and then."""
        while True:
            with suppress(queue.Empty):
                return self.inbox.get(timeout=LOOK_S)

    def _facts(self, message: RunEvent | Ended | Told | Spared) -> Sequence[RunEvent]:
        """What a message makes known."""
        if isinstance(message, RunEvent):
            return [message]
        if message.event is not None:
            return [message.event]
        if isinstance(message, Spared):
            self._recall(message.step)
        return []

    def _account(self, ended: Sequence[Ended]) -> None:
        for end in ended:
            if end.error:
                raise end.error
            with self.turn:
                skipped = self.scheduler.ended(end.step, getattr(end.event, "status", Status.COMPLETED))
            self._skip(skipped)

    def _recall(self, name: StepName) -> None:
        """Show a step that completed before the job was resumed as what it is."""
        past = (self.options.resume or {})[name]
        step = self.view.steps[name]
        step.status, step.outputs, step.metrics, step.key = Status.COMPLETED, past.outputs, past.metrics, past.key
        step.exit_code, step.reason = 0, BEFORE_RESUME

    def _interrupt(self) -> None:
        """End everything; the loop then waits until it has ended. A second Ctrl-C changes nothing."""
        if not self.interrupted:
            self.interrupted = True
            with self.turn:
                skipped = self.scheduler.stop("not started: the job was canceled")
            self._skip(skipped)
            self.context.cancel()

    def _skip(self, skipped: Sequence[tuple[str, str]]) -> None:
        now = self.context.now()
        self._state(
            [
                StepFinished(self.job, now, step=StepName(name), status=Status.CANCELED, message=reason)
                for name, reason in skipped
            ]
        )

    def _finish(self) -> None:
        self._state(list(self._rest()))
        status = Status.CANCELED if self.interrupted else job_status([self.view.steps[n].status for n in self.steps])
        outputs = self._link_outputs() if status is Status.COMPLETED else {}
        failed = [n for n in self.steps if self.view.steps[n].status is Status.FAILED]
        message = f"failed: {', '.join(failed)}" if failed else ""
        self._state([JobFinished(self.job, self.context.now(), status=status, outputs=outputs, message=message)])
        failpoint("job-ended")

    def _rest(self) -> Iterator[RunEvent]:
        while not self.inbox.empty():
            message = self.inbox.get()
            if isinstance(message, RunEvent | Spared):
                yield from self._facts(message)

    def _link_outputs(self) -> dict[str, str]:
        """`jobs/<job>/outputs/<name>` for each of the pipeline's outputs."""
        refs: dict[str, str] = {}
        folder = self.context.folder
        for name, binding in self.plan.outputs.items():
            ref = self.context.outputs.get(binding.step, {}).get(binding.output)
            if ref is None:
                continue
            refs[name] = ref
            folder.outputs.mkdir(parents=True, exist_ok=True)
            link = folder.outputs / name
            link.unlink(missing_ok=True)
            link.symlink_to(folder.step(binding.step).outputs / binding.output)
        return refs


def _about(step: Step) -> dict[str, object]:
    about: dict[str, object] = {"name": step.name, "kind": str(step.kind)}
    optional = {
        "display_name": step.display_name,
        "component": step.component,
        "compute": step.compute,
        "environment": step.environment.label,
        "depends_on": sorted(step.depends_on),
    }
    return about | {k: v for k, v in optional.items() if v}
