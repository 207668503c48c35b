"""What pods say of themselves at `/metrics`, as counts that can be compared between two moments. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SERVER_ERROR = 500
NOT_REQUESTS = {"/readyz", "/healthz", "/metrics", "/livez"}
_LINE = re.compile(r"(tidemill_requests_total|tidemill_latency_seconds_bucket)\{([^}]*)\}\s+([0-9.eE+-]+)\Z")
_RECORDS = re.compile(r"^tidemill_capture_(sent_files|failures) ([0-9.eE+-]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class PodCounts:
    """One life of one pod: requests answered, those with a server error, and how many took at most so many seconds.

    Of its records: files that were `sent`, and attempts that were `unsent` since.
    """

    answered: int = 0
    errors: int = 0
    restarts: int = 0
    buckets: Mapping[float, float] = field(default_factory=dict)
    sent: int = 0
    unsent: int = 0


def read_counts(text: str, *, restarts: int = 0) -> PodCounts:
    """The counts in an exposition; probes are no requests."""
    answered = errors = 0
    buckets: dict[float, float] = {}
    for line in text.splitlines():
        found = _LINE.match(line.strip())
        if found is None:
            continue
        labels, value = dict(_LABEL.findall(found[2])), float(found[3])
        if found[1] == "tidemill_latency_seconds_bucket":
            limit = float(labels["le"])
            buckets[limit] = buckets.get(limit, 0.0) + value
        elif labels.get("path") not in NOT_REQUESTS:
            answered += int(value)
            errors += int(value) if int(labels.get("status", "0")) >= SERVER_ERROR else 0
    records = {name: int(float(value)) for name, value in _RECORDS.findall(text)}
    return PodCounts(
        answered, errors, restarts, buckets, sent=records.get("sent_files", 0), unsent=records.get("failures", 0)
    )


def counts_record(counts: Mapping[str, PodCounts]) -> dict[str, Any]:
    """Counts as a record keeps them."""
    return {
        pod: {"answered": c.answered, "errors": c.errors, "restarts": c.restarts, "buckets": {str(k): v for k, v in c.buckets.items()}}
        for pod, c in counts.items()
    }  # fmt: skip


def read_counts_record(record: Mapping[str, Any]) -> dict[str, PodCounts]:
    """Kept counts."""
    return {
        pod: PodCounts(
            int(c["answered"]), int(c["errors"]), int(c["restarts"]), {float(k): v for k, v in c["buckets"].items()}
        )
        for pod, c in record.items()
    }


def count_since(before: Mapping[str, PodCounts], now: Mapping[str, PodCounts]) -> dict[str, Any]:
    """What happened between two looks at the pods of a version: answered, errors, died (pods), latency_ms."""
    answered = errors = died = 0
    buckets: dict[float, float] = {}
    for pod, counts in now.items():
        earlier = before.get(pod, PodCounts())
        if counts.restarts > earlier.restarts:
            died += counts.restarts - earlier.restarts
            earlier = PodCounts()  # its counts began again
        answered += max(0, counts.answered - earlier.answered)
        errors += max(0, counts.errors - earlier.errors)
        for limit, value in counts.buckets.items():
            buckets[limit] = buckets.get(limit, 0.0) + max(0.0, value - earlier.buckets.get(limit, 0.0))
    p99 = quantile(buckets, 0.99)
    return {
        "answered": answered,
        "errors": errors,
        "died": died,
        "latency_ms": {} if p99 is None else {"p99": round(p99 * 1000, 1)},
    }


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """The value below which `share` lie, straight between the limits of its bucket; None of nothing."""
    limits = sorted(buckets)
    total = buckets[limits[-1]] if limits else 0.0
    if not total:
        return None
    lower, below = 0.0, 0.0
    for limit in limits:
        if buckets[limit] >= share * total:
            inside = buckets[limit] - below
            if limit == float("inf") or not inside:
                return lower
            return lower + (limit - lower) * (share * total - below) / inside
        lower, below = limit, buckets[limit]
    return lower
