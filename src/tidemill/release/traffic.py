"""How traffic moves from what serves to a new version, and when it must move back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.release.gates import Verdict

ALL = 100
CANARY = (10, 50)


@dataclass(frozen=True, slots=True)
class BakeLimits:
    """What a new version may do while it takes traffic, before that traffic is taken from it again."""

    max_error_rate: float
    max_latency_ms: float | None = None


def traffic_steps(
    strategy: str, present: Mapping[str, int], new: str, percentages: Sequence[int] = ()
) -> tuple[dict[str, int], ...]:
    """The traffic after each step. A canary takes `percentages` first (10, then 50); every other strategy switches at once."""
    others = {name: share for name, share in present.items() if share > 0 and name != new}
    if strategy != "canary" or not others:
        return ({new: ALL},)
    shares = [p for p in percentages or CANARY if 0 < p < ALL]
    return (*({**share_out(others, ALL - p), new: p} for p in shares), {new: ALL})


def share_pods(percent: int, replicas: int) -> tuple[int, int]:
    """How many pods of the old and of the new version come nearest to `percent` for the new one.

    A Service shares requests out by pods: 10 % of the traffic is one pod in ten. The old version keeps at least
    its `replicas`, and both together stay within twice that and two, so that a canary does not ask for a second cluster.
    """
    most = 2 * replicas + 2
    pairs = [(old, new) for old in range(replicas, most) for new in range(1, most + 1 - old)]
    return min(pairs, key=lambda p: (abs(p[1] / sum(p) - percent / ALL), sum(p)))


def share_out(weights: Mapping[str, int], total: int) -> dict[str, int]:
    """Whole numbers in the proportion of `weights` that sum to `total`."""
    whole = sum(weights.values())
    exact = {name: weight * total / whole for name, weight in weights.items()}
    shares = {name: int(value) for name, value in exact.items()}
    for name in sorted(exact, key=lambda n: exact[n] - shares[n], reverse=True)[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def judge_bake(before: Mapping[str, Any], now: Mapping[str, Any], limits: BakeLimits) -> tuple[Verdict, ...]:
    """What the counts of a version between two moments come to. No traffic is no evidence against it."""
    answered, errors, died = (now.get(k, 0) - before.get(k, 0) for k in ("answered", "errors", "died"))
    asked = answered + died
    rate = (errors + died) / asked if asked > 0 else 0.0
    found = [
        Verdict(
            f"error rate <= {limits.max_error_rate:g}",
            passed=rate <= limits.max_error_rate,
            evidence=f"{errors + died} of {asked} requests failed" if asked else "no request came",
            values={"error_rate": rate, "requests": asked},
        )
    ]
    p99 = now.get("latency_ms", {}).get("p99")
    if limits.max_latency_ms is not None and p99 is not None:
        found.append(
            Verdict(
                f"p99 latency <= {limits.max_latency_ms:g} ms",
                passed=p99 <= limits.max_latency_ms,
                evidence=f"p99 = {p99:g} ms",
                values={"p99_ms": p99},
            )
        )
    return tuple(found)
