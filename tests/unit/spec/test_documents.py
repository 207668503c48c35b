"""Every document of `tests/documents`: the valid ones pass, each broken twin has exactly its one mistake."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tidemill.base.findings import Finding, Severity
from tidemill.spec.check import check_loaded, check_paths
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load
from tidemill.spec.repository import Repository, scan

DOCUMENTS = Path(__file__).parents[2] / "documents"
VALID = sorted((DOCUMENTS / "valid").glob("*/*.yml")) + sorted((DOCUMENTS / "shared/components").glob("*.yml"))
BROKEN = sorted((DOCUMENTS / "broken").glob("*/*.yml"))
EXPECTED = re.compile(r"# expect: (TM-\w+) (\d+) \S")


@cache
def repository() -> Repository:
    return scan(DOCUMENTS / "shared")


def errors_of(path: Path) -> list[Finding]:
    return [f for f in check_loaded(load(path), repository) if f.severity is Severity.ERROR]


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", VALID, ids=name)
def test_a_valid_document_has_no_errors(path: Path) -> None:
    assert errors_of(path) == []


@pytest.mark.parametrize("path", BROKEN, ids=name)
def test_a_broken_twin_has_its_one_mistake_at_its_line(path: Path) -> None:
    expected = EXPECTED.match(path.read_text())
    assert expected, "the first line says `# expect: CODE LINE what`"
    assert [(f.code, f.at.line) for f in errors_of(path)] == [(expected[1], int(expected[2]))]


@pytest.mark.parametrize("path", [p for p in VALID if p.parent.parent.name == "valid"], ids=name)
def test_a_document_is_of_the_kind_its_folder_names(path: Path) -> None:
    assert load(path).kind == path.parent.name


def test_there_is_a_document_and_a_broken_twin_of_every_kind() -> None:
    kinds = {str(k) for k in Kind} - {Kind.UNKNOWN, Kind.PROJECT}
    assert kinds - {p.parent.name for p in VALID} == set()
    assert kinds - {p.parent.name for p in BROKEN} == set()


def test_the_same_files_are_judged_the_same_from_any_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = DOCUMENTS / "valid/pipeline_job"
    here = [(r.path, r.findings) for r in check_paths([folder], root=DOCUMENTS)]
    monkeypatch.chdir(tmp_path)
    assert [(r.path, r.findings) for r in check_paths([folder], root=DOCUMENTS)] == here
