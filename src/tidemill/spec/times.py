"""Times of schedules: cron expressions and the names of time zones, Windows' and the IANA's."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from tidemill.spec.zones import iana_zones, windows_zones

BAD_CRON, BAD_ZONE, BAD_TIME = "TM-C101", "TM-C102", "TM-C103"
HOURS, MINUTES, MONTH_DAYS = (0, 23), (0, 59), (1, 31)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON = (
    ("minute", *MINUTES, ()),
    ("hour", *HOURS, ()),
    ("day of the month", *MONTH_DAYS, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_TERM = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


def is_time_zone(name: str) -> bool:
    """Whether Windows or the IANA knows a zone of that name, in any case."""
    wanted = name.strip().casefold()
    return wanted in windows_zones() or wanted in iana_zones()


def cron_problem(expression: str) -> str:
    """What is wrong with a five-field cron expression; empty when nothing is."""
    fields = expression.split()
    if len(fields) != len(_CRON):
        return f"`{expression}` has {len(fields)} fields, a cron expression has 5"
    for text, (what, low, high, names) in zip(fields, _CRON, strict=True):
        for term in text.split(","):
            if not _is_term(term, low, high, names):
                return f"`{term}` is no {what} ({low}-{high})"
    return ""


def cron_sets(expression: str) -> tuple[frozenset[int], ...]:
    """The minutes, hours, days of the month, months and weekdays (Sunday is 0) of a valid expression."""
    fields = zip(expression.split(), _CRON, strict=True)
    found = [
        frozenset(n for term in text.split(",") for n in _numbers(term, low, high, names))
        for text, (_, low, high, names) in fields
    ]
    return (*found[:-1], frozenset(n % 7 for n in found[-1]))


def _numbers(term: str, low: int, high: int, names: tuple[str, ...]) -> range:
    match = _TERM.fullmatch(term.lower())
    if match is None or match[1] is None:
        return range(low, high + 1, int(match[3] or 1) if match else 1)
    start = _number(match[1], low, names) or 0
    end = _number(match[2], low, names) if match[2] else high if match[3] else start
    return range(start, (end or 0) + 1, int(match[3] or 1))


def _is_term(term: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    match = _TERM.fullmatch(term.lower())
    if match is None or match[3] == "0":
        return False
    ends = [_number(end, low, names) for end in match.group(1, 2) if end is not None]
    return all(end is not None and low <= end <= high for end in ends)


def _number(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text in names:
        return names.index(text) + low
    return int(text) if text.isdecimal() else None


def _cron(value: str) -> str:
    problem = cron_problem(value)
    if problem:
        raise PydanticCustomError(BAD_CRON, "{problem}", {"problem": problem})
    return value


def _zone(value: str) -> str:
    if not is_time_zone(value):
        raise PydanticCustomError(BAD_ZONE, "`{zone}` is no time zone", {"zone": value})
    return value


def _within(low: int, high: int, what: str) -> AfterValidator:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise PydanticCustomError(
                BAD_TIME,
                "{value} is no {what}, which is {low} to {high}",
                {"value": value, "what": what, "low": low, "high": high},
            )
        return value

    return AfterValidator(check)


def _listed(value: Any) -> Any:  # noqa: ANN401 - before validation
    return value if isinstance(value, list) or value is None else [value]


Cron = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_zone)]
Hour = Annotated[int, _within(*HOURS, "hour")]
Minute = Annotated[int, _within(*MINUTES, "minute")]
MonthDay = Annotated[int, _within(*MONTH_DAYS, "day of a month")]
Listed = BeforeValidator(_listed)
"""For lists that may be written as one value."""
