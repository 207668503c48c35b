"""Which jobs' files and which remembered results may go."""

from __future__ import annotations

from tidemill.record.ports import CachedStep, JobRow
from tidemill.record.retention import Limits, expired_jobs, expired_steps


def row(name: str, day: int, status: str = "Completed", source: str = "/p.yml") -> JobRow:
    at = f"2026-01-{day:02}T00:00:00.000000Z"
    return JobRow(name, status, name, "e", "pipeline", source, at, at, None if status == "Running" else at)


ROWS = [
    row("running", 1, "Running"),
    row("failed", 9, "Failed"),
    row("new", 8),
    row("other", 2, source="/q.yml"),
    row("middle", 5),
    row("canceled", 4, "Canceled"),
    row("old", 3),
]


def names(limits: Limits) -> list[str]:
    return [r.name for r in expired_jobs(ROWS, limits)]


def test_by_age_what_ended_before_goes_but_the_newest_result_of_each_document() -> None:
    assert names(Limits(before="2026-01-05T12:00:00Z")) == ["middle", "canceled", "old"]
    assert names(Limits(before="2026-02-01T00:00:00Z")) == ["failed", "middle", "canceled", "old"]


def test_by_number_the_newest_of_each_document_stay() -> None:
    assert names(Limits(keep=4)) == ["canceled", "old"]
    assert names(Limits(keep=1)) == ["failed", "middle", "canceled", "old"]


def test_with_both_only_what_is_too_old_and_too_many_goes() -> None:
    assert names(Limits(before="2026-01-04T12:00:00Z", keep=5)) == ["old"]


def cached(key: str, job: str, step: str = "a") -> CachedStep:
    return CachedStep(key, job, step, (f"folder:{key}",), "")


def test_results_go_with_their_job_but_the_newest_of_each_step_and_those_that_were_reused() -> None:
    steps = [cached("1", "old"), cached("2", "old", "only"), cached("3", "middle"), cached("4", "new")]
    gone = expired_steps(steps, ROWS, {"old", "middle"}, kept_keys=set())
    assert [s.key for s in gone] == ["1", "3"]
    assert [s.key for s in expired_steps(steps, ROWS, {"old", "middle"}, kept_keys={"3"})] == ["1"]
