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


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: capitals and spaces make nobody a second one."""
    return bool(one) and _key(one) == _key(other)


def judge_approvals(records: Iterable[Record], rule: ApprovalRule, digest: str, now: datetime) -> Approvals:
    """Count each person once, by their latest yes to that digest for that stage."""
    latest = {
        _key(str(r["by"])): (str(r["by"]).strip(), datetime.fromisoformat(str(r["at"])))
        for r in sorted(records, key=lambda r: str(r["at"]))
        if r["stage"] == rule.stage and r["digest"] == digest
    }
    by, discounted = [], []
    for _, (person, at) in sorted(latest.items()):
        if same_person(person, rule.author):
            discounted.append(f"{person} (the author)")
        elif at < now - timedelta(hours=rule.hours):
            discounted.append(f"{person} (expired)")
        else:
            by.append(person)
    return Approvals(rule.needed, tuple(by), tuple(discounted))


def _key(person: str) -> str:
    return " ".join(person.split()).casefold()
