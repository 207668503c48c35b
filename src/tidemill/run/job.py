"""How a job stands: a fold over its events. Pure; the runner, the store and the screen all use this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from tidemill.base.errors import Location
from tidemill.base.findings import Finding, Severity
from tidemill.base.frozen import slotted
from tidemill.run.events import (
    FindingRaised,
    JobCreated,
    JobEdited,
    JobFinished,
    JobResumed,
    RunEvent,
    StepAdded,
    StepFinished,
    StepKept,
    StepNoted,
    StepPreparing,
    StepReused,
    StepStarted,
)
from tidemill.run.state import Status

StepEvent = StepStarted | StepPreparing | StepReused | StepKept | StepFinished | StepAdded | StepNoted

ENDED_EARLY = "ended_early"


@slotted
class StepView:
    """How one step stands."""

    name: str
    kind: str = "command"
    status: Status = Status.NOT_STARTED
    reused: bool = False
    exit_code: int | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    reason: str = ""
    message: str = ""
    handle: str = ""
    started_at: str | None = None
    ended_at: str | None = None
    duration_s: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)
    source_job: str = ""
    findings: list[Finding] = field(default_factory=list)
    about: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    kept: StepKept | None = None


@slotted
class JobView:
    """How a job stands, step by step in the order of the plan."""

    name: str
    status: Status = Status.NOT_STARTED
    display_name: str = ""
    experiment_name: str = ""
    type: str = "pipeline"
    description: str = ""
    source: str = ""
    created_at: str = ""
    started_at: str | None = None
    ended_at: str | None = None
    steps: dict[str, StepView] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    message: str = ""
    findings: list[Finding] = field(default_factory=list)

    def apply(self, event: RunEvent) -> None:
        """Take in one more fact."""
        match event:
            case (
                StepStarted() | StepPreparing() | StepReused() | StepKept() | StepFinished() | StepAdded() | StepNoted()
            ):
                _apply_step(self._step(event.step), event)
            case FindingRaised():
                finding = read_finding(event.finding)
                self.findings.append(finding)
                if event.step:
                    self._step(event.step).findings.append(finding)
            case JobCreated():
                self._create(event)
            case JobResumed():
                self.status, self.ended_at, self.owner, self.message = Status.RUNNING, None, event.owner, ""
                for step in self.steps.values():
                    if step.status is not Status.COMPLETED:
                        step.status, step.message, step.exit_code = Status.NOT_STARTED, "", None
            case JobEdited():
                self.display_name, self.experiment_name = event.display_name, event.experiment_name
                self.description, self.tags = event.description, event.tags
            case JobFinished():
                self._finish(event)
            case _:
                pass

    def _finish(self, event: JobFinished) -> None:
        self.status, self.ended_at = event.status, event.at
        self.outputs, self.message = event.outputs, event.message
        for step in self.steps.values():
            if step.status in {Status.RUNNING, Status.PREPARING}:  # killed before it could say how it ended
                step.status, step.message = Status.FAILED, event.message

    def _step(self, name: str) -> StepView:
        if name not in self.steps:
            self.steps[name] = StepView(name)
        return self.steps[name]

    def _create(self, event: JobCreated) -> None:
        self.status = Status.RUNNING
        self.created_at = self.started_at = event.at
        for name in (
            "display_name", "experiment_name", "type", "description", "source",
            "inputs", "tags", "properties", "request", "owner",
        ):  # fmt: skip
            setattr(self, name, getattr(event, name))
        for about in event.steps:
            self.steps[about["name"]] = StepView(about["name"], about.get("kind", "command"), about=about)


def fold(name: str, events: Iterable[RunEvent]) -> JobView:
    """The job after all of `events`."""
    view = JobView(name)
    for event in events:
        view.apply(event)
    return view


def read_finding(record: Mapping[str, Any]) -> Finding:
    """A finding as `Finding.as_record()` wrote it."""
    at = record.get("at") or {}
    return Finding(
        record["code"],
        Severity(record["severity"]),
        record["message"],
        record.get("hint", ""),
        Location(at.get("file", ""), at.get("line", 0), at.get("column", 0)),
        record.get("path", ""),
    )


def _apply_step(step: StepView, event: StepEvent) -> None:
    match event:
        case StepAdded():
            step.kind, step.about = event.about.get("kind", "command"), event.about
        case StepNoted():
            step.properties = {**step.properties, **event.properties}
        case StepPreparing():
            step.status, step.message = Status.PREPARING, event.note
        case StepStarted():
            step.status, step.started_at, step.message = Status.RUNNING, event.at, ""
            step.key, step.reason, step.handle, step.kept = event.key, event.reason, event.handle, None
        case StepKept():
            step.kept = event
        case StepReused():
            step.status, step.reused, step.ended_at = Status.COMPLETED, True, event.at
            step.started_at = step.started_at or event.at
            step.key, step.reason, step.source_job = event.key, event.reason, event.source_job
            step.outputs, step.metrics, step.exit_code, step.message = event.outputs, event.metrics, 0, ""
        case StepFinished():
            step.status, step.exit_code, step.ended_at = event.status, event.exit_code, event.at
            step.duration_s, step.outputs, step.message = event.duration_s, event.outputs, event.message
            step.metrics, step.usage, step.key = event.metrics, event.usage, event.key or step.key
