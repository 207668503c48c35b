"""Rows as a DataFrame with the types of the signature, for models that ask for columns by name; pandas is imported then alone."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tidemill.serve.decode import Array
from tidemill.serve.signature import Column

SMALL = {"float": np.float32, "float32": np.float32, "integer": np.int32, "int32": np.int32}
USUAL = {"number": np.float64, "integer": np.int64}


def frame_maker(columns: Sequence[Column], order: Sequence[str] = ()) -> Callable[[Array], Any]:
    """A function from rows to a DataFrame; `order` is the model's own, where that is another."""

    def make(rows: Array) -> Any:  # noqa: ANN401 - a DataFrame
        pandas = importlib.import_module("pandas")
        frame = pandas.DataFrame({c.name: _series(pandas, c, rows[:, i]) for i, c in enumerate(columns)})
        return frame[list(order)] if order else frame

    return make


def _series(pandas: Any, column: Column, values: Array) -> Any:  # noqa: ANN401 - pandas' own types
    if column.type in USUAL:
        numbers = values.astype(np.float64)
        wanted = SMALL.get(column.dtype, USUAL[column.type])
        return numbers if column.type == "integer" and np.isnan(numbers).any() else numbers.astype(wanted)
    if column.type == "boolean":
        numbers = values.astype(np.float64)
        return numbers.astype(object) if np.isnan(numbers).any() else numbers.astype(bool)
    if column.type == "datetime":
        return pandas.Series(pandas.to_datetime(values.tolist()), dtype="datetime64[ns]")
    if column.type == "string":
        return pandas.Series(values.tolist())
    return pandas.Series(values.tolist(), dtype=object)
