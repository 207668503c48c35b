"""A price table makes costs, and a budget stops what would cost more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tidemill.app.budget import CostMeter, period_start
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import FailedError
from tidemill.base.ids import JobName, StepName
from tidemill.plan.graph import Resources, Step
from tidemill.run.events import StepFinished
from tidemill.run.state import Status
from tidemill.spec.project import Budget

PRICES = {"gpu": 3.6, "Standard_DS3_v2": 0.36, "default": 0.0}


class Book:
    """A ledger in memory, with one compute."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def put(self, collection: str, key: str, body: Any) -> None:
        assert collection == "costs"
        self.rows[key] = dict(body)

    def get(self, collection: str, key: str) -> dict[str, Any] | None:
        return {"size": "Standard_DS3_v2"} if (collection, key) == ("compute", "cpu") else None

    def documents(self, _: str) -> dict[str, dict[str, Any]]:
        return self.rows


def step(compute: str | None, instances: int = 1) -> Step:
    return Step(StepName("s"), compute=compute, resources=Resources(instance_count=instances))


def paid(cost: float) -> StepFinished:
    return StepFinished(
        JobName("j"), iso(SystemClock().now()), step=StepName("s"), status=Status.COMPLETED, usage={"cost": cost}
    )


def test_a_step_costs_its_hours_times_instances_times_the_price_of_its_compute_or_its_size() -> None:
    meter = CostMeter(Book(), PRICES, None)
    assert meter.cost(step("azureml:gpu", instances=2), 1000) == pytest.approx(2.0)
    assert meter.cost(step("azureml:cpu"), 10_000) == pytest.approx(1.0)
    assert meter.cost(step(None), 10_000) == 0
    assert CostMeter(Book(), {"gpu": 1}, None).cost(step("other"), 10) is None


def test_a_budget_is_said_to_end_once_and_then_stops_what_costs() -> None:
    book = Book()
    meter = CostMeter(book, PRICES, Budget(limit=10))
    assert meter.check(step("gpu")) is None
    meter.saw([paid(8.5)])
    found = meter.check(step("gpu"))
    assert found is not None
    assert "8.50 of 10.00 EUR per month" in found.message
    assert meter.check(step("gpu")) is None, "said twice"
    book.put("costs", "other", {"at": iso(SystemClock().now()), "cost": 2})
    with pytest.raises(FailedError, match=r"10\.50 of 10\.00"):
        meter.check(step("gpu"))
    meter.check(step(None))  # this machine costs nothing


def test_what_was_spent_before_the_period_does_not_count() -> None:
    book = Book()
    book.put("costs", "old", {"at": "2020-01-01T00:00:00.000000Z", "cost": 99})
    assert CostMeter(book, PRICES, Budget(limit=10)).spent() == 0
    assert CostMeter(book, PRICES, Budget(limit=10, per="total")).spent() == 99
    friday = datetime(2026, 11, 20, 14, tzinfo=UTC)
    assert [period_start(p, friday).day for p in ("day", "week", "month")] == [20, 16, 1]
