"""Documents broken at random: whatever the text, `check` gives findings with places, quickly, and never an exception.

`TIDEMILL_FUZZ_INPUTS=100000 pytest tests/unit/spec/test_fuzz.py` makes it the long run; `TIDEMILL_FUZZ_SEED` another one.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

from tidemill.base.errors import SpecError
from tidemill.spec.check import check_loaded
from tidemill.spec.load import load_source
from tidemill.spec.repository import Repository, scan
from tidemill.spec.source import parse_source

INPUTS = int(os.environ.get("TIDEMILL_FUZZ_INPUTS", "3000"))
SEED = int(os.environ.get("TIDEMILL_FUZZ_SEED", "20261121"))
SLOWEST_S = 5.0
DOCUMENTS = Path(__file__).parents[2] / "documents"
CORPUS = [(p, p.read_text()) for p in sorted(DOCUMENTS.glob("*/*/*.yml")) if p.stat().st_size < 20_000]
ODD = [
    "${{", "}}", "${{parent.}}", "${{parent.jobs.x.outputs.y}}", "${{inputs}}", "$[[", "]]", "$[[${{inputs.x}}]]", "azureml:", "azureml:a:b:c",
    "azureml:x@", "azureml://", "azureml://registries/r/components/c/versions/1", "../../../..", "~", "null", "[]", "{}", "!!python/object:os.system x",
    "&a [*a]", "*a", "<<: *a", "---", "...", "\t", "\x00", "\x85", "\ufeff", "é", "🌊", "9" * 400, "1e999", ".nan", "-.inf", "0x1F", "1_000", "yes", "on",
    "2026-11-21", "? [a]", "|\n  x", ">-\n  y", "'", '"', "#", ": ", "- ", "%", "@", "`", "type: pipeline", "type: command", "type: 3", "inputs: 5", "jobs: [1]",
    "limits: {timeout: -1}", "traffic: {a: 101}", "search_space: {x: {type: choice}}", "{{ jinja }}", "<<<<<<< HEAD", "=======", "a: &x {b: *x}",
]  # fmt: skip
VALUES: list[object] = [
    None,
    True,
    -1,
    0,
    10**30,
    1.5,
    "",
    " ",
    "x" * 3000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"type": None},
    {"a": {"b": []}},
    "${{parent.inputs.x}}",
]


@cache
def repository() -> Repository:
    return scan(DOCUMENTS / "shared")


def cut_characters(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + text[min(len(text), at + chance.randrange(1, 30)) :]


def insert_odd(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(ODD) + text[at:]


def shuffle_lines(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    i, j = chance.randrange(len(lines)), chance.randrange(len(lines))
    what = chance.randrange(4)
    if what == 0:
        lines[i], lines[j] = lines[j], lines[i]
    elif what == 1:
        lines.insert(j, lines[i])
    elif what == 2:
        del lines[i]
    else:
        lines[i] = " " * chance.randrange(5) + lines[i].lstrip(" ")
    return "".join(lines)


def splice(text: str, chance: random.Random) -> str:
    other = chance.choice(CORPUS)[1].splitlines(keepends=True)
    lines = text.splitlines(keepends=True)
    at, start = chance.randrange(len(lines) + 1), chance.randrange(len(other) + 1)
    return "".join(lines[:at] + other[start : start + chance.randrange(1, 8)] + lines[at:])


def change_tree(text: str, chance: random.Random) -> str:
    """A value somewhere becomes another kind of value."""
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    holders: list[tuple[dict[object, object] | list[object], object]] = []
    todo: list[object] = [data]
    seen: set[int] = set()  # an anchor may hold itself
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        pairs = (
            list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
        )
        holders += [(node, key) for key, _ in pairs]  # type: ignore[misc]
        todo += [value for _, value in pairs]
    if not holders:
        return text
    holder, key = chance.choice(holders)
    if isinstance(holder, dict) and chance.random() < 0.3:
        holder[chance.choice(["nobody", 5, "", "type", "inputs", "x.y", "$schema"])] = holder.pop(key)
    else:
        holder[key] = chance.choice(VALUES)  # type: ignore[index]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


MUTATIONS: list[Callable[[str, random.Random], str]] = [
    cut_characters,
    insert_odd,
    shuffle_lines,
    splice,
    change_tree,
    change_tree,
]


def examine(path: Path, text: str) -> None:
    """`check` of a text; what it must not do fails."""
    began = time.process_time()
    try:
        found = list(check_loaded(load_source(parse_source(path, text)), repository))
    except SpecError as exc:
        found = list(exc.findings)
        assert found, "refused without a finding"
    assert time.process_time() - began < SLOWEST_S, "too slow"
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + 2
    for finding in found:
        assert finding.code.startswith("TM-"), finding
        assert 0 < finding.at.line <= lines, finding
        assert finding.message.strip(), finding


@pytest.mark.timeout(0 if INPUTS > 10_000 else 300)
def test_no_text_makes_check_fail() -> None:
    chance = random.Random(SEED)
    for number in range(INPUTS):
        path, text = chance.choice(CORPUS)
        for _ in range(chance.randrange(1, 5)):
            text = chance.choice(MUTATIONS)(text, chance)
        try:
            examine(path, text)
        except Exception as exc:
            raise AssertionError(
                f"input {number} of seed {SEED} ({path.name}): {type(exc).__name__}: {exc}\n{text[:3000]}"
            ) from exc
