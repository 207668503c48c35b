"""Early termination as Azure ML documents it."""

from __future__ import annotations

from tidemill.run.sweep_policy import Course, find_hopeless
from tidemill.run.sweep_settings import Policy, Sweep


def sweep(policy: Policy | None, *, maximize: bool = True) -> Sweep:
    return Sweep({}, "random", 0, "acc", maximize=maximize, total=9, concurrent=9, policy=policy)


def going(*values: float, judged: int = 0) -> Course:
    return Course(values, running=True, judged=judged)


def over(*values: float) -> Course:
    return Course(values, running=False)


def test_bandit_ends_what_is_behind_the_best_by_more_than_the_factor() -> None:
    # Microsoft's example: the best is 0.8, the factor 0.2, so below 0.666… ends
    policy = Policy("bandit", slack_factor=0.2)
    found = find_hopeless(sweep(policy), {0: over(0.8), 1: going(0.66), 2: going(0.67)})
    assert list(found) == [1]
    assert "0.66" in found[1]


def test_bandit_compares_at_the_same_value_not_with_what_came_later() -> None:
    policy = Policy("bandit", slack_amount=0.1)
    assert not find_hopeless(sweep(policy), {0: over(0.5, 0.9), 1: going(0.45)})
    assert list(find_hopeless(sweep(policy), {0: over(0.5, 0.9), 1: going(0.45, 0.5)})) == [1]


def test_bandit_minimizes_too() -> None:
    policy = Policy("bandit", slack_factor=0.5)
    assert list(find_hopeless(sweep(policy, maximize=False), {0: over(1.0), 1: going(1.6), 2: going(1.4)})) == [1]


def test_bandit_slack_of_a_negative_best_is_still_slack() -> None:
    policy = Policy("bandit", slack_factor=0.2)
    assert not find_hopeless(sweep(policy), {0: over(-0.5), 1: going(-0.55)})


def test_nothing_ends_before_the_delay_or_between_intervals() -> None:
    policy = Policy("bandit", interval=2, delay=4, slack_amount=0.1)
    best = over(*[0.9] * 8)
    poor = [0.1] * 8
    assert not find_hopeless(sweep(policy), {0: best, 1: going(*poor[:3])})
    assert find_hopeless(sweep(policy), {0: best, 1: going(*poor[:4])})
    assert not find_hopeless(sweep(policy), {0: best, 1: going(*poor[:5], judged=4)})
    assert find_hopeless(sweep(policy), {0: best, 1: going(*poor[:6], judged=5)})


def test_median_ends_what_is_worse_than_the_median_of_running_averages() -> None:
    policy = Policy("median_stopping")
    courses = {0: over(0.9, 0.9), 1: over(0.8, 0.8), 2: over(0.5, 0.7), 3: going(0.3, 0.4), 4: going(0.3, 0.95)}
    assert list(find_hopeless(sweep(policy), courses)) == [3]


def test_truncation_ends_the_worst_share() -> None:
    policy = Policy("truncation_selection", percentage=20)
    courses = {n: going(0.1 * n) for n in range(1, 6)}
    assert list(find_hopeless(sweep(policy), courses)) == [1]


def test_truncation_can_leave_finished_trials_out() -> None:
    courses = {0: over(0.1), 1: over(0.2), 2: going(0.3), 3: going(0.4)}
    assert not find_hopeless(sweep(Policy("truncation_selection", percentage=50)), courses)
    alone = find_hopeless(sweep(Policy("truncation_selection", percentage=50, exclude_finished=True)), courses)
    assert list(alone) == [2]


def test_a_lone_trial_and_a_sweep_without_policy_end_nothing() -> None:
    assert not find_hopeless(sweep(Policy("bandit", slack_amount=0.1)), {0: going(0.1)})
    assert not find_hopeless(sweep(None), {0: over(0.9), 1: going(0.1)})
