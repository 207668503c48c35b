"""What a run hands back, and its JSON, which is a contract."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any

from tidemill.base.findings import Finding
from tidemill.base.frozen import frozen
from tidemill.run.folders import JobFolder
from tidemill.run.job import JobView, StepView
from tidemill.run.state import Status


@frozen
class StepResult:
    """How one step ended; `reason` says why it ran or why it did not, `message` what went wrong.

    `usage` has `cpu_s`, `gpu_s`, `peak_mib` and `cost`, as far as they are known.
    """

    name: str
    status: Status
    reused: bool
    exit_code: int | None
    outputs: dict[str, Path]
    log: Path
    duration_s: float
    reason: str = ""
    message: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    usage: dict[str, float] = field(default_factory=dict)
    parent: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """One entry of `steps`."""
        more = {"parent": self.parent, "parameters": self.parameters, "properties": self.properties}
        return {
            "status": str(self.status),
            "reused": self.reused,
            "exit_code": self.exit_code,
            "outputs": {name: str(path) for name, path in self.outputs.items()},
            "log": str(self.log),
            "duration_s": round(self.duration_s, 4),
            "reason": self.reason,
            "message": self.message,
            "metrics": self.metrics,
            "usage": self.usage,
        } | {name: value for name, value in more.items() if value}


@frozen
class JobResult:
    """How a job ended (or stands)."""

    name: str
    status: Status
    display_name: str
    started_at: str | None
    ended_at: str | None
    steps: dict[str, StepResult]
    outputs: dict[str, Path]
    findings: tuple[Finding, ...] = ()
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the job completed."""
        return self.status is Status.COMPLETED

    def as_json(self) -> dict[str, Any]:
        """The object `tidemill run -o json` prints."""
        return {
            "name": self.name,
            "status": str(self.status),
            "display_name": self.display_name,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "steps": {name: step.as_json() for name, step in self.steps.items()},
            "outputs": {name: str(path) for name, path in self.outputs.items()},
            "findings": [f.as_record() for f in self.findings],
            "message": self.message,
        }


def make_result(view: JobView, folder: JobFolder) -> JobResult:
    """The result of a job from how it stands; paths are those of its folder."""
    return JobResult(
        view.name,
        view.status,
        view.display_name,
        view.started_at,
        view.ended_at,
        {name: _step_result(step, folder) for name, step in view.steps.items()},
        {name: folder.outputs / name for name in view.outputs},
        tuple(view.findings),
        view.message,
    )


def _step_result(step: StepView, folder: JobFolder) -> StepResult:
    at = folder.step(step.name)
    return StepResult(
        step.name,
        step.status,
        step.reused,
        step.exit_code,
        {name: at.outputs / name for name in step.outputs},
        at.log,
        step.duration_s,
        step.reason,
        step.message,
        dict(step.metrics),
        tuple(step.findings),
        dict(step.usage),
        step.about.get("parent", ""),
        dict(step.about.get("parameters", {})),
        dict(step.properties),
    )
