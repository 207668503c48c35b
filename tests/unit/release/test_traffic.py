"""Traffic moves in steps that always add up, and back when the new version does badly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidemill.release.traffic import BakeLimits, judge_bake, share_out, traffic_steps

LIMITS = BakeLimits(0.01, 50)


def test_blue_green_and_a_first_version_switch_at_once() -> None:
    assert traffic_steps("blue-green", {"old": 100}, "new") == ({"new": 100},)
    assert traffic_steps("canary", {}, "new") == ({"new": 100},)
    assert traffic_steps("canary", {"new": 10}, "new") == ({"new": 100},)


def test_a_canary_grows_and_the_others_keep_their_proportion() -> None:
    assert traffic_steps("canary", {"a": 90, "b": 10}, "c", [20]) == ({"a": 72, "b": 8, "c": 20}, {"c": 100})
    assert [s["new"] for s in traffic_steps("canary", {"old": 100}, "new")] == [10, 50, 100]


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 100), min_size=1, max_size=9), st.integers(0, 100))
def test_shares_always_sum_to_the_whole(weights: dict[str, int], total: int) -> None:
    shares = share_out(weights, total)
    assert sum(shares.values()) == total
    assert all(share >= 0 for share in shares.values())


def test_errors_deaths_and_slowness_speak_against_a_version() -> None:
    before = {"answered": 100, "errors": 5, "died": 0}
    good = judge_bake(before, {"answered": 300, "errors": 6, "died": 0, "latency_ms": {"p99": 20}}, LIMITS)
    assert [v.passed for v in good] == [True, True]
    bad = judge_bake(before, {"answered": 200, "errors": 9, "died": 1, "latency_ms": {"p99": 80}}, LIMITS)
    assert [v.passed for v in bad] == [False, False]
    assert [v.evidence for v in bad] == ["5 of 101 requests failed", "p99 = 80 ms"]


def test_no_traffic_is_no_evidence_against_it() -> None:
    (found,) = judge_bake({}, {}, BakeLimits(0.0))
    assert found.passed
    assert found.evidence == "no request came"
