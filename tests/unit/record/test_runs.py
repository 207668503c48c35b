"""Jobs as folds over their events."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tidemill.backends.stores.sqlite import SqliteStore
from tidemill.base import proc
from tidemill.base.errors import NotFoundError
from tidemill.base.ids import JobName, StepName
from tidemill.record.ports import JobRow
from tidemill.record.retention import used_refs
from tidemill.record.runs import RunRecorder, clean_up, find_owner, get_job, get_settled, interrupted_jobs, past_steps
from tidemill.run.events import JobCreated, JobFinished, JobResumed, StepStarted
from tidemill.run.state import Status
from tidemill.testing.stores import AT, created, finished


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "db")) as found:
        yield found


def test_a_job_is_what_its_events_say(store: SqliteStore) -> None:
    RunRecorder(store).saw([created("j"), finished("j")])
    view = get_job(store, "j")
    assert (view.status, view.steps["a"].status, view.steps["a"].metrics) == ("Running", "Completed", {"accuracy": 0.5})


def test_an_unknown_job_is_said_with_what_is_near(store: SqliteStore) -> None:
    store.append([created("amber_canal_1")])
    with pytest.raises(NotFoundError) as caught:
        get_job(store, "amber_cannal_1")
    assert caught.value.hint == "Did you mean `amber_canal_1`?"


def test_an_interrupted_job_is_settled_and_its_processes_end(store: SqliteStore) -> None:
    class Reaper:
        def __init__(self) -> None:
            self.handles: list[str] = []

        def reap(self, job: JobName, handles: list[str], spare: set[str]) -> int:
            assert not spare
            self.handles += handles
            return len(handles)

    store.append([created("j"), StepStarted(JobName("j"), AT, step=StepName("a"), handle="pid:1:2"), created("driven")])
    (row,) = interrupted_jobs(store, lambda name: name == "driven")
    reaper = Reaper()
    assert clean_up(store, row, [reaper], AT) == 1  # type: ignore[list-item]  # only reaps
    assert reaper.handles == ["pid:1:2"]
    assert get_job(store, "j").status == "Failed"
    assert interrupted_jobs(store, lambda name: name == "driven") == []


def test_a_resumed_job_keeps_what_completed_and_forgets_the_rest(store: SqliteStore) -> None:
    store.append([created("j"), finished("j"), JobResumed(JobName("j"), AT)])
    view = get_job(store, "j")
    assert view.status == "Running"
    assert past_steps(view)["a"].outputs == {"o": "folder:1"}


def test_the_owner_of_a_job_is_found_while_it_lives() -> None:
    stamp = proc.started_at(os.getpid())
    row = JobRow("j", "Running", "", "", "", "", AT, AT, None, owner=f"{os.getpid()}:{stamp}")
    assert find_owner(row) == os.getpid()
    assert find_owner(JobRow("j", "Running", "", "", "", "", AT, AT, None, owner=f"{os.getpid()}:1")) is None


def test_what_the_cache_or_a_resumable_job_needs_is_kept(store: SqliteStore) -> None:
    store.append([created("j"), finished("j")])
    store.forget_step("k1")
    assert used_refs(store) == {"folder:1"}


def test_a_job_nobody_drives_any_more_is_shown_as_failed_before_anybody_settles_it(store: SqliteStore) -> None:
    job = JobName("orphan")
    about = ({"name": "a", "kind": "command"}, {"name": "b", "kind": "command"})
    store.append(
        [
            JobCreated(job, "2026-11-21T00:00:00Z", steps=about),
            StepStarted(job, "2026-11-21T00:00:01Z", step=StepName("a")),
        ]
    )
    assert get_settled(store, job, lambda _: True).status == "Running"
    view = get_settled(store, job, lambda _: False)
    assert (view.status, view.message) == ("Failed", "the process that ran it is gone")
    assert [str(s.status) for s in view.steps.values()] == ["Failed", "NotStarted"]
    assert get_job(store, job).status == "Running", "looking changed the record"


def test_a_job_that_ends_between_two_looks_was_not_abandoned(store: SqliteStore) -> None:
    """It is recorded as running; then its driver records its end and goes; only then we look for the driver."""

    def ends(name: str) -> bool:
        if get_job(store, name).status == "Running":
            store.append([JobFinished(JobName(name), AT, status=Status.COMPLETED)])
        return False

    store.append([created("j")])
    assert interrupted_jobs(store, ends) == []
    store.append([created("k")])
    assert get_settled(store, "k", ends).status == "Completed"
