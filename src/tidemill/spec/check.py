"""Files and folders → one report each, with everything that is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tidemill.base.findings import Finding, Severity, has_errors
from tidemill.spec.codes import CODES
from tidemill.spec.kinds import Kind
from tidemill.spec.lint import lint_repository
from tidemill.spec.load import Loaded, load
from tidemill.spec.partial import salvage
from tidemill.spec.repository import Repository, scan, yaml_files
from tidemill.spec.rules.context import Context
from tidemill.spec.rules.table import RULES
from tidemill.spec.source import uncollected

TWIN = "TM-R105"


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


def check_loaded(loaded: Loaded, get_repository: Callable[[], Repository]) -> tuple[Finding, ...]:
    """Findings of one document: its fields', and its rules' about everything that can be read."""
    if loaded.document is not None:
        return _in_order((*loaded.findings, *_judge(loaded, get_repository)))
    partial = salvage(loaded)
    if partial is None:
        return _in_order(loaded.findings)
    said = {f.path for f in loaded.findings}
    found = partial.without_consequences(_judge(partial.loaded, get_repository))
    return _in_order((*loaded.findings, *(f for f in found if f.path not in said)))


def _judge(loaded: Loaded, get_repository: Callable[[], Repository]) -> list[Finding]:
    context = Context(loaded, get_repository)
    with uncollected(loaded.source.text):
        return [f for rule in RULES.get(loaded.kind, ()) for f in rule(context)]


def check_paths(paths: Sequence[Path], *, root: Path) -> list[FileReport]:
    """A report for every file named, and for every document and linted file of every folder named.

    A file that is no Azure ML document is reported only when it was named itself.
    """
    named = {p for p in paths if not p.is_dir()}
    documents = {p: load(p) for p in _files(paths)}

    @cache
    def get_repository() -> Repository:
        return scan(root, documents)

    reports: dict[Path, list[Finding]] = defaultdict(list)
    for path, loaded in documents.items():
        if loaded.kind is not Kind.UNKNOWN or _claims_azure(loaded) or (path in named and not _is_other(path)):
            reports[path] += check_loaded(loaded, get_repository)
    if len(named) < len(paths):
        for path, finding in _twins(get_repository(), documents):
            reports[path].append(finding)
    for path, finding in lint_repository(root, paths):
        reports[path].append(finding)
    return [_report(path, documents.get(path), reports[path]) for path in sorted(reports)]


def _twins(repository: Repository, documents: Mapping[Path, Loaded]) -> Iterator[tuple[Path, Finding]]:
    """Documents of the same kind, name and version that differ: which one is meant is chance."""
    shown = {p.absolute(): p for p in documents}
    for group in repository.duplicates():
        first, *others = group
        for loaded in others:
            path = shown.get(loaded.path.absolute())
            if path is None:
                continue
            label = f"{loaded.data['name']}:{loaded.data.get('version', 'no version')}"
            text = f"`{label}` is declared in `{_relative(first.path, repository.root)}` too, with other content"
            at = loaded.source.locate(("name",))
            finding = Finding(TWIN, CODES[TWIN].severity, text, "Give one of them another name or version.", at, "name")
            yield path, finding.with_file(str(path))


def _relative(path: Path, root: Path) -> str:
    base = root.absolute()
    return path.relative_to(base).as_posix() if base in path.parents else str(path)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        for file in yaml_files(path) if path.is_dir() else [path]:
            if file.absolute() not in seen:
                seen.add(file.absolute())
                yield file


def _is_other(path: Path) -> bool:
    """Scripts and Dockerfiles are for the repository's rules alone."""
    return path.suffix in {".py", ".sh", ".ps1", ".ipynb"} or "dockerfile" in path.name.casefold()


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


def _report(path: Path, loaded: Loaded | None, findings: Sequence[Finding]) -> FileReport:
    ordered = _in_order(tuple(findings))
    kind = loaded.kind if loaded is not None else Kind.UNKNOWN
    return FileReport(str(path), str(kind), not has_errors(ordered), ordered)


def _in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    worst = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.at.line, f.at.column, worst[f.severity], f.code)))
