"""Finished spans to a collector: OTLP over HTTP as JSON, from a thread of its own, in bounded memory."""

from __future__ import annotations

import gzip
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Sequence

import msgspec
from prometheus_client import CollectorRegistry, Counter

from tidemill.serve.otlp_http import Collector, Outcome
from tidemill.serve.otlp_json import as_otlp, resource_head
from tidemill.serve.spans import Span, Stage
from tidemill.serve.trace_settings import TraceSettings

LOG = logging.getLogger("tidemill.traces")
GIVE_UP_S = 60.0
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 16.0)
DRAIN_S = 5.0
TURN = 8  # requests written in one go, some 0.1 ms
REASONS = ("queue_full", "refused", "unreachable")
Finished = tuple[Span, tuple[Stage, ...]]


class Exporter:
    """Takes finished spans without ever waiting; what the collector does not take in time is dropped and counted."""

    def __init__(self, settings: TraceSettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._queue: deque[Finished] = deque()
        self._held = 0
        self._flying = 0
        self._changed = threading.Condition()
        self._end_at = 0.0
        self._collector = Collector(settings)
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._well = True
        self._head = resource_head(settings)
        dropped = Counter("tidemill_spans_dropped", "Spans no collector took", ["reason"], registry=registry)
        self._sent = Counter("tidemill_spans_sent", "Spans a collector took", registry=registry)
        self._full, self._refused, self._unreachable = map(dropped.labels, REASONS)
        self._registry = registry

    @property
    def place(self) -> str:
        """Where spans go, without anything secret."""
        return self._collector.place

    def numbers(self) -> dict[str, int]:
        """How many spans a collector took, and how many none did."""
        read = self._registry.get_sample_value
        lost = sum(read("tidemill_spans_dropped_total", {"reason": r}) or 0 for r in REASONS)
        return {"sent": int(read("tidemill_spans_sent_total") or 0), "dropped": int(lost)}

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def offer(self, span: Span) -> None:
        """Put one request's spans in the queue, or drop them when it is full."""
        stages = tuple(span.stages)  # a call that outlives its request adds to it later
        count = 1 + len(stages)
        with self._changed:
            if self._held + count <= self._settings.queue and not self._end_at:
                self._queue.append((span, stages))
                self._held += count
                if len(self._queue) == 1 or self._held - count < self._settings.batch <= self._held:
                    self._changed.notify()
                return
        self._full.inc(count)

    def close(self, within_s: float = DRAIN_S) -> None:
        """Send what is left, for as long as may be; the rest is dropped."""
        with self._changed:
            self._end_at = time.monotonic() + within_s
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(within_s)
        with self._changed:
            left, self._held, self._flying = self._held + self._flying, 0, 0
            self._queue.clear()
        if left:
            self._unreachable.inc(left)
            LOG.warning("%d spans were not sent before the end", left)

    def _run(self) -> None:
        while True:
            spans = self._take()
            if not spans:
                self._collector.hang_up()
                return
            try:
                self._deliver(spans)
            except Exception:  # this thread is the only one that sends: it must not end
                LOG.exception("spans could not be sent")
                self._land(0, self._refused)

    def _take(self) -> list[Finished]:
        """The next batch: when it is full, when its time has come, or at the end."""
        with self._changed:
            while not self._queue:
                if self._end_at:
                    return []
                self._changed.wait()
            if not self._end_at:
                full = self._settings.batch
                self._changed.wait_for(lambda: self._held >= full or self._end_at > 0, self._settings.delay_s)
            taken: list[Finished] = []
            size = 0
            while self._queue and (not taken or size < self._settings.batch):
                taken.append(self._queue.popleft())
                size += 1 + len(taken[-1][1])
            self._held, self._flying = self._held - size, size
            return taken

    def _land(self, sent: int, lost: Counter) -> None:
        """Count a batch once: what was not sent of it is lost. One given up at the end was counted then."""
        with self._changed:
            size, self._flying = self._flying, 0
        self._sent.inc(min(size, sent))
        lost.inc(max(0, size - sent))

    def _deliver(self, spans: Sequence[Finished]) -> None:
        """Until the collector took it, refused it, or did not answer for too long."""
        body = self._encode(spans)
        give_up, attempt = time.monotonic() + GIVE_UP_S, 0
        while True:
            timeout_s = self._settings.timeout_s
            if self._end_at:
                timeout_s = max(0.05, min(timeout_s, self._end_at - time.monotonic()))
            outcome = self._collector.post(body, timeout_s)
            self._tell(outcome)
            if outcome.done:
                self._land(max(0, self._flying - outcome.rejected), self._refused)
                return
            if not outcome.again:
                self._land(0, self._refused)
                return
            backoff = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)] * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            if not self._pause(backoff if outcome.wait_s is None else outcome.wait_s, give_up):
                self._land(0, self._unreachable)
                return
            attempt += 1

    def _pause(self, seconds: float, give_up: float) -> bool:
        """Wait before the next attempt; `False` when there is no time left for one."""
        until = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self._end_at > 0, max(0.0, min(until, give_up) - time.monotonic()))
        if not self._end_at:
            return until <= give_up
        if until > self._end_at:
            return False
        time.sleep(max(0.0, until - time.monotonic()))
        return True

    def _encode(self, spans: Sequence[Finished]) -> bytes:
        parts = []
        for i, (span, stages) in enumerate(spans):
            parts += [msgspec.json.encode(s) for s in as_otlp(span, stages)]
            if i % TURN == 0:  # the thread that answers requests may have the interpreter; asking costs a system call
                time.sleep(0)
        body = self._head + b",".join(parts) + b"]}]}]}"
        return gzip.compress(body, 3) if self._settings.gzip else body

    def _tell(self, outcome: Outcome) -> None:
        """Once when it stops working, once when it works again: a log line for each batch would fill the log."""
        if outcome.done != self._well:
            self._well = outcome.done
            if outcome.done:
                LOG.info("traces reach %s again", self._collector.place)
            else:
                LOG.warning("traces do not reach %s: %s", self._collector.place, outcome.why)
        if outcome.rejected:
            LOG.warning("%s rejected %d spans: %s", self._collector.place, outcome.rejected, outcome.why)
