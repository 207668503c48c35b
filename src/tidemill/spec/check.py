"""Files and folders → one report each, with everything that is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tidemill.base.findings import Finding, Severity, has_errors
from tidemill.base.frozen import frozen
from tidemill.spec.codes import CODES
from tidemill.spec.conda import is_conda, read_conda_file
from tidemill.spec.folders import walk_files
from tidemill.spec.kinds import Kind
from tidemill.spec.lint.files import is_read, kind_of
from tidemill.spec.load import Loaded, load
from tidemill.spec.partial import salvage
from tidemill.spec.policy import Policy, silenced_lines
from tidemill.spec.repository import Repository, scan
from tidemill.spec.rules.context import Context
from tidemill.spec.rules.table import RULES
from tidemill.spec.source import uncollected

TWIN = "TM-R105"
GetModels = Callable[[], Collection[str] | None]
"""Registered models, as `name` and `name:version`; None when nobody knows them."""


@frozen
class FileReport:
    """What `check` says of one file."""

    path: str
    kind: str
    valid: bool
    findings: tuple[Finding, ...]
    commented: tuple[Finding, ...] = ()
    switched_off: tuple[Finding, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The shape of `check -o json`."""
        return {
            "path": self.path,
            "kind": self.kind,
            "valid": self.valid,
            "findings": [f.as_json() for f in self.findings],
        }


@frozen
class Checked:
    """What `check` says of everything named, and the files the project wanted left out."""

    reports: tuple[FileReport, ...]
    ignored: tuple[Path, ...] = ()


def check_loaded(
    loaded: Loaded, get_repository: Callable[[], Repository], get_models: GetModels = lambda: None
) -> tuple[Finding, ...]:
    """Findings of one document: its fields', and its rules' about everything that can be read."""
    if loaded.document is not None:
        return _in_order((*loaded.findings, *_judge(loaded, get_repository, get_models)))
    partial = salvage(loaded)
    if partial is None:
        return _in_order(loaded.findings)
    said = {f.path for f in loaded.findings}
    found = partial.without_consequences(_judge(partial.loaded, get_repository, get_models))
    return _in_order((*loaded.findings, *(f for f in found if f.path not in said)))


def _judge(loaded: Loaded, get_repository: Callable[[], Repository], get_models: GetModels) -> list[Finding]:
    context = Context(loaded, get_repository, get_models)
    with uncollected(loaded.source.text):
        return [f for rule in RULES.get(loaded.kind, ()) for f in rule(context)]


def check_paths(paths: Sequence[Path], *, root: Path) -> list[FileReport]:
    """As `check_all`, with nothing ignored."""
    return list(check_all(paths, Policy(root)).reports)


def check_all(paths: Sequence[Path], policy: Policy, get_models: GetModels = lambda: None) -> Checked:
    """A report for every file named, and for every document and linted file of every folder named.

    A file that is no Azure ML document is reported only when it was named itself. What is named is looked at, ignored or not.
    """
    from tidemill.spec.lint.repository import lint_repository  # noqa: PLC0415 - a run checks its document, and no repository

    root = policy.root
    named = {p for p in paths if not p.is_dir()}
    files, ignored = _choose(paths, policy)
    documents = {p: load(p) for p in files if p in named or p.suffix in {".yml", ".yaml"}}

    @cache
    def get_repository() -> Repository:
        return scan(root, documents)

    reports: dict[Path, list[Finding]] = defaultdict(list)
    for path, loaded in documents.items():
        if path in named and loaded.kind is Kind.UNKNOWN and is_conda(loaded.data):
            reports[path] += read_conda_file(path)[1]
        elif loaded.kind is not Kind.UNKNOWN or _claims_azure(loaded) or (path in named and not _is_other(loaded)):
            for finding in check_loaded(loaded, get_repository, get_models):
                reports[Path(finding.at.file or path)].append(finding)  # a conda file's mistakes are its own
            reports.setdefault(path, [])
    if len(named) < len(paths):
        for path, finding in _twins(get_repository(), documents, policy):
            reports[path].append(finding)
    for path, finding in lint_repository(root, files):
        reports[path].append(finding)
    made = [_report(path, documents.get(path), reports[path], policy) for path in sorted(reports)]
    return Checked(tuple(made), tuple(ignored))


def _twins(repository: Repository, documents: Mapping[Path, Loaded], policy: Policy) -> Iterator[tuple[Path, Finding]]:
    """Documents of the same kind, name and version that differ: which one is meant is chance."""
    shown = {p.absolute(): p for p in documents}
    for group in repository.duplicates():
        first, *others = [d for d in group if d.path.absolute() in shown or not policy.leaves_out(d.path)] or group
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


def _choose(paths: Sequence[Path], policy: Policy) -> tuple[list[Path], list[Path]]:
    """The files to look at, each once, and those worth a look that the project ignores."""
    chosen: dict[Path, Path] = {}
    ignored: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            chosen.setdefault(path.absolute(), path)
            continue
        judge = not policy.leaves_out(path)
        for file in walk_files(path):
            left_out = judge and policy.leaves_out(file)
            if not left_out or is_read(file):
                (ignored if left_out else chosen).setdefault(file.absolute(), file)
    return list(chosen.values()), [file for place, file in ignored.items() if place not in chosen]


def _is_other(loaded: Loaded) -> bool:
    """Scripts, Dockerfiles, workflows and manifests are for the repository's rules alone."""
    path = loaded.path
    if path.suffix in {".py", ".sh", ".ps1", ".ipynb"} or "dockerfile" in path.name.casefold():
        return True
    return kind_of(path, _text(loaded)) in {"workflow", "devops", "manifest"}


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


def _report(path: Path, loaded: Loaded | None, findings: Sequence[Finding], policy: Policy) -> FileReport:
    kept: list[Finding] = []
    commented: list[Finding] = []
    off: list[Finding] = []
    lines = silenced_lines(_whole_text(path, loaded), path.suffix) if findings else {}
    for finding in dict.fromkeys(findings):
        judged = policy.judge(finding)
        if judged is None:
            off.append(finding)
        elif finding.at.file == str(path) and finding.code in lines.get(finding.at.line, ()):
            commented.append(judged)
        else:
            kept.append(judged)
    kind = loaded.kind if loaded is not None else Kind.UNKNOWN
    return FileReport(str(path), str(kind), not has_errors(kept), _in_order(kept), tuple(commented), tuple(off))


def _whole_text(path: Path, loaded: Loaded | None) -> str:
    if loaded is not None and loaded.source.text:
        return loaded.source.text
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    worst = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.at.line, f.at.column, worst[f.severity], f.code)))
