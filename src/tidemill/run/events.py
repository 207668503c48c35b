"""The facts a run emits; a job's history is a fold over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, ClassVar

from tidemill.base.frozen import frozen
from tidemill.base.ids import JobName, StepName
from tidemill.run.state import Status


@frozen
class RunEvent:
    """One fact about a job; `at` is UTC in ISO form."""

    kind: ClassVar[str] = ""

    job: JobName
    at: str

    def body(self) -> dict[str, Any]:
        """Everything but job and time, as JSON values."""
        return {name: getattr(self, name) for name in _names(type(self))}


@frozen
class JobCreated(RunEvent):
    """A plan was accepted. `request` is what it takes to plan it again: file, overrides, options."""

    kind: ClassVar[str] = "job_created"

    display_name: str = ""
    experiment_name: str = ""
    type: str = "pipeline"
    description: str = ""
    source: str = ""
    steps: tuple[Mapping[str, Any], ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""


@frozen
class JobResumed(RunEvent):
    """Another process (`owner`) took the job up again."""

    kind: ClassVar[str] = "job_resumed"

    owner: str = ""


@frozen
class JobEdited(RunEvent):
    """Somebody said something else about the job."""

    kind: ClassVar[str] = "job_edited"

    display_name: str = ""
    experiment_name: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@frozen
class JobFinished(RunEvent):
    """The job ended; `outputs` are artifacts by name."""

    kind: ClassVar[str] = "job_finished"

    status: Status = Status.COMPLETED
    outputs: Mapping[str, str] = field(default_factory=dict)
    message: str = ""


@frozen
class StepPreparing(RunEvent):
    """The step waits for something to be made ready; `note` says what."""

    kind: ClassVar[str] = "step_preparing"

    step: StepName = StepName("")
    note: str = ""


@frozen
class StepStarted(RunEvent):
    """The step's process runs. `handle` is how the executor finds it again; `reason` is why it was not reused."""

    kind: ClassVar[str] = "step_started"

    step: StepName = StepName("")
    key: str = ""
    reason: str = ""
    handle: str = ""


@frozen
class StepReused(RunEvent):
    """The step did not run: the same step of `source_job` had these outputs."""

    kind: ClassVar[str] = "step_reused"

    step: StepName = StepName("")
    key: str = ""
    reason: str = ""
    source_job: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@frozen
class StepKept(RunEvent):
    """The step has done its work and its outputs are kept; what is published or registered of them comes next."""

    kind: ClassVar[str] = "step_kept"

    step: StepName = StepName("")
    key: str = ""
    duration_s: float = 0.0
    outputs: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    reusable: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)


@frozen
class StepFinished(RunEvent):
    """The step ended. `parts` explain its `key`; `outputs` are artifacts by name; `usage` is what it took."""

    kind: ClassVar[str] = "step_finished"

    step: StepName = StepName("")
    status: Status = Status.COMPLETED
    exit_code: int | None = None
    duration_s: float = 0.0
    outputs: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    key: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    reusable: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)


@frozen
class StepAdded(RunEvent):
    """A step the plan does not have: a trial of a sweep. `about` says whose it is and what makes it different."""

    kind: ClassVar[str] = "step_added"

    step: StepName = StepName("")
    about: Mapping[str, Any] = field(default_factory=dict)


@frozen
class StepNoted(RunEvent):
    """Something worth keeping about a step, such as which of its trials was the best."""

    kind: ClassVar[str] = "step_noted"

    step: StepName = StepName("")
    properties: Mapping[str, str] = field(default_factory=dict)


@frozen
class FindingRaised(RunEvent):
    """The run noticed something; `finding` is `Finding.as_record()`."""

    kind: ClassVar[str] = "finding_raised"

    step: StepName | None = None
    finding: Mapping[str, Any] = field(default_factory=dict)


EVENTS: Mapping[str, type[RunEvent]] = {
    cls.kind: cls
    for cls in (
        JobCreated, JobResumed, JobEdited, JobFinished, StepPreparing, StepStarted, StepReused, StepKept, StepFinished,
        StepAdded, StepNoted, FindingRaised,
    )
}  # fmt: skip


def _names(cls: type[RunEvent]) -> tuple[str, ...]:
    return _BODY_NAMES[cls]


_BODY_NAMES: Mapping[type[RunEvent], tuple[str, ...]] = {
    cls: tuple(f.name for f in fields(cls) if f.name not in {"job", "at"}) for cls in EVENTS.values()
}


def make_event(kind: str, job: str, at: str, body: Mapping[str, Any]) -> RunEvent | None:
    """The event a store kept; None for a kind this version does not know. Unknown fields are ignored."""
    cls = EVENTS.get(kind)
    if cls is None:
        return None
    values = {name: body[name] for name in _BODY_NAMES[cls] if name in body}
    if "status" in values:
        values["status"] = Status(values["status"])
    if "steps" in values:
        values["steps"] = tuple(values["steps"])
    return cls(job=JobName(job), at=at, **values)
