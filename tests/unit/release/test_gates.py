"""Gates fail closed and say why."""

from __future__ import annotations

import pytest

from tidemill.base.errors import UsageError
from tidemill.release.gates import judge
from tidemill.spec.conditions import parse_rule

FACTS = {
    "metrics": {"accuracy": 0.97, "loss": 0.1},
    "champion": {"metrics": {"accuracy": 0.96}},
    "findings": {"errors": 0},
}


def verdict(text: str, facts: dict[str, object] = FACTS) -> tuple[bool, str]:  # type: ignore[assignment]
    (found,) = judge([parse_rule(text)], facts)
    return found.passed, found.evidence


def test_a_met_condition_passes_with_the_values_that_decided_it() -> None:
    assert verdict("metrics.accuracy >= 0.95") == (True, "metrics.accuracy = 0.97")
    assert verdict("metrics.accuracy >= champion.metrics.accuracy - 0.01") == (
        True,
        "metrics.accuracy = 0.97, champion.metrics.accuracy = 0.96",
    )
    assert verdict("findings.errors == 0")[0]


def test_an_unmet_condition_does_not_pass() -> None:
    assert verdict("metrics.accuracy >= 0.99") == (False, "metrics.accuracy = 0.97")


def test_a_missing_metric_does_not_pass_and_names_what_there_is() -> None:
    passed, evidence = verdict("metrics.acuracy >= 0.5")
    assert not passed
    assert "`accuracy`" in evidence


def test_without_a_champion_only_the_comparison_with_it_is_left_out() -> None:
    facts: dict[str, object] = {"metrics": {"accuracy": 0.1}}
    compared = "metrics.accuracy >= champion.metrics.accuracy"
    assert verdict(compared, facts) == (True, "metrics.accuracy = 0.1; there is no champion to compare with yet")
    assert verdict(f"metrics.accuracy >= 0.9 && {compared}", facts)[0] is False
    assert verdict(f"metrics.accuracy >= 0.05 && ({compared} || champion.metrics.accuracy < 0.5)", facts)[0]


@pytest.mark.parametrize("champion", [None, {"metrics": {"accuracy": 0.97}, "is_candidate": True}])
def test_a_metric_nobody_logged_does_not_pass_for_want_of_a_champion(champion: object) -> None:
    facts: dict[str, object] = {"metrics": {"accuracy": 0.97}, "champion": champion}
    passed, evidence = verdict("metrics.f1 >= champion.metrics.f1 - 0.01", facts)
    assert not passed
    assert "metrics.f1 is missing" in evidence


def test_kinds_that_do_not_go_together_are_said_in_words() -> None:
    passed, evidence = verdict('metrics.accuracy > "x"')
    assert not passed
    assert evidence == (
        "it cannot be evaluated: its values are of kinds that do not go together (metrics.accuracy = 0.97)"
    )


def test_a_name_that_is_no_fact_is_refused_when_it_is_read() -> None:
    with pytest.raises(UsageError, match="`metric`, which is nothing") as refused:
        parse_rule("metrics.accuracy > 0.9 && metric.loss > 1")
    assert "Did you mean `metrics`" in refused.value.hint
    assert parse_rule("[0.9, 0.95].all(low, metrics.accuracy > low)").names == ("metrics.accuracy",)


def test_a_whole_number_compares_with_a_fraction() -> None:
    assert verdict("metrics.accuracy >= 0.95", {"metrics": {"accuracy": 1.0}})[0]
    assert verdict("metrics.accuracy >= 1", {"metrics": {"accuracy": 1.0}})[0]


@pytest.mark.parametrize("text", ["metrics.accuracy >=", "accuracy > 1 ???", "1 == 1", "acuracy >= 0.5"])
def test_what_is_no_condition_is_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rule(text)


def test_what_is_no_condition_does_not_pass_however_large_the_number() -> None:
    assert verdict("metrics.accuracy") == (False, "it is no condition: it comes to 0.97")


def test_a_metric_that_is_no_number_does_not_pass_even_where_the_rule_is_turned_round() -> None:
    assert not verdict("!(metrics.loss > 0.5)", {"metrics": {"loss": float("nan")}})[0]


def test_names_that_are_no_words_are_written_in_brackets() -> None:
    facts: dict[str, object] = {"metrics": {"val/f1-score": 0.8}}
    assert verdict('metrics["val/f1-score"] >= 0.7', facts) == (True, 'metrics["val/f1-score"] = 0.8')
    passed, evidence = verdict("metrics['val/f1'] >= 0.7", facts)
    assert not passed
    assert "val/f1-score" in evidence


def test_division_by_zero_does_not_pass() -> None:
    assert not verdict("metrics.accuracy / metrics.loss > 1.0", {"metrics": {"accuracy": 1, "loss": 0}})[0]
