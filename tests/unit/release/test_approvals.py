"""An approval is by a person, for these bytes, for a while."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tidemill.release.approvals import ApprovalRule, judge_approvals

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULE = ApprovalRule("production", needed=2, hours=3, author="ann")


def yes(by: str, hour: int = 11, digest: str = "d", stage: str = "production") -> dict[str, Any]:
    return {"by": by, "stage": stage, "digest": digest, "at": f"2026-11-20T{hour:02d}:00:00.000000Z"}


def test_two_people_are_enough_and_the_same_one_twice_is_not() -> None:
    assert judge_approvals([yes("bob"), yes("cid")], RULE, "d", NOW).enough
    assert not judge_approvals([yes("bob"), yes("bob", 10)], RULE, "d", NOW).enough


def test_the_author_and_an_old_yes_do_not_count_and_the_evidence_says_so() -> None:
    found = judge_approvals([yes("ann"), yes("bob", 8), yes("cid")], RULE, "d", NOW)
    assert not found.enough
    assert found.evidence == "1 of 2: cid; not counted: ann (the author), bob (expired)"


def test_capitals_and_spaces_make_nobody_a_second_person() -> None:
    assert not judge_approvals([yes("bob"), yes(" Bob ")], RULE, "d", NOW).enough
    assert judge_approvals([yes("Ann "), yes("bob")], RULE, "d", NOW).by == ("bob",)


def test_a_renewed_yes_counts_again() -> None:
    assert judge_approvals([yes("bob"), yes("bob", 8), yes("cid")], RULE, "d", NOW).enough


def test_a_yes_to_other_bytes_or_another_stage_is_none() -> None:
    found = judge_approvals([yes("bob", digest="e"), yes("cid", stage="staging")], RULE, "d", NOW)
    assert found.evidence == "0 of 2: nobody"
