"""Traffic onto a version that is ready and proven: in the stage's steps, watched at each, and back when it does badly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidemill.base.clock import SystemClock
from tidemill.base.errors import FailedError
from tidemill.release.ports import DeployTarget
from tidemill.release.traffic import BakeLimits, judge_bake, traffic_steps
from tidemill.spec.project import Stage

LOOK_S = 0.5
ENOUGH = 20  # requests before a bad rate is taken for more than chance, while there is time to wait for more


class BakeFailedError(FailedError):
    """A version did badly under real traffic; carries why."""


def shift_traffic(
    target: DeployTarget, endpoint: str, asked: Mapping[str, Any], name: str, stage: Stage, say: Callable[[str], None]
) -> None:
    """Step by step to 100 %, then drain and stop the others. `BakeFailedError` leaves the traffic where it was when it went bad."""
    if stage.bake_s > 0 and any(asked["traffic"].values()):
        for traffic in traffic_steps(stage.strategy, asked["traffic"], name, stage.steps or ()):
            target.put(endpoint, {**asked, "traffic": traffic})
            say(f"{name} takes {traffic[name]} % of the traffic, watched for {stage.bake_s:g} s")
            _bake(target, endpoint, name, stage)
    only = {n: d for n, d in asked["deployments"].items() if n == name}
    target.put(endpoint, {**asked, "deployments": only, "traffic": {name: 100}})


def _bake(target: DeployTarget, endpoint: str, name: str, stage: Stage) -> None:
    """Watch one step for its time; what is plainly bad is not waited out."""
    clock, limits = SystemClock(), BakeLimits(stage.max_error_rate, stage.max_latency_ms)
    before = target.numbers(endpoint).get(name, {})
    deadline = clock.monotonic() + stage.bake_s
    while True:
        left = deadline - clock.monotonic()
        clock.sleep(max(0.0, min(LOOK_S, left)))
        verdicts = judge_bake(before, target.numbers(endpoint).get(name, {}), limits)
        failed = [v for v in verdicts if not v.passed]
        if failed and (left <= 0 or verdicts[0].values["requests"] >= ENOUGH):
            words = "; ".join(f"{v.rule}: {v.evidence}" for v in failed)
            raise BakeFailedError(f"`{name}` did badly under traffic ({words})")
        if left <= 0:
            return
