"""What some executors can besides running tasks; asked with `isinstance` where it helps."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from tidemill.base.frozen import frozen
from tidemill.plan.graph import EnvironmentRef
from tidemill.run.ports import PreparedEnvironment, Say

IN_PLACE = "azureml://"  # data of which a document names no machine, but a place that an executor may know


@runtime_checkable
class TakesUp(Protocol):
    """An executor whose tasks outlive whoever submitted them: a task with handles in `left` goes on with what they name."""

    def takes_up(self, handle: str) -> bool:
        """Whether it would know what to do with it, so that what is to be gone on with must not be reaped."""
        ...


@runtime_checkable
class SearchesModels(Protocol):
    """An executor whose service has AutoML of its own, to which such documents are handed as they are."""

    def searches(self, task: str) -> bool:
        """Whether it does that for such a task (`classification`, …)."""
        ...


@runtime_checkable
class Spreads(Protocol):
    """An executor with several machines, on which a parallel step's mini batches are better shared out to several tasks."""

    def count_parts(self, workers: int, instances: int) -> int:
        """How many tasks for so many processes (0: as many as there is room for) on so many machines."""
        ...


@frozen
class Elsewhere:
    """Bytes that need not come here: `digest` changes when they do."""

    digest: str
    is_file: bool


@runtime_checkable
class NearData(Protocol):
    """An executor beside whose machines some data lies already."""

    def look(self, uri: str) -> Elsewhere | None:
        """What is at a URI that the executor's tasks are given as it is; None when it is not theirs to read, or not there."""
        ...

    def send(self, path: Path, uri: str) -> bool:
        """Put an output at a URI, beside what is there under other names; False when that is not the executor's place."""
        ...


@runtime_checkable
class OwnEnvironments(Protocol):
    """An executor that makes the environments of its tasks itself, since this machine's are of no use there."""

    def prepare(self, environment: EnvironmentRef, say: Say) -> PreparedEnvironment:
        """Ready for `submit`. Progress goes to `say`; `UsageError` for what cannot be had there."""
        ...
