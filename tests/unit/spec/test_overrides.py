from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.base.errors import UsageError
from tidemill.spec.overrides import apply_overrides, parse_override

KEYS = st.from_regex(r"[A-Za-z_$][A-Za-z0-9_$-]{0,8}", fullmatch=True)


def set_(data: Any, *texts: str) -> Any:
    return apply_overrides(data, [parse_override(t) for t in texts])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.x=3", 3),
        ("inputs.x=0.5", 0.5),
        ("inputs.x=yes", True),
        ("inputs.x=010", 8),
        ("inputs.x=1e-3", "1e-3"),
        ("inputs.x='3'", "3"),
        ('inputs.x="a b"', "a b"),
        ("inputs.x=a=b", "a=b"),
        ("inputs.x=", ""),
        ("inputs.x=null", None),
        ("inputs.x=2024-01-31", "2024-01-31"),
        ('inputs.x={"path": "azureml:d:1"}', {"path": "azureml:d:1"}),
        ("inputs.x=[1, 2]", [1, 2]),
        ("inputs.x=azureml:data:3", "azureml:data:3"),
        ("inputs.x={broken", "{broken"),
        ("inputs.x=" + "[" * 5000, "[" * 5000),
    ],
)
def test_values_are_yaml_scalars_or_json(text: str, value: object) -> None:
    assert set_({"inputs": {}}, text)["inputs"]["x"] == value


def test_names_versions_and_tags_stay_text() -> None:
    assert set_({}, "version=1.10", "name=007", "tags.run=0.10") == {
        "version": "1.10",
        "name": "007",
        "tags": {"run": "0.10"},
    }
    assert set_({}, "inputs.version=3") == {"inputs": {"version": 3}}


def test_lists_are_reached_by_place_and_grow_by_one() -> None:
    data = {"a": [{"b": 1}, {"b": 2}]}
    assert set_(data, "a[1].b=5") == {"a": [{"b": 1}, {"b": 5}]}
    assert set_(data, "a[2].b=7")["a"][2] == {"b": 7}
    assert set_({}, "a[0]=x") == {"a": ["x"]}
    with pytest.raises(UsageError, match="no item"):
        set_(data, "a[4].b=7")


def test_what_was_there_is_not_changed() -> None:
    data = {"a": {"b": [1]}}
    set_(data, "a.b[0]=2", "a.c=3")
    assert data == {"a": {"b": [1]}}


def test_nothing_can_be_set_inside_a_reference() -> None:
    with pytest.raises(UsageError, match="not a mapping"):
        set_({"environment": "azureml:e:1"}, "environment.image=x")


@pytest.mark.parametrize("text", ["a", "=3", "", "..=1", "a..b=1", "a[x]=1"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="PATH=VALUE"):
        parse_override(text)


@given(st.lists(KEYS, min_size=1, max_size=4), st.integers(-(10**9), 10**9))
def test_what_is_set_can_be_read_back(path: list[str], value: int) -> None:
    data = set_({}, f"inputs.{'.'.join(path)}={value}")["inputs"]
    for part in path:
        data = data[part]
    assert data == value


@given(st.text(max_size=30))
def test_any_value_is_taken(raw: str) -> None:
    assert "x" in set_({}, f"inputs.x={raw}")["inputs"]
