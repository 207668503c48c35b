"""What pods count becomes evidence."""

from __future__ import annotations

import pytest

from tidemill.release.pod_counts import PodCounts, count_since, quantile, read_counts
from tidemill.release.traffic import share_pods
from tidemill.serve.metrics import Metrics


def test_what_our_own_server_exposes_is_read() -> None:
    metrics = Metrics("3")
    for status in (200, 200, 500):
        metrics.request("/score", status)
    metrics.request("/readyz", 200)
    metrics.latency.observe(0.02)
    found = read_counts(metrics.text())
    assert (found.answered, found.errors) == (3, 1)
    assert quantile(found.buckets, 0.99) == pytest.approx(0.025, abs=0.001)


def test_only_what_came_since_the_first_look_counts() -> None:
    before = {"a": PodCounts(100, 50)}
    assert count_since(before, {"a": PodCounts(110, 50), "b": PodCounts(5, 1)}) == {
        "answered": 15,
        "errors": 1,
        "died": 0,
        "latency_ms": {},
    }


def test_a_pod_that_began_again_died_and_its_counts_start_at_nothing() -> None:
    found = count_since({"a": PodCounts(100, 0)}, {"a": PodCounts(3, 1, restarts=1)})
    assert (found["answered"], found["errors"], found["died"]) == (3, 1, 1)


@pytest.mark.parametrize(
    ("percent", "replicas", "expected"), [(10, 4, (9, 1)), (50, 2, (2, 2)), (10, 1, (3, 1)), (50, 1, (1, 1))]
)
def test_the_share_comes_as_near_as_a_few_pods_allow(percent: int, replicas: int, expected: tuple[int, int]) -> None:
    assert share_pods(percent, replicas) == expected
