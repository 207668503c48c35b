"""The words for how a step or job stands, and which may follow which. Pure."""

from __future__ import annotations

from enum import StrEnum

BEFORE_RESUME = "completed before the job was resumed"  # the reason why such a step did not run again


class Status(StrEnum):
    """Azure ML's status words."""

    NOT_STARTED = "NotStarted"
    QUEUED = "Queued"
    PREPARING = "Preparing"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in _FINAL


_FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})
_ACTIVE = (Status.NOT_STARTED, Status.QUEUED, Status.PREPARING, Status.RUNNING)


def may_follow(before: Status, after: Status) -> bool:
    """Whether a step that is `before` may become `after`: forwards only, and never out of a final state."""
    if before.is_final:
        return False
    return after.is_final or _ACTIVE.index(after) > _ACTIVE.index(before)


def job_status(steps: list[Status]) -> Status:
    """What a job is when all its steps have ended."""
    if any(s is Status.FAILED for s in steps):
        return Status.FAILED
    if any(s is Status.CANCELED for s in steps):
        return Status.CANCELED
    return Status.COMPLETED
