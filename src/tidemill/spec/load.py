"""The one door: a file becomes a typed, immutable document, or findings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tidemill.base.errors import Location, SpecError
from tidemill.base.findings import Finding, Severity, has_errors
from tidemill.base.frozen import frozen
from tidemill.base.suggest import did_you_mean
from tidemill.spec.deployable import deployment_findings, stage_findings
from tidemill.spec.kinds import Kind, detect_kind
from tidemill.spec.models import MODELS
from tidemill.spec.nulls import null_findings
from tidemill.spec.overrides import Override, apply_overrides
from tidemill.spec.problems import findings_of
from tidemill.spec.source import Source, read_source, uncollected
from tidemill.spec.tolerance import without_ignored

RUN_BY = {".py": "python", ".sh": "bash"}
NAMED = 4  # more kinds than that are said to be jobs
DEPLOYABLE = {Kind.PROJECT: stage_findings, Kind.ONLINE_DEPLOYMENT: deployment_findings}


@frozen
class Loaded:
    """One document as read. `document` is None when it cannot be used; `findings` says why. `data` is the plain mapping."""

    path: Path
    kind: Kind
    document: Any
    source: Source
    findings: tuple[Finding, ...]
    data: Any = None

    def locate(self, path: Sequence[str | int], *, key: bool = False) -> Location:
        """The place of a value (or key) in the file."""
        return self.source.locate(path, key=key)

    @property
    def valid(self) -> bool:
        """Whether nothing forbids its use."""
        return self.document is not None and not has_errors(self.findings)


def load(path: Path, *, overrides: Sequence[Override] = (), kind: Kind | None = None) -> Loaded:
    """Read one document. What is wrong with its content becomes findings; only a wrong override raises (`UsageError`)."""
    try:
        source = read_source(path)
    except SpecError as exc:
        findings = exc.findings or (Finding("TM-D001", Severity.ERROR, exc.message, exc.hint, Location(str(path))),)
        return Loaded(path, kind or Kind.UNKNOWN, None, Source(path, "", None), tuple(findings))
    return load_source(source, overrides=overrides, kind=kind)


def load_source(source: Source, *, overrides: Sequence[Override] = (), kind: Kind | None = None) -> Loaded:
    """As `load`, for a source already read."""
    data = apply_overrides(source.data(), overrides)
    if overrides:
        source = replace(source, given=tuple((o.path, f"--set {o.text}") for o in overrides))
    found = kind or detect_kind(data, source.path.name)
    findings = [*source.findings, *_unread(source, found, overrides)]
    document = None
    if not isinstance(data, dict):
        findings.append(
            _finding(
                source,
                "TM-D005",
                f"A document is a mapping of fields, not {'an empty file' if data is None else 'this'}",
                _job_for(source.path) if source.path.suffix in RUN_BY else "",
            )
        )
    elif found not in MODELS:
        findings.append(
            _finding(
                source, "TM-D004", "This is not an Azure ML document Tidemill knows", "Add `$schema:` and `type:`."
            )
        )
    else:
        document, problems = validate_document(MODELS[found], data, source)
        findings += [_with_longer_path(f, data, overrides) for f in problems]
        judge = DEPLOYABLE.get(found)
        if judge is not None:
            said = {f.path for f in findings}
            findings += [f for f in judge(data, source) if f.path not in said]
        if document is not None and found is not Kind.PROJECT:
            findings += null_findings(document, data, source)
    return Loaded(source.path, found, document, source, tuple(findings), data)


def _unread(source: Source, kind: Kind, overrides: Sequence[Override]) -> Iterator[Finding]:
    """Inputs that `--set` adds to a job whose document neither has nor reads them: mostly a slip of the pen."""
    data = source.data()
    if kind not in {Kind.COMMAND_JOB, Kind.PIPELINE_JOB} or not overrides or not isinstance(data, dict):
        return
    inputs = data.get("inputs") or {}
    for given in overrides:
        name = given.path[1] if given.path[0] == "inputs" and len(given.path) > 1 else ""
        if name and name not in inputs and not re.search(rf"inputs\.{re.escape(str(name))}\b", source.text):
            message = f"Nothing reads the input `{name}`: the document does not have it"
            yield Finding(
                "TM-D112", Severity.WARNING, message, did_you_mean(str(name), inputs), source.locate(given.path[:2])
            )


def _job_for(script: Path) -> str:
    """A job around a script that was given in its place."""
    return (
        f"A script runs as a job. Save `{{type: command, code: ., command: {RUN_BY[script.suffix]} {script.name}, "
        f"environment: {{image: python}}}}` as job.yml beside it, then: tidemill run job.yml"
    )


def _with_longer_path(finding: Finding, data: Any, overrides: Sequence[Override]) -> Finding:  # noqa: ANN401
    """`--set epochs=3` where there is an input `epochs` means `inputs.epochs`."""
    inputs = data.get("inputs")
    given = any(o.path[0] == finding.path for o in overrides)
    if finding.code == "TM-D101" and given and isinstance(inputs, dict) and finding.path in inputs:
        return replace(finding, hint=f"Did you mean `inputs.{finding.path}`?")
    return finding


@cache
def make_adapter(model: Any) -> TypeAdapter[BaseModel]:  # noqa: ANN401 - a model, or a union of models
    """The validator of a kind, built once."""
    return TypeAdapter(model)


def validate_document(model: Any, data: Any, source: Source) -> tuple[BaseModel | None, list[Finding]]:  # noqa: ANN401
    """The typed document, or what is wrong with it."""
    try:
        with uncollected(source.text):
            return make_adapter(model).validate_python(data), []
    except ValidationError as exc:
        rest, ignored = without_ignored(exc, model, source, data)
        if not ignored:
            return None, findings_of(exc, model, source, data)
    document, findings = validate_document(model, rest, source)
    return document, [*ignored, *findings]


def load_valid(path: Path, *, overrides: Sequence[Override] = (), expect: Collection[Kind] = ()) -> Loaded:
    """As `load`; `SpecError` with every finding when there is an error, or when the kind is not one of `expect`."""
    loaded = load(path, overrides=overrides)
    if not loaded.valid and not path.is_file():
        (lost,) = loaded.findings
        raise SpecError(lost.message, hint=lost.hint)
    if not loaded.valid:
        raise SpecError(
            f"{path} is not valid",
            findings=loaded.findings,
            hint="" if overrides else f"Run `tidemill check {path}` for everything about it.",
        )
    if expect and loaded.kind not in expect:
        names = [str(k).replace("_", " ") for k in expect]
        wanted = ", ".join(names) if len(names) <= NAMED else "job"
        hint = "Make what it declares: tidemill up" if loaded.kind is Kind.PROJECT else ""
        kind = str(loaded.kind).replace("_", " ")
        text = f"{path} is {'an' if kind[0] in 'aeiou' else 'a'} {kind}, not {'an' if wanted[0] in 'aeiou' else 'a'} {wanted}"
        raise SpecError(text, at=loaded.locate(()), hint=hint)
    return loaded


def _finding(source: Source, code: str, message: str, hint: str = "") -> Finding:
    return Finding(code, Severity.ERROR, message, hint, Location(source.file, 1, 1))


def _a(word: str) -> str:
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"
