"""Counters that only the event loop counts: without the locks and lookups of Prometheus's own, which were an eighth of a request."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Counts(Collector):
    """How often, by the values of labels."""

    def __init__(self, name: str, about: str, labels: Sequence[str]) -> None:
        self._said = (name, about)
        self._labels = labels
        self._counts: defaultdict[tuple[str, ...], int] = defaultdict(int)

    def add(self, *values: str, by: int = 1) -> None:
        """One more, or several."""
        self._counts[values] += by

    def collect(self) -> Iterator[CounterMetricFamily]:
        """As Prometheus reads it."""
        family = CounterMetricFamily(*self._said, labels=self._labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        yield family


class Sizes(Collector):
    """How many values are at most so large, of one version."""

    def __init__(self, name: str, about: str, version: str, bounds: Sequence[float]) -> None:
        self._said = (name, about)
        self._version = version
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """One more value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """As Prometheus reads it."""
        family = HistogramMetricFamily(*self._said, labels=["version"])
        ends = [*(str(float(b)) for b in self._bounds), "+Inf"]
        family.add_metric([self._version], list(zip(ends, accumulate(self._counts), strict=True)), self._sum)
        yield family
