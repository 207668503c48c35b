"""Options that take several words, as az has them."""

from __future__ import annotations

import pytest

from tidemill.cli.words import regroup

NOUNS = frozenset({"job", "online-endpoint"})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("job create --set a=1 b.c=2 --stream", "job create --set a=1 --set b.c=2 --stream"),
        ("job create --set a=1 --set b=2", "job create --set a=1 --set b=2"),
        ("run --set a=1 b=2 pipeline.yml", "run --set a=1 --set b=2 pipeline.yml"),
        ("job create --set", "job create --set "),
        ("model list --set=a=1", "model list --set=a=1"),
    ],
)
def test_set_takes_several_assignments_and_leaves_files_alone(line: str, expected: str) -> None:
    assert regroup(line.split(" "), NOUNS) == expected.split(" ")


def test_traffic_and_tags_may_be_several_words_for_nouns_only() -> None:
    words = ["online-endpoint", "update", "--traffic", "blue=90", "green=10", "-n", "e"]
    assert regroup(words, NOUNS) == ["online-endpoint", "update", "--traffic", "blue=90 green=10", "-n", "e"]
    assert regroup(["job", "update", "--remove", "tags", "0"], NOUNS) == ["job", "update", "--remove", "tags 0"]
    assert regroup(["plan", "--add", "a", "b"], NOUNS) == ["plan", "--add", "a", "b"]
