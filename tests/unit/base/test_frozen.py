"""Frozen classes behave as the standard decorator's."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from tidemill.base.frozen import frozen, slotted, unique


@frozen
class Point:
    x: int
    y: int = 2
    note: str = field(default="", compare=False, repr=False)


@frozen
class Named(Point):
    name: str = "origin"


@frozen
class Nothing:
    pass


@dataclass(frozen=True, slots=True)
class Standard:
    x: int
    y: int = 2
    note: str = field(default="", compare=False, repr=False)


def test_what_is_compared_hashed_and_shown_is_as_the_standard_decorator_has_it() -> None:
    ours, theirs = Point(1, note="a"), Standard(1, note="a")
    assert ours == Point(1, note="b")
    assert ours != Point(1, 3)
    assert ours != theirs
    assert Point(1) != Named(1)
    assert {ours, Point(1)} == {ours}
    assert repr(ours) == repr(theirs).replace("Standard", "Point") == "Point(x=1, y=2)"
    assert repr(Named(1)) == "Named(x=1, y=2, name='origin')"


def test_a_class_without_fields_has_equal_objects() -> None:
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    assert repr(Nothing()) == "Nothing()"


def test_nothing_can_be_changed_or_added() -> None:
    point: Any = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert not hasattr(point, "__dict__")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p)), replace])
def test_copies_are_equal(again: Callable[[Point], Point]) -> None:
    assert again(Named(1, name="far")) == Named(1, name="far")


def test_it_is_a_data_class_for_who_asks() -> None:
    assert [f.name for f in fields(Named)] == ["x", "y", "note", "name"]
    assert replace(Named(1), x=5) == Named(5)


@slotted
class Counter:
    name: str
    seen: list[int] = field(default_factory=list)
    put: int = 0


@unique
class Node:
    name: str


def test_what_may_change_has_defaults_of_its_own_and_is_equal_to_itself_alone() -> None:
    one, other = Counter("a"), Counter(name="a", put=0)
    one.seen.append(1)
    one.put += 1
    assert (one.seen, one.put, other.seen) == ([1], 1, [])
    assert one != other
    assert len({one, other}) == 2
    assert repr(other) == "Counter(name='a', seen=[], put=0)"
    assert not hasattr(one, "__dict__")


def test_what_is_unique_cannot_be_changed_and_equals_nothing_else() -> None:
    node: Any = Node("a")
    with pytest.raises(FrozenInstanceError):
        node.name = "b"
    assert node == node  # noqa: PLR0124
    assert node != Node("a")
    assert replace(node, name="c").name == "c"


@pytest.mark.parametrize("kind", [Counter, Node, Point])
def test_too_few_and_unknown_arguments_are_refused_by_name(kind: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        kind()
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        kind("a", colour=1)
