"""What must be kept: everything that could still be used without making it again. What may go by age or number. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tidemill.record.ports import CachedStep, JobRow, RunStore

RUNNING = "Running"
COMPLETED = "Completed"


@dataclass(frozen=True, slots=True)
class Limits:
    """A job goes if it ended before the moment (ISO, any if empty) and is not one of the newest `keep` of its document."""

    before: str = ""
    keep: int = 1


def expired_jobs(rows: Iterable[JobRow], limits: Limits) -> list[JobRow]:
    """Jobs, given newest first, whose files may go; of each document the newest that completed always stays."""
    newest: dict[str, int] = {}
    completed: set[str] = set()
    gone = []
    for row in rows:
        number = newest[row.source] = newest.get(row.source, 0) + 1
        first = row.status == COMPLETED and row.source not in completed
        if first:
            completed.add(row.source)
        recent = bool(limits.before) and (row.ended_at or row.created_at) >= limits.before
        if not (first or recent or number <= limits.keep or row.status == RUNNING):
            gone.append(row)
    return gone


def expired_steps(
    steps: Sequence[CachedStep], rows: Iterable[JobRow], gone: Collection[str], kept_keys: Collection[str]
) -> list[CachedStep]:
    """Remembered results, given oldest first, of jobs that go; not those that others reused, nor the newest of each step."""
    source = {row.name: row.source for row in rows}
    newest = {(source.get(s.job, s.job), s.step): s.key for s in steps}
    stay = {*newest.values(), *kept_keys}
    return [s for s in steps if s.job in gone and s.key not in stay]


def keys_of(store: RunStore, jobs: Collection[str]) -> set[str]:
    """Keys of the steps of those jobs, run or reused."""
    return {step.key for step in store.known_steps() if step.key and step.job in jobs}


def used_refs(store: RunStore, gone: Collection[str] = (), forgotten: Collection[str] = ()) -> set[str]:
    """Artifacts that the step cache (but for keys `forgotten`), a data asset or a job whose files are not `gone` needs.

    Those of a job that completed too: its folder links to them, so nothing is freed without them, and taking it up again must
    not run what was not remembered as reusable.
    """
    used = {ref for step in store.cached_steps() if step.key not in forgotten for ref in step.refs}
    used |= {row.digest for row in store.assets("data", archived=True)}
    return used | {ref for step in store.known_steps() if step.job not in gone for ref in step.refs}
