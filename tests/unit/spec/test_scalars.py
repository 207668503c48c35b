"""Words in any case, numbers that may be bindings, durations and moments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from tidemill.spec.scalars import AnyCase, Duration, Moment, OneOrMore, Real, Whole, snake

Tier: TypeAdapter[str] = TypeAdapter(Annotated[Literal["low_priority", "dedicated"], AnyCase])


@pytest.mark.parametrize("word", ["low_priority", "LowPriority", "LOW_PRIORITY"])
def test_azures_words_are_taken_in_either_spelling(word: str) -> None:
    assert Tier.validate_python(word) == "low_priority"


def test_a_binding_stands_for_any_word() -> None:
    assert Tier.validate_python("${{parent.inputs.tier}}") == "${{parent.inputs.tier}}"


def test_another_word_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(ValidationError, match="low_priority"):
        Tier.validate_python("cheap")


@pytest.mark.parametrize(
    ("word", "expected"), [("AUCWeighted", "auc_weighted"), ("XGBoost", "xg_boost"), ("a1B", "a1_b")]
)
def test_humps_become_underscores(word: str, expected: str) -> None:
    assert snake(word) == expected


@pytest.mark.parametrize("value", [3, "3", "${{parent.inputs.n}}"])
def test_a_whole_number_may_be_bound(value: Any) -> None:
    assert TypeAdapter(Whole).validate_python(value) in (3, "${{parent.inputs.n}}")


@pytest.mark.parametrize("value", ["three", 2.5, [3], None])
def test_what_is_no_whole_number_is_refused_once(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Whole).validate_python(value)
    assert caught.value.error_count() == 1


def test_a_real_number_may_be_text() -> None:
    assert TypeAdapter(Real).validate_python("1e-3") == 0.001


@pytest.mark.parametrize("value", ["PT30M", "P7D", "P1DT12H", "PT0.5S"])
def test_iso_durations_pass(value: str) -> None:
    assert TypeAdapter(Duration).validate_python(value) == value


@pytest.mark.parametrize("value", ["30m", "P", "PT", "7D", ""])
def test_other_durations_do_not(value: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(value)


@pytest.mark.parametrize("value", ["2026-05-01T09:30:00", "2026-05-01", "2026-05-01T09:30:00Z"])
def test_moments_pass(value: str) -> None:
    assert TypeAdapter(Moment).validate_python(value) == value


def test_one_word_and_many_are_both_words() -> None:
    assert TypeAdapter(OneOrMore).validate_python("a") == "a"
    assert TypeAdapter(OneOrMore).validate_python(["a", "b"]) == ["a", "b"]
