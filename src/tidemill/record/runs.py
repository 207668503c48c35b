"""Jobs as they were and are: the observer that keeps facts, and the folds that read them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from tidemill.base import proc
from tidemill.base.errors import NotFoundError
from tidemill.base.ids import JobName
from tidemill.base.suggest import did_you_mean
from tidemill.record.ports import JobRow, RunStore
from tidemill.run.abilities import TakesUp
from tidemill.run.context import PastStep
from tidemill.run.events import JobFinished, RunEvent
from tidemill.run.job import ENDED_EARLY, JobView, StepView, fold
from tidemill.run.ports import Executor
from tidemill.run.state import Status

INTERRUPTED = "the process that ran it is gone"


class RunRecorder:
    """A `RunObserver` that keeps what it sees."""

    def __init__(self, store: RunStore) -> None:
        self._store = store

    def saw(self, events: Sequence[RunEvent]) -> None:
        """Append the facts; pages and queries are folds over these."""
        self._store.append(events)


def get_job(store: RunStore, name: str) -> JobView:
    """How a job stands; `NotFoundError` with a suggestion if there is none."""
    events = [event for _, event in store.events(name)]
    if not events:
        known = [j.name for j in store.jobs(limit=200, archived=True)]
        raise NotFoundError(
            f"There is no job `{name}`", hint=did_you_mean(name, known) or "No job has run here yet: tidemill run FILE"
        )
    return fold(name, events)


def past_steps(view: JobView) -> dict[str, PastStep]:
    """What a resumed job need not run again: `RunOptions.resume`."""
    return {
        name: PastStep(
            step.key,
            step.outputs,
            step.metrics,
            {**step.about, **_early(step)},
            step.status is Status.COMPLETED,
            step.kept,
        )
        for name, step in view.steps.items()
        if step.status is Status.COMPLETED or step.kept is not None or ENDED_EARLY in step.properties
    }


def _early(step: StepView) -> dict[str, str]:
    """Why a trial was ended early, if it was."""
    return {ENDED_EARLY: step.properties[ENDED_EARLY]} if ENDED_EARLY in step.properties else {}


def find_owner(row: JobRow) -> int | None:
    """The id of the process that drives the job, if it still lives; SIGINT to it cancels the job."""
    pid, _, stamp = row.owner.partition(":")
    return int(pid) if pid.isdigit() and stamp and proc.started_at(int(pid)) == stamp else None


def interrupted_jobs(store: RunStore, is_driven: Callable[[JobName], bool]) -> list[JobRow]:
    """Jobs that say they run although no process drives them, newest first.

    A job may end, or be taken up, right after this: who acts on it takes its lock and looks again.
    """
    undriven = [j for j in store.running_jobs() if not is_driven(JobName(j.name))]
    return [now for j in undriven if (now := store.job(j.name)) is not None and now.status == "Running"]


def get_settled(store: RunStore, name: str, is_driven: Callable[[JobName], bool]) -> JobView:
    """The job as it will be recorded once somebody settles it: one that no process drives any more has failed."""
    view = get_job(store, name)
    if view.status is Status.RUNNING and not is_driven(JobName(name)):
        view = get_job(store, name)  # it may have ended between the two looks
        if view.status is Status.RUNNING and not is_driven(JobName(name)):
            view.apply(JobFinished(JobName(name), "", status=Status.FAILED, message=INTERRUPTED))
            view.ended_at = None
    return view


def open_steps(store: RunStore, row: JobRow) -> list[StepView]:
    """The steps of a job that had started and not ended."""
    return [s for s in get_job(store, row.name).steps.values() if s.handle and not s.status.is_final]


def open_handles(store: RunStore, row: JobRow) -> list[str]:
    """What the steps of a job that had not ended ran as."""
    return [s.handle for s in open_steps(store, row)]


def handles_by_key(store: RunStore, rows: Sequence[JobRow]) -> dict[str, tuple[str, ...]]:
    """What the steps of jobs that had not ended ran as, by the steps' keys: `RunOptions.left`."""
    found: dict[str, tuple[str, ...]] = {}
    for step in (s for row in rows for s in open_steps(store, row)):
        found[step.key] = tuple(dict.fromkeys((*found.get(step.key, ()), step.handle)))
    return found


def reap(store: RunStore, row: JobRow, executor: Executor, spare: Collection[str] = ()) -> int:
    """End what an interrupted job left running there, but for what in `spare` the executor can go on with."""
    handles = open_handles(store, row)
    kept = {h for h in handles if h in spare and isinstance(executor, TakesUp) and executor.takes_up(h)}
    return executor.reap(JobName(row.name), [h for h in handles if h not in kept], kept)


def clean_up(
    store: RunStore, row: JobRow, executors: Sequence[Executor], now: str, *, notes: Callable[[], str] = str
) -> int:
    """Settle an interrupted job: end what its steps left running, record that it failed; processes found.

    What `notes` does comes between: nothing writes any more, and who is killed meanwhile does it again.
    """
    found = sum(reap(store, row, executor) for executor in executors)
    note = notes()
    message = f"{INTERRUPTED}; {note}" if note else INTERRUPTED
    store.append([JobFinished(JobName(row.name), now, status=Status.FAILED, message=message)])
    return found
