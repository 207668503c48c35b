"""Whether enough people said yes to exactly these bytes, recently, none of them the author. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidemill.release.ports import Record


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """How many people a stage needs, for how long their word counts, and whose does not."""

    stage: str
    needed: int
    hours: float
    author: str = ""


@dataclass(frozen=True, slots=True)
class Approvals:
    """Who said yes, and who did whose yes does not count, with the reason."""

    needed: int
    by: tuple[str, ...]
    discounted: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether the stage may be released to."""
        return len(self.by) >= self.needed

    @property
    def evidence(self) -> str:
        """In words."""
        who = f"{len(self.by)} of {self.needed}: {', '.join(self.by) or 'nobody'}"
        return f"{who}; not counted: {', '.join(self.discounted)}" if self.discounted else who


def judge_approvals(records: Iterable[Record], rule: ApprovalRule, digest: str, now: datetime) -> Approvals:
    """Count each person once, by their latest yes to that digest for that stage."""
    latest = {
        str(r["by"]): datetime.fromisoformat(str(r["at"]))
        for r in sorted(records, key=lambda r: str(r["at"]))
        if r["stage"] == rule.stage and r["digest"] == digest
    }
    discounted = {
        person: "the author" if rule.author and person == rule.author else "expired"
        for person, at in latest.items()
        if (rule.author and person == rule.author) or at < now - timedelta(hours=rule.hours)
    }
    by = tuple(sorted(person for person in latest if person not in discounted))
    return Approvals(rule.needed, by, tuple(f"{person} ({why})" for person, why in sorted(discounted.items())))
