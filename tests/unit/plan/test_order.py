"""Orders and cycles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidemill.plan.order import find_cycle, sort_steps


def test_without_dependencies_the_given_order_stays() -> None:
    assert sort_steps({"b": set(), "a": set(), "c": set()}) == ["b", "a", "c"]


def test_a_step_comes_after_what_it_needs() -> None:
    assert sort_steps({"a": {"b"}, "b": set()}) == ["b", "a"]


def test_a_cycle_is_found_even_behind_a_tail() -> None:
    assert find_cycle({"tail": {"a"}, "a": {"b"}, "b": {"a"}}) in (["a", "b", "a"], ["b", "a", "b"])


def test_no_cycle_is_nothing() -> None:
    assert find_cycle({"a": set(), "b": {"a"}}) == ()


@given(st.lists(st.integers(0, 30), max_size=30))
def test_every_acyclic_graph_is_ordered_whole(parents: list[int]) -> None:
    graph = {str(i): {str(p) for p in (parents[i],) if p < i} for i in range(len(parents))}
    ordered = sort_steps(graph)
    assert sorted(ordered, key=int) == list(graph)
    place = {name: i for i, name in enumerate(ordered)}
    assert all(place[need] < place[name] for name, needs in graph.items() for need in needs)
