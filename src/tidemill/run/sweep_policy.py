"""Which running trials are hopeless: bandit, median stopping, truncation, as Azure ML documents them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tidemill.run.sweep_settings import Policy, Sweep


@dataclass(frozen=True, slots=True)
class Course:
    """The primary metric of one trial so far; `judged` is how many of its values were looked at before."""

    values: Sequence[float]
    running: bool
    judged: int = 0


def due_interval(policy: Policy, course: Course) -> int:
    """The last number of values, not looked at before, at which the policy applies; 0 if there is none."""
    reached = len(course.values) // policy.interval * policy.interval
    return reached if reached > course.judged and reached >= max(policy.delay, 1) else 0


def find_hopeless(sweep: Sweep, courses: Mapping[int, Course]) -> dict[int, str]:
    """Running trials to be ended now, by number, with the reason."""
    policy = sweep.policy
    if policy is None:
        return {}
    reasons: dict[int, str] = {}
    for number, course in courses.items():
        at = due_interval(policy, course) if course.running else 0
        others = {n: c for n, c in courses.items() if n != number and len(c.values) >= at}
        if at and others:
            reason = _JUDGES[policy.type](sweep, policy, at, course, others)
            if reason:
                reasons[number] = reason
    return reasons


def _bandit(sweep: Sweep, policy: Policy, at: int, course: Course, others: Mapping[int, Course]) -> str:
    """Behind the best at the same interval by more than the slack."""
    mine = best_of(sweep, course.values[:at])
    best = best_of(sweep, [best_of(sweep, c.values[:at]) for c in others.values()])
    if policy.slack_factor:
        # best / (1 + factor) or best * (1 + factor), written so that it holds below zero too
        slack = abs(best) * (policy.slack_factor / (1 + policy.slack_factor) if sweep.maximize else policy.slack_factor)
    else:
        slack = policy.slack_amount
    bound = best - slack if sweep.maximize else best + slack
    return _say(at, mine, "the best with slack", bound) if _is_worse(sweep, mine, bound) else ""


def _median(sweep: Sweep, policy: Policy, at: int, course: Course, others: Mapping[int, Course]) -> str:
    """Its best is worse than the median of the running averages of all."""
    del policy
    mine = best_of(sweep, course.values[:at])
    bound = median([_mean(c.values[:at]) for c in (course, *others.values())])
    return _say(at, mine, "the median", bound) if _is_worse(sweep, mine, bound) else ""


def _truncate(sweep: Sweep, policy: Policy, at: int, course: Course, others: Mapping[int, Course]) -> str:
    """In the worst share of the trials that got as far."""
    rivals = [c for c in others.values() if c.running or not policy.exclude_finished]
    mine = course.values[at - 1]
    worse = sum(_is_worse(sweep, c.values[at - 1], mine) or c.values[at - 1] == mine for c in rivals)
    ended = math.floor((len(rivals) + 1) * policy.percentage / 100)
    if worse >= ended:
        return ""
    return f"at value {at} its {mine:.6g} is among the worst {policy.percentage}%"


_JUDGES = {"bandit": _bandit, "median_stopping": _median, "truncation_selection": _truncate, "truncation": _truncate}


def best_of(sweep: Sweep, values: Sequence[float]) -> float:
    """The value nearest to the goal."""
    return max(values) if sweep.maximize else min(values)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _is_worse(sweep: Sweep, one: float, other: float) -> bool:
    return sweep.is_better(other, one)


def _say(at: int, mine: float, what: str, bound: float) -> str:
    return f"at value {at} its best {mine:.6g} is behind {what}, {bound:.6g}"
