"""Records of numbers → a matrix without a Python call a cell; whatever is unusual is left to `decode`, which names it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tidemill.serve.signature import NUMERIC, Column

Array = npt.NDArray[Any]
PLAIN = frozenset({int, float})
NARROW = 64  # columns: in another order than training's, a name is found sooner in a dictionary of more
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
    decoder: msgspec.json.Decoder[Any] | None


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
        _decoder(names) if len(names) <= NARROW else None,
    )


def _decoder(names: Sequence[str]) -> msgspec.json.Decoder[Any] | None:
    """Of a record as an object whose fields are in the order of training; `None` for names it cannot have, as those with a quote."""
    fields = {f"c{i}": name for i, name in enumerate(names)}
    try:
        record = msgspec.defstruct("Record", [(f, float) for f in fields], rename=fields, forbid_unknown_fields=True)
    except ValueError:
        return None
    return msgspec.json.Decoder(record)


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
    return matrix if _is_plain(table, matrix) else None


def read_record(columns: Sequence[Column], body: bytes) -> Array | None:
    """The row of a body that holds one record of numbers, as most do: decoded without a dictionary; else `None`, as `read_numbers`."""
    table = number_table(tuple(columns))
    if table is None or table.decoder is None:
        return None
    try:
        matrix = np.array([msgspec.structs.astuple(table.decoder.decode(body))])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return matrix if _is_plain(table, matrix) else None


def _is_plain(table: NumberTable, matrix: Array) -> bool:
    """Whether nothing in it needs a word: each value finite, within what training saw, whole where it must be."""
    # One comparison finds NaN, infinities and limits crossed: NaN compares as false, and every limit is finite.
    if not ((matrix >= table.low) & (matrix <= table.high)).all():
        return False
    if table.whole is not None and (matrix[:, table.whole] % 1).any():
        return False
    return table.truth is None or bool(np.isin(matrix[:, table.truth], (0, 1)).all())
