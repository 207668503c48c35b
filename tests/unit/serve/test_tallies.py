"""What is counted reads as Prometheus's own counters do."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, enable_created_metrics
from prometheus_client import generate_latest as text

from tidemill.serve.metrics import LATENCIES, Metrics
from tidemill.serve.tallies import Counts, Sizes

SECONDS = (0.0001, 0.0005, 0.00051, 1.0, 10.0, 11.0)


def test_counts_and_sizes_read_as_those_of_the_library_do() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counts, sizes = Counts("asked", "Requests", ["path", "status"]), Sizes("took", "Seconds", "3", LATENCIES)
    ours.register(counts)
    ours.register(sizes)
    counter = Counter("asked", "Requests", ["path", "status"], registry=theirs)
    histogram = Histogram("took", "Seconds", ["version"], buckets=LATENCIES, registry=theirs).labels("3")
    for path, status, by in (("/predict", "200", 3), ("/pre\"d'\nict", "422", 1)):
        counts.add(path, status, by=by)
        counter.labels(path, status).inc(by)
    for seconds in SECONDS:
        sizes.observe(seconds)
        histogram.observe(seconds)
    disable_created_metrics()
    try:
        assert text(ours).decode() == text(theirs).decode()
    finally:
        enable_created_metrics()


def test_a_server_that_was_asked_nothing_says_so() -> None:
    told = Metrics("3").text()
    assert 'tidemill_rows_total{version="3"} 0.0' in told
    assert 'tidemill_latency_seconds_count{version="3"} 0.0' in told
