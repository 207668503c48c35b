"""One value of a table → what its column holds, or what is wrong with it."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import NUMERIC, Column

Array = npt.NDArray[Any]
Loc = tuple[str | int, ...]
NAN = float("nan")
LARGEST = {"integer": 2.0**31, "int32": 2.0**31}  # by MLflow's name of the type; others are longs
LONG = 2.0**63
FIRST, LAST = 1678, 2261  # what a 64-bit count of nanoseconds reaches into
TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}


def read_cell(column: Column, value: Any, loc: Loc) -> Any:  # noqa: ANN401 - a JSON value
    """The value as the column's type: a float for numbers, NaN or `None` where one may be missing."""
    if value is None or (value != value and type(value) is float and column.type in NUMERIC):  # noqa: PLR0124 - NaN
        return _missing(column, value, loc)
    return READERS[column.type](column, value, loc)


def _missing(column: Column, value: Any, loc: Loc) -> float | None:  # noqa: ANN401
    if not column.required:
        return NAN if column.type in NUMERIC else None
    if value is None:
        expected, kind = EXPECTED[column.type]
        raise RequestProblem(f"{expected}; a value is required here", loc=loc, kind=kind)
    raise RequestProblem("NaN and infinities are not numbers a model can take", loc=loc)


def _number(column: Column, value: Any, loc: Loc) -> float:  # noqa: ANN401
    if isinstance(value, str):
        try:
            value = float(value.replace("_", "?"))  # Python's 1_000 is no number anywhere else
        except ValueError:
            raise RequestProblem("Expected a number", loc=loc, kind="float_parsing") from None
    if not isinstance(value, (int, float)):
        raise RequestProblem("Expected a number", loc=loc, kind="float_type")
    try:
        number = float(value)
    except OverflowError:
        raise RequestProblem("The number is too large", loc=loc) from None
    if not math.isfinite(number):
        raise RequestProblem("NaN and infinities are not numbers a model can take", loc=loc)
    if column.type == "integer":
        if not number.is_integer():
            raise RequestProblem("Expected a whole number", loc=loc, kind="int_from_float")
        if not -LARGEST.get(column.dtype, LONG) <= number < LARGEST.get(column.dtype, LONG):
            raise RequestProblem("The number is too large", loc=loc)
    return number


def _truth(column: Column, value: Any, loc: Loc) -> float:  # noqa: ANN401
    del column
    found = TRUTHS.get(value.lower()) if isinstance(value, str) else value
    if isinstance(found, (bool, int, float)) and found in {0, 1}:
        return float(found)
    raise RequestProblem("Expected true or false", loc=loc, kind="bool_parsing")


def _text(column: Column, value: Any, loc: Loc) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise RequestProblem("Expected text", loc=loc, kind="string_type")
    if column.closed and value not in column.values:
        known = ", ".join(f"`{v}`" for v in column.values[:10])
        raise RequestProblem(f"The model knows no `{value[:50]}`, but {known}", loc=loc, kind="enum")
    return value


def _moment(column: Column, value: Any, loc: Loc) -> datetime:  # noqa: ANN401
    """A moment with an offset is one of UTC, as models have no time zones."""
    del column
    if isinstance(value, datetime):
        found = value
    else:
        try:
            found = datetime.fromisoformat(value.strip())
        except (ValueError, AttributeError):
            raise RequestProblem(
                "Expected a date and time, as 2026-11-21T15:04:05", loc=loc, kind="datetime_parsing"
            ) from None
    if not FIRST < found.year < LAST:
        raise RequestProblem(f"Expected a year from {FIRST + 1} to {LAST - 1}", loc=loc, kind="datetime_parsing")
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def _bytes(column: Column, value: Any, loc: Loc) -> bytes:  # noqa: ANN401
    del column
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError, AttributeError):
        raise RequestProblem("Expected bytes, as text in base64", loc=loc, kind="bytes_type") from None


def _as_it_is(column: Column, value: Any, loc: Loc) -> Any:  # noqa: ANN401
    del column, loc
    return value


READERS: Mapping[str, Callable[[Column, Any, Loc], Any]] = {
    "number": _number,
    "integer": _number,
    "boolean": _truth,
    "string": _text,
    "datetime": _moment,
    "binary": _bytes,
    "any": _as_it_is,
}
EXPECTED = {
    "number": ("Expected a number", "float_type"),
    "integer": ("Expected a whole number", "int_type"),
    "boolean": ("Expected true or false", "bool_type"),
    "string": ("Expected text", "string_type"),
    "datetime": ("Expected a date and time", "datetime_type"),
    "binary": ("Expected bytes, as text in base64", "bytes_type"),
    "any": ("Expected a value", "missing"),
}


def outside(column: Column, value: Any) -> str:  # noqa: ANN401
    """What training saw no like of, in words; empty when it did."""
    if isinstance(value, str):
        if column.values and value not in column.values:
            return f"`{column.name}`: `{value}` was not seen in training"
        return ""
    if column.low is not None and value < column.low:
        return f"`{column.name}`: {value:g} is below what training saw ({column.low:g})"
    if column.high is not None and value > column.high:
        return f"`{column.name}`: {value:g} is above what training saw ({column.high:g})"
    return ""


def matrix(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> Array:
    """Rows of numbers alone as such; with anything else among them, of Python's objects."""
    if all(c.type in NUMERIC for c in columns):
        return np.array(rows, dtype=np.float64)
    found = np.empty((len(rows), len(columns)), dtype=object)  # np.array would unfold lists in cells
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            found[i, j] = value
    return found
