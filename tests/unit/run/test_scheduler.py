"""Which steps may start."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidemill.run.scheduler import Scheduler
from tidemill.run.state import Status


def test_steps_start_in_the_order_of_the_document() -> None:
    scheduler = Scheduler({"b": set(), "a": set(), "c": {"b"}})
    assert [scheduler.take(), scheduler.take(), scheduler.take()] == ["b", "a", None]
    scheduler.ended("b", Status.COMPLETED)
    assert scheduler.take() == "c"


def test_after_a_failure_nothing_new_starts_and_everything_has_a_reason() -> None:
    scheduler = Scheduler({"a": set(), "below": {"a"}, "other": set(), "last": {"other"}})
    scheduler.take()
    assert scheduler.ended("a", Status.FAILED) == [
        ("below", "not started: `a` failed"),
        ("other", "not started: the job stopped when `a` failed"),
        ("last", "not started: the job stopped when `a` failed"),
    ]
    assert scheduler.take() is None
    assert scheduler.is_done


def test_told_to_go_on_only_what_hangs_on_the_failure_is_left_out() -> None:
    scheduler = Scheduler({"a": set(), "below": {"a"}, "further": {"below"}, "other": set()}, keep_going=True)
    scheduler.take()
    assert [name for name, _ in scheduler.ended("a", Status.FAILED)] == ["below", "further"]
    assert scheduler.take() == "other"


def test_a_running_step_may_end_after_the_job_stopped() -> None:
    scheduler = Scheduler({"a": set(), "b": set()})
    scheduler.take()
    scheduler.take()
    scheduler.ended("a", Status.FAILED)
    assert not scheduler.is_done
    scheduler.ended("b", Status.COMPLETED)
    assert scheduler.is_done


@given(st.lists(st.integers(0, 20), max_size=20), st.sets(st.integers(0, 20)), st.booleans())
def test_every_step_ends_or_is_left_out_exactly_once(parents: list[int], failing: set[int], keep_going: bool) -> None:
    graph = {str(i): {str(p) for p in (parents[i],) if p < i} for i in range(len(parents))}
    scheduler = Scheduler(graph, keep_going=keep_going)
    ended: list[str] = []
    while (name := scheduler.take()) is not None:
        status = Status.FAILED if int(name) in failing else Status.COMPLETED
        ended += [name, *(n for n, _ in scheduler.ended(name, status))]
    assert scheduler.is_done
    assert sorted(ended) == sorted(graph)
