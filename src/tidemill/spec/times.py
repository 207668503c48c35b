"""Times of schedules: cron expressions and the names of time zones, Windows' and the IANA's."""

from __future__ import annotations

import re
import zoneinfo
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

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

# Windows' names: these words before " Standard Time", and the few that end otherwise.
_STANDARD = (
    "Dateline;Aleutian;Hawaiian;Marquesas;Alaskan;Pacific;US Mountain;Mountain;Central America;Central;Easter Island;"
    "Canada Central;SA Pacific;Eastern;Haiti;Cuba;US Eastern;Paraguay;Atlantic;Venezuela;Central Brazilian;SA Western;"
    "Pacific SA;Turks And Caicos;Newfoundland;Tocantins;E. South America;SA Eastern;Argentina;Greenland;Montevideo;"
    "Magallanes;Saint Pierre;Bahia;Mid-Atlantic;Azores;Cape Verde;Morocco;GMT;Greenwich;Sao Tome;W. Europe;"
    "Central Europe;Romance;Central European;W. Central Africa;Namibia;Jordan;GTB;Middle East;Egypt;E. Europe;Syria;"
    "West Bank;South Africa;South Sudan;Sudan;FLE;Turkey;Israel;Kaliningrad;Libya;Arabic;Arab;Belarus;Russian;"
    "E. Africa;Iran;Arabian;Astrakhan;Azerbaijan;Mauritius;Saratov;Georgian;Volgograd;Caucasus;Afghanistan;West Asia;"
    "Ekaterinburg;Pakistan;Qyzylorda;India;Sri Lanka;Nepal;Central Asia;Bangladesh;Omsk;N. Central Asia;Myanmar;"
    "SE Asia;Altai;W. Mongolia;North Asia;Tomsk;China;North Asia East;Singapore;W. Australia;Taipei;Ulaanbaatar;"
    "North Korea;Aus Central W.;Transbaikal;Tokyo;Korea;Yakutsk;Cen. Australia;AUS Central;E. Australia;AUS Eastern;"
    "West Pacific;Tasmania;Vladivostok;Lord Howe;Bougainville;Magadan;Norfolk;Sakhalin;Central Pacific;New Zealand;"
    "Fiji;Kamchatka;Chatham Islands;Tonga;Samoa;Line Islands;Yukon"
)
_OTHER = (
    "UTC;UTC-11;UTC-09;UTC-08;UTC-02;UTC+12;UTC+13;Coordinated Universal Time;Russia Time Zone 3;Russia Time Zone 10;"
    "Russia Time Zone 11;Pacific Standard Time (Mexico);Mountain Standard Time (Mexico);Central Standard Time (Mexico);"
    "Eastern Standard Time (Mexico)"
)


@cache
def _zones() -> frozenset[str]:
    windows = [f"{word} Standard Time" for word in _STANDARD.split(";")]
    return frozenset(z.casefold() for z in (*windows, *_OTHER.split(";"), *zoneinfo.available_timezones()))


def is_time_zone(name: str) -> bool:
    """Whether Windows or the IANA knows a zone of that name, in any case."""
    return name.strip().casefold() in _zones()


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
