"""Spans to a collector that is down, slow, full or broken: they arrive late or are counted as dropped, and nobody waits."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.ports import free_port
from tests.unit.serve.collector import Collector, collecting
from tests.waiting import PATIENCE_S, until
from tidemill.serve import otlp
from tidemill.serve.otlp import Exporter
from tidemill.serve.spans import Span, Stage, TraceContext
from tidemill.serve.trace_settings import TraceSettings


def span(number: int = 1, stages: int = 0) -> Span:
    made = Span(TraceContext(f"{number:032x}", f"{number:016x}", sampled=True), None, "POST /predict", {})
    made.stages += [Stage("decode", made.began, made.began + 1)] * stages
    made.ended = made.began + 1_000_000
    return made


@contextmanager
def exporting(url: str, **settings: Any) -> Iterator[tuple[Exporter, CollectorRegistry]]:
    registry = CollectorRegistry()
    exporter = Exporter(TraceSettings(f"{url}/v1/traces", **{"delay_s": 0.02, "timeout_s": 5.0, **settings}), registry)
    exporter.start()
    try:
        yield exporter, registry
    finally:
        exporter.close(20.0)


def dropped(registry: CollectorRegistry, reason: str) -> float:
    return registry.get_sample_value("tidemill_spans_dropped_total", {"reason": reason}) or 0.0


def sent(registry: CollectorRegistry) -> float:
    return registry.get_sample_value("tidemill_spans_sent_total") or 0.0


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def test_spans_go_out_in_batches_over_one_connection_compressed_when_asked(collector: Collector) -> None:
    with exporting(collector.url, batch=10, gzip=True, delay_s=60.0) as (exporter, registry):
        for i in range(1, 11):
            exporter.offer(span(i, stages=1))
        collector.wait(lambda: len(collector.taken) >= 20)
        assert len(collector.requests) == 2
        assert {r[2]["content-encoding"] for r in collector.requests} == {"gzip"}
    assert sent(registry) == 20


def test_a_batch_that_is_not_full_goes_when_its_time_has_come(collector: Collector) -> None:
    with exporting(collector.url, batch=512, delay_s=0.05) as (exporter, _):
        exporter.offer(span())
        collector.wait(lambda: len(collector.taken) == 1)


def test_a_collector_that_is_down_for_a_while_gets_the_spans_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(otlp, "BACKOFF_S", (0.1,))
    port = free_port()
    with caplog.at_level(logging.INFO), exporting(f"http://127.0.0.1:{port}") as (exporter, registry):
        exporter.offer(span())
        until(lambda: "do not reach" in caplog.text)
        with collecting(port) as collector:
            collector.wait(lambda: len(collector.taken) == 1)
            exporter.close()
    assert sent(registry) == 1
    assert [m.partition(" http")[0] for m in caplog.messages if f":{port}" in m] == [
        "traces do not reach",
        "traces reach",
    ]


def test_a_collector_that_never_comes_costs_a_bounded_queue_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "GIVE_UP_S", 0.2)
    monkeypatch.setattr(otlp, "BACKOFF_S", (0.05,))
    with exporting(f"http://127.0.0.1:{free_port()}", queue=20, batch=20, delay_s=60.0) as (exporter, registry):
        for i in range(1, 1001):
            exporter.offer(span(i))
        until(lambda: dropped(registry, "unreachable"))
    assert dropped(registry, "unreachable") + dropped(registry, "queue_full") == 1000
    assert sent(registry) == 0


def test_offering_never_waits_for_a_slow_collector(collector: Collector) -> None:
    collector.faults.answering.clear()
    with exporting(collector.url, queue=50, batch=10, delay_s=0.0, timeout_s=PATIENCE_S) as (exporter, registry):
        for i in range(1, 501):
            exporter.offer(span(i))
        assert sent(registry) == 0, "all are offered, and none is answered yet"
        collector.faults.answering.set()
    assert dropped(registry, "queue_full") > 0
    assert dropped(registry, "queue_full") + dropped(registry, "unreachable") + sent(registry) == 500


def test_no_answer_within_the_time_out_is_tried_again(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "BACKOFF_S", (0.05,))
    collector.faults.delay_s = 0.6
    with exporting(collector.url, timeout_s=0.2) as (exporter, _):
        exporter.offer(span())
        collector.wait(lambda: len(collector.requests) == 1)
        collector.faults.delay_s = 0.0
        collector.wait(lambda: len(collector.requests) >= 2)
        collector.wait(lambda: len(collector.taken) >= 1)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(collector: Collector, status: int) -> None:
    collector.faults.answers = [(status, {"retry-after": "1"})]
    with exporting(collector.url) as (exporter, registry):
        exporter.offer(span())
        collector.wait(lambda: len(collector.taken) == 1)
    assert collector.requests[1][0] - collector.requests[0][0] >= 0.95
    assert sent(registry) == 1


def test_retry_after_may_be_a_date_and_one_too_far_away_is_not_waited_for(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "BACKOFF_S", (3600.0,))
    collector.faults.answers = [
        (503, {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}),
        (429, {"retry-after": "86400"}),
    ]
    with exporting(collector.url, batch=1, queue=3) as (exporter, registry):
        exporter.offer(span())
        collector.wait(lambda: len(collector.requests) == 2)
    assert dropped(registry, "unreachable") == 1


def test_what_a_collector_refuses_is_not_sent_again(collector: Collector) -> None:
    collector.faults.answers = [(400, {})]
    with exporting(collector.url, batch=1) as (exporter, registry):
        exporter.offer(span(1))
        exporter.offer(span(2))
        collector.wait(lambda: len(collector.taken) == 1)
    assert len(collector.requests) == 2
    assert (dropped(registry, "refused"), sent(registry)) == (1, 1)


def test_a_part_the_collector_rejects_is_counted(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    collector.faults.body = b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}'
    with exporting(collector.url) as (exporter, registry):
        exporter.offer(span(1, stages=2))
        collector.wait(lambda: len(collector.taken) == 3)
    assert (dropped(registry, "refused"), sent(registry)) == (2, 1)
    assert "too old" in caplog.text


def test_an_answer_that_is_no_http_is_a_failure_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "GIVE_UP_S", 0.1)
    listener = socket.create_server(("127.0.0.1", 0))

    def babble() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(1 << 16)
            connection.sendall(b"\x00\x01garbage\r\n\r\n")
            connection.close()

    thread = threading.Thread(target=babble, daemon=True)
    thread.start()
    with exporting(f"http://127.0.0.1:{listener.getsockname()[1]}") as (exporter, registry):
        exporter.offer(span())
        until(lambda: dropped(registry, "unreachable"))
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(PATIENCE_S)
    assert dropped(registry, "unreachable") == 1


def test_the_end_sends_what_is_left_and_does_not_wait_for_a_dead_collector(collector: Collector) -> None:
    with exporting(collector.url, delay_s=60.0) as (exporter, registry):
        exporter.offer(span())
        exporter.close()
        exporter.offer(span(2))
    assert sent(registry) == 1
    assert dropped(registry, "queue_full") == 1
    collector.faults.answering.clear()
    with exporting(collector.url, delay_s=60.0, timeout_s=PATIENCE_S) as (exporter, registry):
        exporter.offer(span())
        exporter.close(0.3)
        assert sent(registry) == 0, "it came back, and there is no answer yet"
        collector.faults.answering.set()
