"""When a trigger fires: the moments a cron expression or a recurrence of a document means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from tidemill.spec.times import cron_sets
from tidemill.spec.zones import find_zone

# Four years hold every date there is, the 29th of February too.
HORIZON_DAYS = 4 * 366
WEEK_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPANS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of a document that is valid, with its moments in one time zone."""

    data: Mapping[str, Any]
    zone: tzinfo
    start: datetime
    end: datetime | None


def read_trigger(data: Mapping[str, Any], created: datetime) -> Trigger:
    """`trigger:` of a schedule, or of a compute's start or stop; without a start time it begins when it was created."""
    zone = find_zone(data.get("time_zone"))
    return Trigger(data, zone, _moment(data.get("start_time"), zone) or created, _moment(data.get("end_time"), zone))


def _moment(value: Any, zone: tzinfo) -> datetime | None:  # noqa: ANN401 - a string or what YAML made of it
    if not value:
        return None
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    return found if found.tzinfo else found.replace(tzinfo=zone)


def firings(trigger: Trigger, after: datetime) -> Iterator[datetime]:
    """Every moment later than `after`, in order, in UTC; none once the trigger ended."""
    for found in _all(trigger, max(after, trigger.start - timedelta(seconds=1))):
        if trigger.end is not None and found > trigger.end:
            return
        if found > after and found >= trigger.start:
            yield found.astimezone(UTC)


def next_firing(trigger: Trigger, after: datetime) -> datetime | None:
    """The first moment later than `after`."""
    return next(firings(trigger, after), None)


def _all(trigger: Trigger, after: datetime) -> Iterator[datetime]:
    data = trigger.data
    if str(data.get("type", "")).casefold() == "cron":
        return _cron(str(data["expression"]), trigger.zone, after)
    every, frequency = int(data.get("interval", 1)), str(data.get("frequency", "day")).casefold()
    if frequency in _SPANS:
        return _steps(trigger.start, _SPANS[frequency] * every, after)
    return _recurrence(trigger, frequency, every, after)


def _cron(expression: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    minutes, hours, days, months, weekdays = cron_sets(expression)
    fields = expression.split()
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    for day in _days(after.astimezone(zone).date()):
        of_month, of_week = day.day in days, day.isoweekday() % 7 in weekdays
        if day.month in months and ((of_month or of_week) if either else (of_month and of_week)):
            yield from _times(day, sorted(hours), sorted(minutes), zone)


def _days(first: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range(HORIZON_DAYS))


def _times(day: date, hours: list[int], minutes: list[int], zone: tzinfo) -> Iterator[datetime]:
    for hour in hours:
        for minute in minutes:
            yield datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)


def _steps(start: datetime, span: timedelta, after: datetime) -> Iterator[datetime]:
    number = max(0, (after - start) // span)
    while True:
        yield start + span * number
        number += 1


def _recurrence(trigger: Trigger, frequency: str, every: int, after: datetime) -> Iterator[datetime]:
    """Days, weeks and months from the start on; the pattern's hours by minutes, else the start's own time."""
    start = trigger.start.astimezone(trigger.zone)
    pattern = trigger.data.get("schedule") or {}
    hours = sorted(_numbers(pattern.get("hours"), start.hour))
    minutes = sorted(_numbers(pattern.get("minutes"), start.minute))
    for day in _days(after.astimezone(trigger.zone).date()):
        if _is_day(day, start.date(), frequency, every, pattern):
            yield from _times(day, hours, minutes, trigger.zone)


def _numbers(value: Any, otherwise: int) -> list[int]:  # noqa: ANN401 - one number or many
    listed = value if isinstance(value, list) else [value]
    return [int(n) for n in listed if n is not None] or [otherwise]


def _is_day(day: date, start: date, frequency: str, every: int, pattern: Mapping[str, Any]) -> bool:
    """Whether the recurrence falls on `day`."""
    named = pattern.get("week_days") or []
    week_days = [str(w).casefold() for w in ([named] if isinstance(named, str) else named)]
    if frequency == "month":
        months = (day.year - start.year) * 12 + day.month - start.month
        wanted = _numbers(pattern.get("month_days"), start.day)
        return months % every == 0 and (WEEK_DAYS[day.weekday()] in week_days if week_days else day.day in wanted)
    if frequency == "week":
        monday, first = day - timedelta(days=day.weekday()), start - timedelta(days=start.weekday())
        right = WEEK_DAYS[day.weekday()] in (week_days or [WEEK_DAYS[start.weekday()]])
        return right and (monday - first).days // 7 % every == 0
    return (day - start).days % every == 0 and (not week_days or WEEK_DAYS[day.weekday()] in week_days)
