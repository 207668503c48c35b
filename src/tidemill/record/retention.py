"""What must be kept: everything that could still be used without making it again."""

from __future__ import annotations

from tidemill.record.ports import RunStore
from tidemill.record.runs import get_job


def used_refs(store: RunStore) -> set[str]:
    """Artifacts the step cache, a data asset or a job that may be resumed still needs."""
    used = set(store.step_refs())
    used |= {row.digest for row in store.assets("data", archived=True)}
    for row in store.jobs(archived=True):
        if row.status != "Completed":
            view = get_job(store, row.name)
            used |= {ref for step in view.steps.values() for ref in step.outputs.values()}
    return used
