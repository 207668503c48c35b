"""Traffic onto a deployment of a managed online endpoint, watched by asking it, and back when it does badly.

The workspace counts requests, too, but tells minutes later: what is judged here is what our own requests got.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from tidemill.app.bakes import FAILED, Keep
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
    asked: tuple[Stage, bytes | None, Keep],
    say: Say,
) -> tuple[str, ...]:
    """The stage's steps of traffic, watched for `bake_s` at each; what was seen.

    `asked` are the stage, the request to ask with, and what writes down what going on with the last bake takes.
    `BakeFailedError` leaves the traffic where it was when it went bad: whoever called puts it back.
    """
    stage, sample, keep = asked
    if not before:  # nothing to go back to, and nothing that is spared by going slowly
        target.set_traffic(wish.endpoint, {wish.name: ALL}, timeout_s=stage.start_timeout_s)
        return (ask(target, wish.endpoint, "", sample),)
    seen = []
    for shares in traffic_steps(stage.strategy, before, wish.name, stage.steps or ()):
        if shares == {wish.name: ALL}:
            keep(begun_on_azure(wish, before))
        target.set_traffic(wish.endpoint, shares, timeout_s=stage.start_timeout_s)
        words = f"{wish.name} takes {shares[wish.name]} % of the traffic"
        say(words)
        failpoint("traffic-shared")
        if sample is not None:
            seen.append(f"{words}, {_watch(target, (wish.endpoint, wish.name), stage, stage.bake_s, sample)}")
    try:
        return (*seen, ask(target, wish.endpoint, "", sample))
    except FailedError as exc:
        raise BakeFailedError(exc.message) from exc


def begun_on_azure(wish: AzureDeployment, before: Mapping[str, int]) -> Mapping[str, Any]:
    """What going on with the last bake, or undoing it, takes."""
    return {"endpoint": wish.endpoint, "deployment": wish.name, "model": wish.model, "before": dict(before)}


class AzureBake:
    """The last bake of a promotion whose command was killed, gone on with by another."""

    def __init__(self, target: Any, begun: Mapping[str, Any], stage: Stage, sample: bytes | None, say: Say) -> None:  # noqa: ANN401
        self._target, self._begun, self._stage, self._sample, self._say = target, begun, stage, sample, say
        self._endpoint, self._name = str(begun["endpoint"]), str(begun["deployment"])

    def is_open(self) -> bool:
        """Whether what served before stands, and the new version has the traffic or is to lose it."""
        there = self._target.deployments(self._endpoint)
        switched = self._target.traffic(self._endpoint).get(self._name) == ALL
        return all(n in there for n in self._begun["before"]) and (switched or bool(self._begun.get(FAILED)))

    def watch(self, seconds: float) -> str:
        """The rest of it; `FailedError` when the version does badly."""
        if self._sample is None:
            return ask(self._target, self._endpoint, self._name, None)
        seen = _watch(self._target, (self._endpoint, self._name), self._stage, seconds, self._sample)
        return f"{seen}; {ask(self._target, self._endpoint, '', self._sample)}"

    def put_back(self) -> None:
        """The traffic as before the promotion, and the version gone."""
        before, timeout_s = self._begun["before"], self._stage.start_timeout_s
        self._say(f"putting {', '.join(before)} back")
        self._target.set_traffic(self._endpoint, before, timeout_s=timeout_s)
        self._target.delete(self._endpoint, self._name, timeout_s=timeout_s)


def _watch(target: Any, asked: tuple[str, str], stage: Stage, seconds: float, sample: bytes) -> str:  # noqa: ANN401
    """Ask the deployment itself (`asked` are its endpoint and name) until the time is over, once at least; what is plainly bad is not waited out."""
    clock, limits = SystemClock(), BakeLimits(stage.max_error_rate, stage.max_latency_ms)
    deadline = clock.monotonic() + seconds
    took: list[float] = []
    errors = 0
    while True:
        begun = clock.monotonic()
        status, _ = target.score(*asked, sample)
        took.append(1000 * (clock.monotonic() - begun))
        errors += status != HTTPStatus.OK
        p99 = round(sorted(took)[math.ceil(0.99 * len(took)) - 1], 1)
        counts = {"answered": len(took), "errors": errors, "latency_ms": {"p99": p99}}
        verdicts = judge_bake({}, counts, limits)
        left = deadline - clock.monotonic()
        failed = [v for v in verdicts if not v.passed]
        if failed and (left <= 0 or len(took) >= ENOUGH):
            words = "; ".join(f"{v.rule}: {v.evidence}" for v in failed)
            raise BakeFailedError(f"`{asked[1]}` did badly under traffic ({words})")
        if left <= 0:
            return f"asked for {seconds:.3g} s: " + ", ".join(v.evidence for v in verdicts)
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
