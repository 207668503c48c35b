"""Literals against the type, bounds and choices of the input they go to."""

from __future__ import annotations

import math
from typing import Any

from tidemill.spec.fields import InputPort
from tidemill.spec.problems import describe

WORDS = {"true": True, "false": False}


def complaint(port: InputPort, value: Any) -> tuple[str, str] | None:  # noqa: ANN401 - any literal
    """Code and words when `value` does not fit; None when it does."""
    if port.type == "string" or port.is_data or port.type in {"path", "object"}:
        return _choice(port, str(value) if isinstance(value, (int, float)) else value)
    number = as_number(value, port.type)
    if number is None:
        return "TM-B105", f"an input of type {port.type} cannot be {describe(value)}"
    if isinstance(number, bool):
        return None
    if port.min is not None and number < port.min:
        return "TM-B106", f"{value} is below the minimum {port.min:g}"
    if port.max is not None and number > port.max:
        return "TM-B106", f"{value} is above the maximum {port.max:g}"
    return _choice(port, number)


def _choice(port: InputPort, value: Any) -> tuple[str, str] | None:  # noqa: ANN401
    if port.enum and value not in port.enum and str(value) not in {str(e) for e in port.enum}:
        return "TM-B106", f"`{value}` is not one of {', '.join(f'`{e}`' for e in port.enum)}"
    return None


def as_number(value: Any, kind: str) -> float | bool | None:  # noqa: ANN401
    """The value as integer, number or boolean; None when it is none. Text such as `1e-3` is a number too."""
    if kind == "boolean":
        if isinstance(value, bool) or value in (0, 1):
            return bool(value)
        return WORDS.get(value.casefold()) if isinstance(value, str) else None
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if kind == "integer":
        whole = isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+-").isdigit())
        return number if whole else None
    return None if math.isnan(number) and not isinstance(value, float) else number
