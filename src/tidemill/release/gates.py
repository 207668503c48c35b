"""Conditions a model version must meet before it is deployed: CEL over facts, every verdict with its evidence. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import celpy
from celpy.evaluation import CELEvalError

from tidemill.base.suggest import did_you_mean
from tidemill.spec.conditions import PART, Rule, names_in


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule came to, with the values that decided it."""

    rule: str
    passed: bool
    evidence: str
    values: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return {"rule": self.rule, "passed": self.passed, "evidence": self.evidence, "values": dict(self.values)}


def judge(rules: Sequence[Rule], facts: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """One verdict per rule, in order.

    A missing fact of the version never passes. The parts of a rule that compare with the champion are left out while
    there is none, and for the champion itself.
    """
    return tuple(_judge_one(rule, facts) for rule in rules)


def _judge_one(rule: Rule, facts: Mapping[str, Any]) -> Verdict:
    left_out = _left_out(facts) if _compares(rule.text) else ""
    values = {name: find_fact(facts, name) for name in rule.names if not (left_out and _compares(name))}
    if why := _unusable(values, facts):
        return _verdict(rule, {k: v for k, v in values.items() if v is not None}, why, passed=False)
    parts = [part for part in rule.parts if not (left_out and _compares(part))]
    result, why = _evaluate(" && ".join(f"({part})" for part in parts), facts) if parts else (True, "")
    said = ", ".join(f"{name} = {_number(value)}" for name, value in values.items())
    return _verdict(rule, values, "; ".join(words for words in (why or said, left_out) if words), passed=result)


def _verdict(rule: Rule, values: Mapping[str, Any], evidence: str, *, passed: bool) -> Verdict:
    return Verdict(rule.text, passed=passed, evidence=evidence, values=values)


def _compares(text: str) -> bool:
    return any(name.startswith("champion") for name in names_in(text))


def _left_out(facts: Mapping[str, Any]) -> str:
    """Why nothing is compared with the champion; empty when it is."""
    champion = facts.get("champion")
    if champion is None:
        return "there is no champion to compare with yet"
    return "the version is the champion itself" if champion.get("is_candidate") else ""


def _unusable(values: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """What is wrong with the facts a rule needs, if anything."""
    for name, value in values.items():
        if value is None:
            return _missing(name, facts)
        if isinstance(value, float) and not math.isfinite(value):
            return f"{name} is {value}, which nothing compares with"
    return ""


def _evaluate(text: str, facts: Mapping[str, Any]) -> tuple[bool, str]:
    """What a condition comes to; when it cannot pass for what it is, why."""
    environment = celpy.Environment()
    program = environment.program(environment.compile(text))
    try:
        result = program.evaluate({k: celpy.json_to_cel(v) for k, v in facts.items() if v is not None})
    except CELEvalError as exc:
        said = ", ".join(f"{n} = {_number(v)}" for n in names_in(text) if (v := find_fact(facts, n)) is not None)
        kinds = any(
            argument is TypeError for argument in exc.args
        )  # celpy's own words are its objects' representations
        return (
            False,
            f"it cannot be evaluated: {'its values are of kinds that do not go together' if kinds else exc.args[0]} ({said})",
        )
    if not isinstance(result, celpy.celtypes.BoolType | bool):
        return False, f"it is no condition: it comes to {_number(result)}"
    return bool(result), ""


def _missing(name: str, facts: Mapping[str, Any]) -> str:
    """A missing fact, with what there is instead."""
    *parents, leaf = _parts(name)
    there = _at(facts, parents)
    known = list(there) if isinstance(there, Mapping) else []
    hint = did_you_mean(leaf, known)
    return f"{name} is missing. {hint}" if hint else f"{name} is missing; nothing of `{'.'.join(parents)}` was recorded"


def find_fact(facts: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value at a name as rules write it; None when there is none."""
    return _at(facts, _parts(name))


def _parts(name: str) -> list[str]:
    """`metrics["a b"].c` → metrics, a b, c."""
    root = re.match(r"\w+", name)
    return [root.group() if root else "", *(part.strip(".[]\"'") for part in re.findall(PART, name))]


def _at(facts: Mapping[str, Any], parts: Sequence[str]) -> Any:  # noqa: ANN401
    value: Any = facts
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _number(value: Any) -> str:  # noqa: ANN401
    return f"{value:.6g}" if isinstance(value, float) else str(value)
