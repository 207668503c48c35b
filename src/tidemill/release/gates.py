"""Conditions a model version must meet before it is deployed: CEL over facts, every verdict with its evidence. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import celpy
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError

from tidemill.base.errors import UsageError
from tidemill.base.suggest import did_you_mean

ROOTS = ("metrics", "champion", "findings", "model", "latency", "fairness")
_PART = r"""\.[A-Za-z_]\w*|\["[^"]+"\]|\['[^']+'\]"""
_NAME = re.compile(rf"(?<![\w.\"'])(?:{'|'.join(ROOTS)})(?:{_PART})+")


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition; `names` are the facts it speaks of."""

    text: str
    names: tuple[str, ...]


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


def parse_rule(text: str) -> Rule:
    """`metrics.accuracy >= 0.95` → Rule; `UsageError` when it is no condition or speaks of no fact.

    A name that is no word is written in brackets: `metrics["val/f1-score"] > 0.9`.
    """
    try:
        celpy.Environment().compile(text)
    except CELParseError as exc:
        raise UsageError(
            f"The gate `{text}` is not a condition (column {exc.column})", hint="Example: metrics.accuracy >= 0.95"
        ) from exc
    names = tuple(dict.fromkeys(_NAME.findall(text)))
    if not names:
        raise UsageError(
            f"The gate `{text}` speaks of no fact", hint=f"Known facts: {', '.join(f'{r}.…' for r in ROOTS)}"
        )
    return Rule(text, names)


def judge(rules: Sequence[Rule], facts: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """One verdict per rule, in order. A missing fact does not pass; without a champion, or for the champion itself, a comparison with it does."""
    return tuple(_judge_one(rule, facts) for rule in rules)


def _judge_one(rule: Rule, facts: Mapping[str, Any]) -> Verdict:
    values = {name: find_fact(facts, name) for name in rule.names}
    champion = facts.get("champion")
    if (champion is None or champion.get("is_candidate")) and any(n.startswith("champion.") for n in rule.names):
        return Verdict(
            rule.text,
            passed=True,
            evidence="the version is the champion itself" if champion else "there is no champion to compare with yet",
            values={k: v for k, v in values.items() if v is not None},
        )
    missing = [name for name, value in values.items() if value is None]
    if missing:
        return Verdict(
            rule.text,
            passed=False,
            evidence=_missing(missing[0], facts),
            values={k: v for k, v in values.items() if v is not None},
        )
    empty = [name for name, value in values.items() if isinstance(value, float) and not math.isfinite(value)]
    if empty:
        return Verdict(
            rule.text,
            passed=False,
            evidence=f"{empty[0]} is {values[empty[0]]}, which nothing compares with",
            values=values,
        )
    environment = celpy.Environment()
    program = environment.program(environment.compile(rule.text))
    try:
        result = program.evaluate({k: celpy.json_to_cel(v) for k, v in facts.items() if v is not None})
    except CELEvalError as exc:
        return Verdict(rule.text, passed=False, evidence=f"it cannot be evaluated: {exc.args[0]}", values=values)
    said = ", ".join(f"{name} = {_number(value)}" for name, value in values.items())
    if not isinstance(result, celpy.celtypes.BoolType | bool):
        return Verdict(
            rule.text, passed=False, evidence=f"it is no condition: it comes to {_number(result)}", values=values
        )
    return Verdict(rule.text, passed=bool(result), evidence=said, values=values)


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
    return [root.group() if root else "", *(part.strip(".[]\"'") for part in re.findall(_PART, name))]


def _at(facts: Mapping[str, Any], parts: Sequence[str]) -> Any:  # noqa: ANN401
    value: Any = facts
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _number(value: Any) -> str:  # noqa: ANN401
    return f"{value:.6g}" if isinstance(value, float) else str(value)
