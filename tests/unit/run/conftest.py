"""A real workspace in a temporary folder: SQLite, content store, local processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tidemill.backends.artifacts.folder import FolderArtifacts
from tidemill.backends.data.workspace import WorkspaceData
from tidemill.backends.executors.local import LocalExecutor
from tidemill.backends.locks.flock import FlockLocks
from tidemill.backends.stores.sqlite import SqliteStore
from tidemill.base.ids import JobName, StepName, make_job_name
from tidemill.plan.graph import (
    DataInput,
    DataRef,
    EnvironmentRef,
    InputBinding,
    Literal,
    OutputSpec,
    Plan,
    PlanSettings,
    Step,
    StepOutput,
)
from tidemill.plan.order import sort_steps
from tidemill.record.cache import StampMemory, StoreCache
from tidemill.record.runs import RunRecorder, get_job, past_steps
from tidemill.run.context import RunOptions
from tidemill.run.ports import PreparedEnvironment, RunPorts, Say
from tidemill.run.result import JobResult
from tidemill.run.runner import execute
from tidemill.spec.expression import parse_template


class HostEnvironments:
    """Every step runs in the interpreter of the test."""

    def prepare(self, environment: EnvironmentRef, say: Say) -> PreparedEnvironment:
        return PreparedEnvironment(Path(sys.executable))

    def key(self, environment: EnvironmentRef) -> str:
        return environment.label


def bind(value: object) -> InputBinding:
    """A test's shorthand: `step.output`, a path, or a value."""
    if isinstance(value, Path):
        kind = "uri_file" if value.is_file() else "uri_folder"
        return DataInput(DataRef(str(value), kind), type=kind)
    if isinstance(value, StepOutput | DataInput):
        return value
    return Literal(str(value), value)


def command(
    name: str,
    text: str,
    *,
    inputs: Mapping[str, object] | None = None,
    outputs: Mapping[str, str] | None = None,
    code: Path | None = None,
    **more: object,
) -> Step:
    """A command step in few words."""
    return Step(
        StepName(name),
        command=parse_template(text),
        inputs={n: bind(v) for n, v in (inputs or {}).items()},
        outputs={n: OutputSpec(type=t) for n, t in (outputs or {}).items()},
        code=code,
        **more,  # type: ignore[arg-type]
    )


def of(step: str, output: str, kind: str = "uri_folder") -> StepOutput:
    return StepOutput(StepName(step), output, type=kind)


def pipeline(*steps: Step, **settings: bool) -> Plan:
    named = {s.name: s for s in steps}
    ordered = tuple(named[StepName(n)] for n in sort_steps({s.name: s.depends_on for s in steps}))
    return Plan("test", "tests", ordered, Path("/pipeline.yml"), settings=PlanSettings(**settings))


@dataclass
class Workspace:
    home: Path
    ports: RunPorts
    store: SqliteStore
    stack: ExitStack = field(default_factory=ExitStack)

    def run(self, plan: Plan, **options: object) -> JobResult:
        return execute(plan, job=make_job_name(), ports=self.ports, options=RunOptions(**options))  # type: ignore[arg-type]

    def resume(self, plan: Plan, job: str) -> JobResult:
        done = past_steps(get_job(self.store, job))
        return execute(plan, job=JobName(job), ports=self.ports, options=RunOptions(resume=done))


def open_workspace(home: Path, stack: ExitStack, slots: int = 2) -> Workspace:
    store = stack.enter_context(closing(SqliteStore(home / "tidemill.db")))
    executor = stack.enter_context(closing(LocalExecutor(slots, scope=str(home), grace_s=0.5)))
    ports = RunPorts(
        home=home,
        executors={"local": executor},
        artifacts=FolderArtifacts(home / "store"),
        cache=StoreCache(store),
        environments=HostEnvironments(),
        data=WorkspaceData(home),
        locks=stack.enter_context(closing(FlockLocks(home))),
        stamps=lambda path: StampMemory(store, path),
        observers=(RunRecorder(store),),
    )
    return Workspace(home, ports, store, stack)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with ExitStack() as stack:
        yield open_workspace(tmp_path / ".tidemill", stack)
