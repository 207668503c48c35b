"""`--set`, `--add` and `--remove` of `update`."""

from __future__ import annotations

import pytest

from tidemill.base.errors import UsageError
from tidemill.spec.edits import apply_edits, parse_edits

BEFORE = {"tags": {"owner": "me"}, "nodes": [{"n": 1}, {"n": 2}], "size": "small"}


def test_fields_are_set_then_items_added_then_what_is_removed_is_gone() -> None:
    edits = parse_edits(
        ["size=big"], ["nodes n=3 m=x", 'nodes {"n": 4}', "names ada"], ["nodes 0", "tags.owner"], "a=1 b=c"
    )
    assert apply_edits(BEFORE, edits) == {
        "tags": {"a": "1", "b": "c"},
        "nodes": [{"n": 2}, {"n": 3, "m": "x"}, {"n": 4}],
        "size": "big",
        "names": ["ada"],
    }
    assert BEFORE["size"] == "small"


@pytest.mark.parametrize(
    ("add", "remove"),
    [("size x", ""), ("nodes", ""), ("", "nothing"), ("", "nodes 7"), ("", "nodes x"), ("", "size.a")],
)
def test_what_leads_nowhere_is_refused(add: str, remove: str) -> None:
    with pytest.raises(UsageError):
        apply_edits(BEFORE, parse_edits([], [add] if add else [], [remove] if remove else []))


def test_no_words_are_no_edits() -> None:
    assert not parse_edits([], [], [])
