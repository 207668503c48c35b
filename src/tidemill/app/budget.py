"""What jobs cost, by the project's price table, and the budget that stops them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import FailedError
from tidemill.base.findings import Finding, Severity
from tidemill.plan.graph import Step
from tidemill.run.events import RunEvent, StepFinished
from tidemill.spec.project import Budget

COLLECTION = "costs"
HOUR_S = 3600.0
DEFAULT = "default"
NEARLY = "TM-N107"


class Ledger(Protocol):
    """Where costs are kept, one record a step that ran."""

    def put(self, collection: str, key: str, body: Mapping[str, Any]) -> None: ...
    def get(self, collection: str, key: str) -> Mapping[str, Any] | None: ...
    def documents(self, collection: str) -> Mapping[str, Mapping[str, Any]]: ...


class CostMeter:
    """A `Meter` and the observer that keeps its book. Prices are per hour and instance, by compute, its VM size (or the step's), or `default`.

    The compute of a step that names none is the pipeline's; `default` also prices this machine.
    """

    def __init__(self, ledger: Ledger, prices: Mapping[str, float], budget: Budget | None) -> None:
        self._ledger = ledger
        self._prices = prices
        self._budget = budget
        self._warned = False
        self._lock = threading.Lock()

    def check(self, step: Step) -> Finding | None:
        """`FailedError` once the budget is spent; a finding, once, when it is nearly so."""
        budget = self._budget
        if budget is None or not self._price(step):
            return None
        spent = self.spent()
        if spent >= budget.limit:
            raise FailedError(
                f"The budget is spent: {spent:.2f} of {budget.limit:.2f} {budget.currency} per {budget.per}",
                hint="Steps that are reused cost nothing. Raise `budget.limit` in tidemill.yaml, or wait for the next period.",
            )
        with self._lock:
            if self._warned or spent < budget.limit * budget.warn_at:
                return None
            self._warned = True
        said = f"{spent:.2f} of {budget.limit:.2f} {budget.currency} per {budget.per} is spent"
        return Finding(NEARLY, Severity.WARNING, said, "At the limit no step starts any more.")

    def cost(self, step: Step, duration_s: float) -> float | None:
        """Hours times instances times the price; None where there is none."""
        price = self._price(step)
        return None if price is None else round(duration_s / HOUR_S * step.resources.instance_count * price, 6)

    def saw(self, events: Sequence[RunEvent]) -> None:
        """Keep what each step cost."""
        for event in events:
            if isinstance(event, StepFinished) and event.usage.get("cost"):
                body = {"at": event.at, "job": event.job, "step": event.step, "cost": event.usage["cost"]}
                self._ledger.put(COLLECTION, f"{event.job}:{event.step}:{event.at}", body)

    def spent(self) -> float:
        """What was spent in the budget's present period."""
        since = iso(period_start(self._budget.per if self._budget else "total", SystemClock().now()))
        return sum(float(d["cost"]) for d in self._ledger.documents(COLLECTION).values() if str(d["at"]) >= since)

    def as_json(self) -> dict[str, Any] | None:
        """The budget and what is left of it; None without one."""
        budget = self._budget
        if budget is None:
            return None
        spent = round(self.spent(), 4)
        return {"limit": budget.limit, "spent": spent, "per": budget.per, "currency": budget.currency}

    def _price(self, step: Step) -> float | None:
        compute = (step.compute or "").removeprefix("azureml:")
        for name in (compute, self._size(compute), step.resources.instance_type, DEFAULT):
            if name and name in self._prices:
                return self._prices[name]
        return None

    def _size(self, compute: str) -> str:
        found = self._ledger.get("compute", compute) if compute and self._prices else None
        return str((found or {}).get("size") or "")


def period_start(per: str, now: datetime) -> datetime:
    """The first moment of the day, week (Monday) or month, in UTC; the beginning of time for `total`."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = {
        "day": midnight,
        "week": midnight - timedelta(days=now.weekday()),
        "month": midnight.replace(day=1),
    }
    return starts.get(per, datetime(1970, 1, 1, tzinfo=UTC))
