from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.spec.fields import InputPort
from tidemill.spec.rules.values import complaint


def port(**fields: Any) -> InputPort:
    return InputPort.model_validate(fields)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("integer", 3), ("integer", "3"), ("integer", "-4"), ("number", 3), ("number", 0.5), ("number", "1e-3"),
        ("number", "-.5"), ("boolean", True), ("boolean", "False"), ("boolean", "true"), ("string", 3), ("string", True), ("string", ""),
    ],
)  # fmt: skip
def test_values_that_fit(type_: str, value: Any) -> None:
    assert complaint(port(type=type_), value) is None


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("integer", 2.5), ("integer", 3.0), ("integer", "2.5"), ("integer", "many"), ("integer", True), ("integer", ""),
        ("number", "fast"), ("number", False), ("number", ""), ("boolean", "maybe"), ("boolean", 3), ("boolean", 0.5),
    ],
)  # fmt: skip
def test_values_of_another_type(type_: str, value: Any) -> None:
    wrong = complaint(port(type=type_), value)
    assert wrong is not None
    assert wrong[0] == "TM-B105"


@given(st.integers(-100, 100), st.integers(-100, 100), st.integers(-100, 100))
def test_bounds_are_part_of_the_range(low: int, high: int, value: int) -> None:
    wrong = complaint(port(type="integer", min=low, max=high), value)
    assert (wrong is None) == (low <= value <= high)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_fits_written_as_text_too(value: float) -> None:
    assert complaint(port(type="number"), str(value)) is None


def test_a_choice_is_compared_as_text() -> None:
    choices = port(type="string", enum=["fast", 3])
    assert complaint(choices, "3") is None
    assert complaint(choices, 3) is None
    assert complaint(choices, "slow") == ("TM-B106", "`slow` is not one of `fast`, `3`")
