"""Valid documents, broken systematically: each way of breaking is found, at its line, and nothing ever crashes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidemill.base.findings import Finding, Severity
from tidemill.spec.check import check_loaded
from tidemill.spec.load import load, load_source
from tidemill.spec.repository import Repository, scan
from tidemill.spec.source import parse_source

DOCUMENTS = Path(__file__).parents[2] / "documents"
VALID = sorted((DOCUMENTS / "valid").glob("*/*.yml"))
COMPONENTS = [p for p in VALID if p.parent.name.endswith("component")]
STRICT = [p for p in VALID if p.parent.name != "flow" and p not in COMPONENTS]  # flows are another tool's
LOCAL = re.compile(r"\.\./\.\./shared/[\w/]+")
STEP_OUTPUT = re.compile(r"\$\{\{parent\.jobs\.(\w+)\.outputs")
PIPELINE_INPUT = re.compile(r"\$\{\{ ?parent\.inputs\.(\w+)")
OWN_PORT = re.compile(r"\$\{\{(?:inputs|outputs)\.(\w+)")
TOP_KEY = re.compile(r"^[a-z_]+:", re.MULTILINE)


@cache
def repository() -> Repository:
    return scan(DOCUMENTS / "shared")


def findings_of(path: Path, text: str) -> tuple[Finding, ...]:
    return check_loaded(load_source(parse_source(path, text)), repository)


def errors_of(path: Path, text: str) -> list[Finding]:
    return [f for f in findings_of(path, text) if f.severity is Severity.ERROR]


def replaced(text: str, pattern: re.Pattern[str], group: int, new: str) -> Iterator[tuple[int, str]]:
    """Each text with one match's group replaced, and the line it stands in."""
    for found in pattern.finditer(text):
        start, end = found.span(group)
        yield text[:start].count("\n") + 1, text[:start] + new + text[end:]


def found_at(path: Path, text: str, line: int, codes: set[str]) -> bool:
    return any(f.code in codes and f.at.line == line for f in errors_of(path, text))


def ids(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", STRICT, ids=ids)
def test_an_unknown_top_level_field_is_found_at_its_line(path: Path) -> None:
    text = path.read_text() + "tide_table: 3\n"
    assert found_at(path, text, text.count("\n"), {"TM-D101"})


@pytest.mark.parametrize("path", COMPONENTS, ids=ids)
def test_of_an_unknown_field_of_a_component_azure_ignores_it_is_only_warned(path: Path) -> None:
    text = path.read_text() + "tide_table: 3\n"
    found = [(f.code, f.severity, f.at.line) for f in findings_of(path, text) if f.code in {"TM-D101", "TM-D106"}]
    assert ("TM-D106", Severity.WARNING, text.count("\n")) in found
    assert "TM-D101" not in {code for code, _, _ in found}


@pytest.mark.parametrize("path", COMPONENTS, ids=ids)
def test_a_slip_of_the_pen_in_a_components_field_is_an_error(path: Path) -> None:
    text = path.read_text() + "descripton: 3\n"
    assert found_at(path, text, text.count("\n"), {"TM-D101"})


@pytest.mark.parametrize("path", VALID, ids=ids)
def test_a_local_path_that_leads_nowhere_is_found_at_its_line(path: Path) -> None:
    for line, text in replaced(path.read_text(), LOCAL, 0, "../../shared/nowhere"):
        if text.splitlines()[line - 1].lstrip().startswith(("training_data", "validation_data", "code_configuration")):
            continue  # data Azure may make first; a folder in flow style beside its script
        if "{code:" not in text.splitlines()[line - 1]:
            assert found_at(path, text, line, {"TM-R101"}), text.splitlines()[line - 1]


@pytest.mark.parametrize("path", sorted((DOCUMENTS / "valid").glob("pipeline_*/*.yml")), ids=ids)
def test_a_binding_to_nothing_is_found_at_its_line(path: Path) -> None:
    source = path.read_text()
    for pattern in (STEP_OUTPUT, PIPELINE_INPUT):
        for line, text in replaced(source, pattern, 1, "nobody"):
            if re.search(r"(condition|metric|query|items)", text.splitlines()[line - 1]) is None:
                assert found_at(path, text, line, {"TM-B104"}), text.splitlines()[line - 1]


@pytest.mark.parametrize(
    "path", [p for p in VALID if p.parent.name.split("_")[0] in {"command", "sweep", "parallel", "spark"}], ids=ids
)
def test_a_command_that_uses_what_is_not_declared_is_found_at_its_line(path: Path) -> None:
    for line, text in replaced(path.read_text(), OWN_PORT, 1, "nobody"):
        assert found_at(path, text, line, {"TM-B108"}), text.splitlines()[line - 1]


@pytest.mark.parametrize("path", VALID, ids=ids)
def test_a_key_given_twice_is_found_at_its_line(path: Path) -> None:
    source = path.read_text()
    for key in TOP_KEY.findall(source):
        text = f"{source}{key} again\n"
        assert found_at(path, text, text.count("\n"), {"TM-D003"}), key


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def put(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(data)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("path", VALID, ids=ids)
def test_no_value_in_any_place_makes_the_check_crash(path: Path) -> None:
    data = yaml.safe_load(path.read_text())
    strange = [None, [], {}, -1, "${{", [None], {"type": ["x"]}]
    for number, place in enumerate(places(data)):
        text = yaml.safe_dump(put(data, place, strange[number % len(strange)]))
        errors_of(path, text)


def test_the_documents_used_here_are_valid_unbroken() -> None:
    assert all(load(path).valid for path in VALID)
