"""Records of numbers → a matrix without a Python call a cell; whatever is unusual is left to `decode`, which names it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemill.serve.signature import NUMERIC, Column

Array = npt.NDArray[Any]
PLAIN = frozenset({int, float})
LARGEST = sys.float_info.max
INTEGER = 2.0**31 - 1  # the least that a column of whole numbers can hold


@dataclass(frozen=True, slots=True)
class NumberTable:
    """What a table of numbers alone needs to be read in bulk."""

    width: int
    pick: Callable[[Mapping[str, Any]], Any]
    whole: Array | None
    truth: Array | None
    low: Array
    high: Array


@lru_cache(maxsize=8)
def number_table(columns: tuple[Column, ...]) -> NumberTable | None:
    """The columns prepared for reading in bulk; `None` when one of them holds anything but numbers."""
    if any(c.type not in NUMERIC for c in columns):
        return None
    names = [c.name for c in columns]
    only = names[0]
    pick = itemgetter(*names) if len(names) > 1 else lambda item: (item[only],)
    return NumberTable(
        len(names),
        pick,
        _places(columns, "integer"),
        _places(columns, "boolean"),
        np.array([_bound(c, c.low, -1) for c in columns]),
        np.array([_bound(c, c.high, 1) for c in columns]),
    )


def _places(columns: Sequence[Column], kind: str) -> Array | None:
    found = [i for i, c in enumerate(columns) if c.type == kind]
    return np.array(found) if found else None


def _bound(column: Column, limit: float | None, sign: int) -> float:
    """What training saw, else what the type can hold: a value beyond is looked at one by one."""
    if limit is not None:
        return float(np.clip(limit, -LARGEST, LARGEST))
    return sign * (INTEGER if column.type == "integer" else LARGEST)


def read_numbers(columns: Sequence[Column], items: Sequence[Any]) -> Array | None:
    """The rows, or `None` when something in them needs a closer look: another type, a limit crossed, a name unknown."""
    table = number_table(tuple(columns))
    if table is None:
        return None
    rows = []
    try:
        for item in items:
            if len(item) != table.width:
                return None
            row = table.pick(item) if type(item) is dict else item
            if not PLAIN.issuperset(map(type, row)):
                return None
            rows.append(row)
        matrix = np.array(rows, dtype=np.float64)
    except (KeyError, TypeError, OverflowError):
        return None
    # One comparison finds NaN, infinities and limits crossed: NaN compares as false, and every limit is finite.
    if not ((matrix >= table.low) & (matrix <= table.high)).all():
        return None
    if table.whole is not None and (matrix[:, table.whole] % 1).any():
        return None
    if table.truth is not None and not np.isin(matrix[:, table.truth], (0, 1)).all():
        return None
    return matrix
