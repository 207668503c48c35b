"""History answers who served when; a version that was taken back does not return by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tidemill.release.history import (
    find_between,
    find_hold,
    find_holds,
    find_previous,
    find_serving,
    find_spans,
    newest_first,
)


def release(version: str, hour: int, stage: str = "production") -> dict[str, Any]:
    return {"stage": stage, "version": version, "digest": f"d{version}", "at": f"2026-11-20T{hour:02d}:00:00.000000Z"}


def held(version: str, hour: int, kind: str = "hold") -> dict[str, Any]:
    return {"kind": kind, "stage": "production", "digest": f"d{version}", "at": f"2026-11-20T{hour:02d}:30:00.000000Z"}


RELEASES = [release("1", 8), release("2", 10), release("9", 11, "staging"), release("3", 12)]


def test_what_served_a_stage_at_a_moment() -> None:
    found = find_serving(RELEASES, "production", datetime(2026, 11, 20, 11, 59, tzinfo=UTC))
    assert found is not None
    assert found["version"] == "2"
    assert find_serving(RELEASES, "production", datetime(2026, 11, 20, 7, tzinfo=UTC)) is None
    assert [r["version"] for r in newest_first(RELEASES, "production")] == ["3", "2", "1"]


def test_rolling_back_twice_goes_on_to_older_versions_and_never_to_one_that_is_held() -> None:
    first = find_previous(RELEASES, [], "production")
    assert first is not None
    assert first["version"] == "2"
    after = [*RELEASES, release("2", 13)]
    second = find_previous(after, [held("3", 13)], "production")
    assert second is not None
    assert second["version"] == "1"
    assert find_previous([*after, release("1", 14)], [held("3", 13), held("2", 14)], "production") is None


def test_a_second_hold_does_not_lift_the_first_and_a_lift_lifts_both() -> None:
    records = [held("3", 13), held("2", 14)]
    assert set(find_holds(records, "production")) == {"d3", "d2"}
    assert find_holds(records, "staging") == {}
    lifted = {k: v for k, v in held("", 15, "lift").items() if k != "digest"}
    assert find_holds([*records, lifted], "production") == {}
    assert set(find_holds([*records, lifted, held("4", 16)], "production")) == {"d4"}
    assert set(find_holds([*records, held("3", 15, "lift")], "production")) == {"d2"}


def test_a_rollback_away_from_what_was_never_written_down_goes_to_what_was_released_last() -> None:
    found = find_previous(RELEASES, [], "production", release("4", 13))
    assert found is not None
    assert found["version"] == "3"


def test_a_model_whose_scoring_code_was_bad_goes_back_to_its_own_code_of_before_and_comes_in_with_other_code() -> None:
    good, bad = {**release("3", 13), "code": "good"}, {**release("3", 14), "code": "bad"}
    assert find_previous([*RELEASES, good, bad], [], "production") == good
    with_code = {**held("3", 14), "code": "bad"}
    in_force = find_holds([with_code], "production")
    assert [find_hold(in_force, r) for r in (good, bad)] == [None, with_code]
    assert find_previous([*RELEASES, good, bad], [with_code], "production", good) == release("3", 12)
    assert (
        find_holds([with_code, {**with_code, "kind": "lift", "at": "2026-11-20T15:00:00.000000Z"}], "production") == {}
    )
    whole = find_holds([held("3", 14)], "production")
    assert find_hold(whole, good) == find_hold(whole, bad) == held("3", 14)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 20, hour, minute, tzinfo=UTC)


def down(hour: int, stage: str = "production") -> dict[str, Any]:
    return {"stage": stage, "at": f"2026-11-20T{hour:02d}:00:00.000000Z", "by": "max"}


def test_nothing_serves_after_a_takedown_until_the_next_release() -> None:
    releases = [*RELEASES, release("4", 16)]
    for hour, version in ((13, "3"), (14, None), (15, None), (16, "4")):
        found = find_serving(releases, "production", at(hour), [down(14), down(9, "staging")])
        assert (found and found["version"]) == version
    assert find_serving(RELEASES, "production", None, [down(14)]) is None


def test_a_day_has_everything_that_served_on_it_and_the_times_nothing_did() -> None:
    spans = find_spans([*RELEASES, release("4", 16)], [down(14)], "production")

    def told(start: datetime, end: datetime) -> list[str]:
        return [s.get("version", s["event"]) for s in find_between(spans, start, end)]

    assert told(at(11), at(15)) == ["2", "3", "down"]
    assert told(at(12), at(12)) == ["3"], "one moment has one answer"
    assert told(at(15), at(15)) == ["down"]
    assert told(at(1), at(2)) == []
    assert [(s["since"][11:13], s["until"][11:13]) for s in spans[-2:]] == [("14", "16"), ("16", "")]
