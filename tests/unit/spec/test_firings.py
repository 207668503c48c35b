"""When triggers fire, in the words of documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.spec.firings import firings, next_firing, read_trigger
from tidemill.spec.times import cron_problem
from tidemill.spec.zones import find_zone, iana_zones, windows_zones

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)  # a Saturday


def first(count: int, created: datetime = NOW, **trigger: Any) -> list[str]:
    found = islice(firings(read_trigger(trigger, created), NOW), count)
    return [f"{moment:%m-%d %H:%M}" for moment in found]


def test_cron_fires_in_its_time_zone() -> None:
    assert first(2, type="cron", expression="0 18 * * *") == ["11-21 18:00", "11-22 18:00"]
    assert first(2, type="cron", expression="0 18 * * 1-5", time_zone="Pacific Standard Time") == [
        "11-24 02:00",
        "11-25 02:00",
    ]
    assert first(3, type="cron", expression="*/20 9 * * *") == ["11-21 09:00", "11-21 09:20", "11-21 09:40"]
    assert first(1, type="cron", expression="0 0 29 2 *") == ["02-29 00:00"]
    assert first(2, type="cron", expression="0 0 1 * mon") == ["11-23 00:00", "11-30 00:00"]


def test_recurrences_are_hours_by_minutes_by_days() -> None:
    pattern = {"hours": [7, 19], "minutes": [0, 30], "week_days": ["monday"]}
    assert first(5, type="recurrence", frequency="week", interval=1, schedule=pattern) == [
        "11-23 07:00", "11-23 07:30", "11-23 19:00", "11-23 19:30", "11-30 07:00",
    ]  # fmt: skip
    assert first(2, type="recurrence", frequency="day", interval=2) == ["11-23 08:30", "11-25 08:30"]
    assert first(2, type="recurrence", frequency="hour", interval=3) == ["11-21 11:30", "11-21 14:30"]
    month = {"hours": 4, "minutes": 15, "month_days": [1, 31]}
    assert first(3, type="recurrence", frequency="month", interval=1, schedule=month) == [
        "12-01 04:15", "12-31 04:15", "01-01 04:15",
    ]  # fmt: skip


def test_a_trigger_begins_and_ends() -> None:
    said = {
        "type": "cron",
        "expression": "0 12 * * *",
        "start_time": "2026-12-01T10:00:00",
        "end_time": "2026-12-02T23:00:00",
    }
    assert first(9, **said) == ["12-01 12:00", "12-02 12:00"]
    assert next_firing(read_trigger(said, NOW), datetime(2026, 12, 2, 13, tzinfo=UTC)) is None


def test_summer_time_moves_with_the_zone() -> None:
    trigger = read_trigger({"type": "cron", "expression": "0 18 * * *", "time_zone": "W. Europe Standard Time"}, NOW)
    assert next_firing(trigger, datetime(2027, 7, 1, tzinfo=UTC)) == datetime(2027, 7, 1, 16, tzinfo=UTC)
    assert next_firing(trigger, datetime(2027, 1, 1, tzinfo=UTC)) == datetime(2027, 1, 1, 17, tzinfo=UTC)


@pytest.mark.parametrize("name", sorted(windows_zones()))
def test_every_windows_zone_is_a_zone_of_this_machine(name: str) -> None:
    known = windows_zones()[name]
    assert known.startswith(("UTC+", "UTC-")) or known.casefold() in iana_zones()
    assert NOW.astimezone(find_zone(name.upper())).utcoffset() is not None


fields = st.tuples(
    *(
        st.one_of(st.just("*"), st.integers(low, high).map(str), st.integers(1, 9).map(lambda n: f"*/{n}"))
        for low, high in ((0, 59), (0, 23), (1, 28), (1, 12), (0, 7))
    )
).map(" ".join)


@given(fields, st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_firings_are_later_in_order_and_fit_the_expression(expression: str, after: datetime) -> None:
    assert cron_problem(expression) == ""
    found = list(islice(firings(read_trigger({"type": "cron", "expression": expression}, after), after), 3))
    assert found == sorted(found)
    assert all(moment > after and moment.second == 0 for moment in found)
    assert all(b - a >= timedelta(minutes=1) for a, b in pairwise(found))
