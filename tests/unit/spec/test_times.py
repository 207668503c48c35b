"""Cron expressions and time zones, as schedules and computes give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.spec.times import cron_problem, is_time_zone

GOOD = (
    "0 3 * * *",
    "*/15 * * * *",
    "0 18 * * 1-5",
    "30 4 1,15 * *",
    "0 0 1 jan *",
    "5 4 * * SUN",
    "0 9-17/2 * * mon-fri",
)
BAD = (
    "",
    "* * * *",
    "* * * * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "a * * * *",
    "*/0 * * * *",
)


@pytest.mark.parametrize("expression", GOOD)
def test_a_five_field_expression_is_accepted(expression: str) -> None:
    assert cron_problem(expression) == ""


@pytest.mark.parametrize("expression", BAD)
def test_what_never_fires_is_explained(expression: str) -> None:
    assert cron_problem(expression) != ""


@pytest.mark.parametrize(
    "name", ["UTC", "utc", "Pacific Standard Time", "W. Europe Standard Time", "Europe/Berlin", "UTC-11"]
)
def test_windows_and_iana_names_are_time_zones(name: str) -> None:
    assert is_time_zone(name)


@pytest.mark.parametrize("name", ["", "Pacific", "Standard Time", "Mars Standard Time", "Europe/Atlantis"])
def test_other_names_are_not(name: str) -> None:
    assert not is_time_zone(name)


NUMBERS = st.tuples(st.integers(0, 59), st.integers(0, 23), st.integers(1, 31), st.integers(1, 12), st.integers(0, 6))


@given(NUMBERS)
def test_every_moment_of_a_year_can_be_written_as_cron(fields: tuple[int, ...]) -> None:
    assert cron_problem(" ".join(map(str, fields))) == ""


@given(st.text(max_size=40))
def test_no_text_makes_the_reading_fail(text: str) -> None:
    cron_problem(text)
    is_time_zone(text)
