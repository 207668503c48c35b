"""What a sweep's document asks for, as numbers and names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.base.errors import FailedError
from tidemill.plan.graph import Step

MAXIMIZE = "maximize"


@dataclass(frozen=True, slots=True)
class Policy:
    """When hopeless trials are ended: looked at every `interval` values, from `delay` on."""

    type: str
    interval: int = 1
    delay: int = 0
    slack_factor: float = 0.0
    slack_amount: float = 0.0
    percentage: int = 0
    exclude_finished: bool = False


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep's settings. `sampling` is `random`, `sobol`, `grid` or `bayesian`."""

    space: Mapping[str, Mapping[str, Any]]
    sampling: str
    seed: int
    metric: str
    maximize: bool
    total: int
    concurrent: int
    timeout_s: float | None = None
    trial_timeout_s: float | None = None
    policy: Policy | None = None

    def is_better(self, one: float, other: float) -> bool:
        """Whether `one` is nearer to the goal."""
        return one > other if self.maximize else one < other


def read_sweep(step: Step) -> Sweep:
    """The settings of a sweep step; without a seed it is 0, so that a sweep can be repeated."""
    body = step.body
    objective, limits = body["objective"], body["limits"]
    sampling = body.get("sampling_algorithm") or {"type": "random"}
    if isinstance(sampling, str):
        sampling = {"type": sampling}
    kind, rule = str(sampling["type"]).lower(), str(sampling.get("rule") or "").lower()
    total = max(1, whole(limits["max_total_trials"], "limits.max_total_trials"))
    return Sweep(
        space=body.get("search_space") or {},
        sampling=rule if kind == "random" and rule == "sobol" else kind,
        seed=whole(sampling.get("seed"), "sampling_algorithm.seed"),
        metric=str(objective["primary_metric"]),
        maximize=str(objective["goal"]).lower() == MAXIMIZE,
        total=total,
        concurrent=whole(limits.get("max_concurrent_trials"), "limits.max_concurrent_trials") or total,
        timeout_s=whole(limits.get("timeout"), "limits.timeout") or None,
        trial_timeout_s=whole(limits.get("trial_timeout"), "limits.trial_timeout") or None,
        policy=_read_policy(body.get("early_termination")),
    )


def _read_policy(body: Mapping[str, Any] | None) -> Policy | None:
    if not body:
        return None
    return Policy(
        type=str(body["type"]).lower(),
        interval=max(1, whole(body.get("evaluation_interval") or 1, "early_termination.evaluation_interval")),
        delay=whole(body.get("delay_evaluation"), "early_termination.delay_evaluation"),
        slack_factor=real(body.get("slack_factor") or 0, "early_termination.slack_factor"),
        slack_amount=real(body.get("slack_amount") or 0, "early_termination.slack_amount"),
        percentage=whole(body.get("truncation_percentage"), "early_termination.truncation_percentage"),
        exclude_finished=bool(body.get("exclude_finished_jobs")),
    )


def whole(value: Any, name: str) -> int:  # noqa: ANN401 - a number, or the text an expression gave
    """A whole number; nothing is 0."""
    return int(real(value or 0, name))


def real(value: Any, name: str) -> float:  # noqa: ANN401
    """A number, also when an expression gave it as text."""
    try:
        return float(value)
    except (TypeError, ValueError) as exc:
        raise FailedError(f"`{name}` is `{value}`, which is not a number") from exc
