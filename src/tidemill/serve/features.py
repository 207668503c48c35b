"""What a model was asked, column by column, as counts that can be compared between two weeks: the beginning of seeing drift.

Rows are put aside while requests are answered and counted together, many at a time or when somebody reads the counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from tidemill.serve.signature import Column

Array = npt.NDArray[Any]
PARTS = 10  # of what training saw
TOGETHER = 1024  # rows
OTHER = "(other)"


@dataclass(slots=True)
class _Numbers:
    """A column of numbers: how many values are at most so large; the edges divide what training saw in ten."""

    edges: Array
    counts: Array
    total: float = 0.0

    def take(self, values: Array) -> None:
        numbers = values.astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        places = np.searchsorted(self.edges, numbers, side="left")
        self.counts += np.bincount(places, minlength=len(self.counts))
        self.total += float(numbers.sum())


@dataclass(slots=True)
class _Words:
    """A column of words: how often each that training saw."""

    known: frozenset[str]
    counts: dict[str, int] = field(default_factory=dict)

    def take(self, values: Array) -> None:
        for value in values.tolist():
            word = value if value in self.known else OTHER
            self.counts[word] = self.counts.get(word, 0) + 1


class FeatureCounts(Collector):
    """Counts of the columns of which it is known what training saw; costs nothing where none is."""

    def __init__(self, columns: Sequence[Column], version: str) -> None:
        self._version = version
        self._columns = {i: (c.name, counts) for i, c in enumerate(columns) if (counts := _counts(c)) is not None}
        self._aside: list[Array] = []
        self._rows = 0

    def see(self, rows: Array) -> None:
        """Rows of a request that was answered; nobody changes them afterwards."""
        if self._columns and rows.ndim == 2:  # noqa: PLR2004 - a table
            self._aside.append(rows)
            self._rows += len(rows)
            if self._rows >= TOGETHER:
                self._count()

    def collect(self) -> Iterator[HistogramMetricFamily | CounterMetricFamily]:
        """As Prometheus reads it."""
        self._count()
        labels = ["version", "column"]
        numbers = HistogramMetricFamily("tidemill_feature", "Values by tenths of what training saw", labels=labels)
        words = CounterMetricFamily("tidemill_feature_values", "Values training saw", labels=[*labels, "value"])
        for name, counts in self._columns.values():
            if isinstance(counts, _Words):
                for word, count in sorted(counts.counts.items()):
                    words.add_metric([self._version, name, word], count)
                continue
            upto = np.cumsum(counts.counts).tolist()
            ends = [*(f"{edge:.6g}" for edge in counts.edges.tolist()), "+Inf"]
            numbers.add_metric([self._version, name], list(zip(ends, upto, strict=True)), counts.total)
        yield numbers
        yield words

    def describe(self) -> Iterator[HistogramMetricFamily | CounterMetricFamily]:
        """Nothing: it is registered without being read."""
        return iter(())

    def _count(self) -> None:
        aside, self._aside, self._rows = self._aside, [], 0
        if not aside:
            return
        rows = np.concatenate(aside)
        for place, (_, counts) in self._columns.items():
            counts.take(rows[:, place])


def _counts(column: Column) -> _Numbers | _Words | None:
    if column.values:
        return _Words(frozenset(column.values))
    if column.low is None or column.high is None or not column.low < column.high:
        return None
    return _Numbers(np.linspace(column.low, column.high, PARTS + 1), np.zeros(PARTS + 2, dtype=np.int64))
