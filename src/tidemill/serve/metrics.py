"""What Prometheus reads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tidemill.serve.capture import Capture
from tidemill.serve.counts import SharedCounts
from tidemill.serve.features import FeatureCounts
from tidemill.serve.signature import Column
from tidemill.serve.tallies import Counts, Sizes

LOG = logging.getLogger("tidemill.serve")
LATENCIES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server and one model version; `tidemill_serving_info` says whose they are."""

    def __init__(self, version: str, model: str = "", deployment: str = "") -> None:
        self.registry = CollectorRegistry()
        info = Gauge("tidemill_serving_info", "Who answers", ["model", "version", "deployment"], registry=self.registry)
        info.labels(model, version, deployment).set(1)
        self._version = version
        self._requests = Counts("tidemill_requests", "Requests by path and status", ["path", "status"])
        self._predictions = Counts("tidemill_predictions", "Predictions by class", ["version", "prediction"])
        self._features = Counts("tidemill_out_of_range", "Values outside what training saw", ["version", "column"])
        self._rows = Counts("tidemill_rows", "Rows predicted", ["version"])
        self.latency = Sizes("tidemill_latency_seconds", "Seconds to answer a prediction", version, LATENCIES)
        self.batch = Sizes("tidemill_batch_rows", "Rows in a call of the model", version, BATCHES)
        for each in (self._requests, self._predictions, self._features, self._rows, self.latency, self.batch):
            self.registry.register(each)
        self.rows(0)
        self.waiting = Gauge("tidemill_waiting", "Requests being answered", registry=self.registry)
        self.dropped = Gauge(
            "tidemill_capture_dropped", "Requests not recorded for want of room", registry=self.registry
        )
        self.shipped = Gauge("tidemill_capture_sent_files", "Files of records sent on", registry=self.registry)
        self.kept_back = Gauge(
            "tidemill_capture_waiting_files", "Files of records that wait to be sent on", registry=self.registry
        )
        self.unsent = Gauge(
            "tidemill_capture_failures", "Attempts to send records on that failed, since the last that did not",
            registry=self.registry,
        )  # fmt: skip
        self.inside: Callable[[], int] = int
        self.capture: Capture | None = None
        self._shared: SharedCounts | None = None
        self._seen, self._kept = 0, (-1, 0)

    def request(self, path: str, status: int) -> None:
        """One answered request."""
        self._seen += 1
        self._requests.add(path, str(status))

    def rows(self, number: int) -> None:
        """Rows that were answered."""
        self._rows.add(self._version, by=number)

    def prediction(self, name: str, count: int = 1) -> None:
        """So many rows of a class the model knows."""
        self._predictions.add(self._version, name, by=count)

    def watch(self, columns: Sequence[Column]) -> FeatureCounts:
        """Count the values of these columns."""
        counts = FeatureCounts(columns, self._version)
        self.registry.register(counts)
        return counts

    def outside(self, column: Column) -> None:
        """One value that training did not see the like of."""
        self._features.add(self._version, column.name)

    def _recording(self, capture: Capture) -> None:
        """How recording goes."""
        self.dropped.set(capture.dropped)
        if capture.shipper is not None:
            self.shipped.set(capture.shipper.sent)
            self.kept_back.set(capture.shipper.waiting)
            self.unsent.set(capture.shipper.failures)

    def text(self) -> str:
        """The exposition; of several processes behind one port the sums."""
        own = self._own()
        try:
            return (own if self._shared is None else self._shared.total(own)).decode()
        except OSError as exc:
            self._stop_sharing(exc)
            return own.decode()

    def share(self, folder: Path) -> None:
        """Be one of several processes that keep their counts there."""
        self._shared = SharedCounts(folder)

    def keep(self) -> None:
        """Let the others know, when something was counted."""
        if self._shared is not None and (self._seen, self.inside()) != self._kept:
            self._kept = (self._seen, self.inside())
            try:
                self._shared.keep(self._own())
            except OSError as exc:
                self._stop_sharing(exc)

    def _stop_sharing(self, exc: OSError) -> None:
        """No answer is worth less for it: the counts are this process's alone from now on."""
        LOG.warning("/metrics counts one process alone: %s: %s", exc.filename, exc.strerror)
        self._shared = None

    def _own(self) -> bytes:
        self.waiting.set(self.inside())
        if self.capture is not None:
            self._recording(self.capture)
        return generate_latest(self.registry)
