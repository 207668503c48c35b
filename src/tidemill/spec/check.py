"""Files and folders → one report each, with everything that is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tidemill.base.findings import Finding, Severity, has_errors
from tidemill.spec.kinds import Kind
from tidemill.spec.load import Loaded, load
from tidemill.spec.repository import Repository, scan, yaml_files
from tidemill.spec.rules.context import Context
from tidemill.spec.rules.table import RULES
from tidemill.spec.source import uncollected


@dataclass(frozen=True, slots=True)
class FileReport:
    """What `check` says of one file."""

    path: str
    kind: str
    valid: bool
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """The shape of `check -o json`."""
        return {
            "path": self.path,
            "kind": self.kind,
            "valid": self.valid,
            "findings": [f.as_json() for f in self.findings],
        }


def check_loaded(loaded: Loaded, get_repository: Any) -> tuple[Finding, ...]:  # noqa: ANN401 - a function without arguments
    """Findings of one document: its fields', and its rules' when the fields are right."""
    if loaded.document is None:
        return _in_order(loaded.findings)
    context = Context(loaded, get_repository)
    with uncollected(loaded.source.text):
        found = [f for rule in RULES.get(loaded.kind, ()) for f in rule(context)]
    return _in_order((*loaded.findings, *found))


def check_paths(paths: Sequence[Path], *, root: Path) -> list[FileReport]:
    """A report for every file named, and for every document and linted file of every folder named.

    A file that is no Azure ML document is reported only when it was named itself.
    """

    @cache
    def get_repository() -> Repository:
        return scan(root)

    named = {p for p in paths if not p.is_dir()}
    documents = {p: load(p) for p in _files(paths) if p in named or _is_yaml(p)}
    reports: dict[Path, list[Finding]] = defaultdict(list)
    kinds: dict[Path, Kind] = {}
    for path, loaded in documents.items():
        if loaded.kind is Kind.UNKNOWN and path not in named and not _claims_azure(loaded):
            continue
        kinds[path] = loaded.kind
        reports[path] += check_loaded(loaded, get_repository)
    return [_report(path, kinds.get(path), reports[path]) for path in sorted(reports)]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        for file in yaml_files(path) if path.is_dir() else [path]:
            if file.absolute() not in seen:
                seen.add(file.absolute())
                yield file


def _is_yaml(path: Path) -> bool:
    return path.suffix in {".yml", ".yaml"}


def _claims_azure(loaded: Loaded) -> bool:
    """A broken file whose text says it is one of Azure ML's is worth a report although its kind is not known."""
    return bool(loaded.findings) and "azuremlschemas" in _text(loaded)


def _text(loaded: Loaded) -> str:
    if loaded.source.text:
        return loaded.source.text
    try:
        return loaded.path.read_bytes()[:4096].decode("utf-8", errors="replace")
    except OSError:
        return ""


def _report(path: Path, kind: Kind | None, findings: Sequence[Finding]) -> FileReport:
    ordered = _in_order(tuple(findings))
    return FileReport(str(path), str(kind or Kind.UNKNOWN), not has_errors(ordered), ordered)


def _in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    worst = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.at.line, f.at.column, worst[f.severity], f.code)))
