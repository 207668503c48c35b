"""What all steps of one run share: ports, memory of what was hashed, and a place to state facts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any

from tidemill.base.clock import Clock, SystemClock, iso
from tidemill.base.errors import FailedError
from tidemill.base.findings import Finding
from tidemill.base.frozen import frozen, slotted
from tidemill.base.hashing import hash_folder
from tidemill.base.ids import JobName, StepName
from tidemill.base.wanted import wanted_until
from tidemill.plan.graph import DataRef, Plan, Step
from tidemill.run.events import FindingRaised, RunEvent, StepKept
from tidemill.run.folders import JobFolder, job_folder
from tidemill.run.ports import RunPorts, Say
from tidemill.run.retry import Retry
from tidemill.run.slots import Gpus, Slots
from tidemill.run.snapshot import Snapshot, take_snapshot
from tidemill.run.staging import Source
from tidemill.run.turns import Turns

COPY_BELOW_BYTES = 256 << 20


@frozen
class PastStep:
    """A step of before this job was resumed.

    One that is not `completed` was ended early on purpose, or had done its work, and what it gave is `kept`.
    """

    key: str
    outputs: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    completed: bool = True
    kept: StepKept | None = None


@frozen
class RunOptions:
    """How to run. `resume` is what completed before, and only given when the job is taken up again.

    `left` has what killed runs started and what may have gone on without them, by the keys of the steps it was for.
    `secrets` are masked in logs. `request` is kept with the job: what it takes to plan it again. Local data smaller
    than `copy_below_bytes` is copied into the store, so that no step can touch the user's files; larger data is linked.
    """

    force: bool = False
    parallel: int | None = None
    continue_on_step_failure: bool | None = None
    resume: Mapping[str, PastStep] | None = None
    left: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    copy_below_bytes: int = COPY_BELOW_BYTES
    retry: Retry = field(default_factory=Retry)


Emit = Callable[[RunEvent], None]


@slotted
class RunContext:
    """The state of one run. Safe to use from the threads of its steps.

    `emit` states a fact; `settle` returns when it is recorded.
    """

    plan: Plan
    job: JobName
    ports: RunPorts
    options: RunOptions
    emit: Emit
    settle: Emit
    wake: Callable[[], None]
    slots: Slots
    gpus: Gpus
    clock: Clock = field(default_factory=SystemClock)
    canceled: threading.Event = field(default_factory=threading.Event)
    looks: Turns = field(default_factory=Turns)
    outputs: dict[StepName, Mapping[str, str]] = field(default_factory=dict)
    metrics: dict[StepName, Mapping[str, float]] = field(default_factory=dict)
    _cancels: set[Callable[[], None]] = field(default_factory=set)
    _once: dict[object, Any] = field(default_factory=dict)
    _locks: dict[object, threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def folder(self) -> JobFolder:
        """Where the job lies."""
        return job_folder(self.ports.home, self.job)

    def now(self) -> str:
        """The time, as events state it."""
        return iso(self.clock.now())

    def run_id(self, step: StepName | str) -> str:
        """The name of a step's own job: the job's for a job of one command, and `<job>_0` for a trial of that."""
        if self.plan.type == "pipeline":
            return f"{self.job}.{step}"
        return self.job + step.removeprefix(self.plan.steps[0].name)

    def note(self, step: StepName, outputs: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        """Remember what a step gave, for the steps after it."""
        self.outputs[step] = outputs
        self.metrics[step] = metrics

    def raise_finding(self, finding: Finding, step: StepName | None = None) -> None:
        """State something noticed."""
        self.emit(FindingRaised(self.job, self.now(), step=step, finding=finding.as_record()))

    def snapshot(self, step: Step) -> tuple[Snapshot | None, str]:
        """The step's code and its ref; a folder many steps share is read once."""
        if step.code is None:
            return None, ""
        code = step.code

        def take() -> tuple[Snapshot, str]:
            with self.ports.stamps(code) as stamps:
                snapshot = take_snapshot(code, step.additional_includes, stamps, self.canceled.is_set)
            return snapshot, self.ports.artifacts.remember(snapshot.entries)

        found: tuple[Snapshot, str] = self.once(("code", code, step.additional_includes), take)
        return found

    def data(self, ref: DataRef, say: Say = lambda _: None, *, writable: bool = False) -> Source:
        """Data from outside, brought here, hashed, and if it is small kept where no step can change it."""
        found: Source = self.once(("data", ref.uri, writable), lambda: self._read_data(ref, say, writable=writable))
        return found

    def _read_data(self, ref: DataRef, say: Say, *, writable: bool) -> Source:
        with wanted_until(self.canceled.is_set):
            path = self.ports.data.fetch(ref, say)
        with self.ports.stamps(path) as stamps:
            only = not path.is_dir()
            root, chosen = (path.parent, [path]) if only else (path, None)
            entries = hash_folder(root, chosen, stamps, self.canceled.is_set)
        if only:
            content, size = f"file:{entries[0].digest}", entries[0].size_bytes
        else:
            content, size = self.ports.artifacts.remember(entries), sum(e.size_bytes for e in entries)
        _check_unchanged(ref, content)
        kept = not writable and size <= self.options.copy_below_bytes
        if kept and not self.ports.artifacts.is_whole(content):
            self.ports.artifacts.keep(path, copy=True)
            kept = self.ports.artifacts.is_whole(content)  # not if it changed meanwhile
        return Source(content, path, only, path.name, kept)

    def has_changed(self, before: Source) -> bool:
        """Whether data that was only to be read is other now than when it was hashed.

        What is kept by content has no right to write, but root and whoever gives himself the right need none; it is
        dropped then, so that whoever needs it next makes it anew.
        """
        if before.kept:
            return not self.ports.artifacts.is_whole(before.ref)
        if before.path is None or before.is_file:
            return False
        with self.ports.stamps(before.path) as stamps:
            entries = hash_folder(before.path, cache=stamps)
        return self.ports.artifacts.remember(entries) != before.ref

    @contextmanager
    def only_one(self, key: str) -> Iterator[None]:
        """Held by one step of that key at a time, in this process and in all others of the workspace."""
        with self.holding(("key", key)), self.ports.locks.step(key, self.canceled.is_set):
            yield

    def once(self, key: object, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever `make` makes
        """The value of `make`, made once per run however many threads ask."""
        with self.holding(key):
            if key not in self._once:
                self._once[key] = make()
            return self._once[key]

    def cancel(self) -> None:
        """Cancel everything under way; nothing new starts."""
        self.canceled.set()
        with self._guard:
            cancels = list(self._cancels)
        for cancel in cancels:
            cancel()

    @contextmanager
    def cancelling(self, cancel: Callable[[], None]) -> Iterator[None]:
        """While the body runs, canceling the run calls `cancel` too."""
        with self._guard:
            self._cancels.add(cancel)
        try:
            yield
        finally:
            with self._guard:
                self._cancels.discard(cancel)

    @contextmanager
    def holding(self, key: object) -> Iterator[None]:
        """Hold the lock of that name while the body runs."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            yield


def _check_unchanged(ref: DataRef, content: str) -> None:
    """A registered version never changes; one whose files did must not pass for what was registered."""
    registered = ref.digest or ""
    if registered.startswith(("folder:", "file:")) and registered != content:
        raise FailedError(
            f"The files of data asset {ref.asset} are no longer what was registered ({ref.uri})",
            hint="Register them as a new version: tidemill data create …",
        )


def step_variables(context: RunContext, step: Step) -> dict[str, str]:
    """What the environment of every process of the step holds besides what its documents say."""
    base = {k: v for k, v in os.environ.items() if k not in _OURS}
    base |= context.options.env
    return base | {
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "AZUREML_RUN_ID": context.run_id(step.name),
        "AZUREML_ROOT_RUN_ID": context.job,
        "AZUREML_EXPERIMENT_NAME": context.plan.experiment_name,
        "AZUREML_RUN_DISPLAY_NAME": step.display_name or step.name,
        "TIDEMILL_JOB": context.job,
        "TIDEMILL_STEP": step.name,
        "TIDEMILL_STATE": str(context.ports.home),
    }


_OURS = frozenset({"VIRTUAL_ENV", "PYTHONHOME", "MLFLOW_RUN_ID", "TIDEMILL_FAILPOINT"})
