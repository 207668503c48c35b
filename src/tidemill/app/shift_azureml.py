"""Traffic onto a deployment of a managed online endpoint, watched by asking it, and back when it does badly.

The workspace counts requests, too, but tells minutes later: what is judged here is what our own requests got.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from tidemill.app.shift import ENOUGH, BakeFailedError
from tidemill.base.clock import SystemClock
from tidemill.base.errors import FailedError
from tidemill.base.failpoint import failpoint
from tidemill.release.remote import AzureDeployment
from tidemill.release.traffic import ALL, BakeLimits, judge_bake, traffic_steps
from tidemill.spec.project import Stage

Say = Callable[[str], None]
LOOK_S = 1.0


def shift_on_azure(
    target: Any,  # noqa: ANN401 - its own small interface
    wish: AzureDeployment,
    before: Mapping[str, int],
    stage: Stage,
    sample: bytes | None,
    say: Say,
) -> tuple[str, ...]:
    """The stage's steps of traffic, watched for `bake_s` at each; what was seen.

    `BakeFailedError` leaves the traffic where it was when it went bad: whoever called puts it back.
    """
    if not before:  # nothing to go back to, and nothing that is spared by going slowly
        target.set_traffic(wish.endpoint, {wish.name: ALL}, timeout_s=stage.start_timeout_s)
        return (ask(target, wish.endpoint, "", sample),)
    seen = []
    for shares in traffic_steps(stage.strategy, before, wish.name, stage.steps or ()):
        target.set_traffic(wish.endpoint, shares, timeout_s=stage.start_timeout_s)
        words = f"{wish.name} takes {shares[wish.name]} % of the traffic"
        say(words)
        failpoint("traffic-shared")
        if sample is not None:
            seen.append(f"{words}, {_watch(target, wish, stage, sample)}")
    try:
        return (*seen, ask(target, wish.endpoint, "", sample))
    except FailedError as exc:
        raise BakeFailedError(exc.message) from exc


def _watch(target: Any, wish: AzureDeployment, stage: Stage, sample: bytes) -> str:  # noqa: ANN401
    """Ask the deployment itself until the stage's time is over, once at least; what is plainly bad is not waited out."""
    clock, limits = SystemClock(), BakeLimits(stage.max_error_rate, stage.max_latency_ms)
    deadline = clock.monotonic() + stage.bake_s
    took: list[float] = []
    errors = 0
    while True:
        begun = clock.monotonic()
        status, _ = target.score(wish.endpoint, wish.name, sample)
        took.append(1000 * (clock.monotonic() - begun))
        errors += status != HTTPStatus.OK
        p99 = round(sorted(took)[math.ceil(0.99 * len(took)) - 1], 1)
        counts = {"answered": len(took), "errors": errors, "latency_ms": {"p99": p99}}
        verdicts = judge_bake({}, counts, limits)
        left = deadline - clock.monotonic()
        failed = [v for v in verdicts if not v.passed]
        if failed and (left <= 0 or len(took) >= ENOUGH):
            words = "; ".join(f"{v.rule}: {v.evidence}" for v in failed)
            raise BakeFailedError(f"`{wish.name}` did badly under traffic ({words})")
        if left <= 0:
            return f"asked for {stage.bake_s:g} s: " + ", ".join(v.evidence for v in verdicts)
        clock.sleep(min(LOOK_S, left))


def ask(target: Any, endpoint: str, name: str, sample: bytes | None) -> str:  # noqa: ANN401
    """One request to a deployment, or along the endpoint's route; `FailedError` when the answer is not good."""
    if sample is None:
        return "up; there is no sample request to ask"
    status, answer = target.score(endpoint, name, sample)
    text = answer[:300].decode(errors="replace")
    if status != HTTPStatus.OK:
        raise FailedError(
            f"The smoke test failed: HTTP {status}: {text}", hint="The previous version is still serving."
        )
    return f"answered {text[:120]}"
