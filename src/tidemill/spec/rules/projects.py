"""The project file: codes it names must be codes, gates conditions."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from tidemill.base.errors import UsageError
from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.codes import CODES
from tidemill.spec.conditions import parse_rule
from tidemill.spec.rules.context import Context
from tidemill.spec.rules.documents import conda_file_findings, missing_path


def check_codes(context: Context) -> Iterator[Finding]:
    """`check.codes` speaks of findings that exist."""
    check = context.document.check
    for code in check.codes if check is not None else ():
        if code not in CODES:
            hint = did_you_mean(code, CODES)
            yield context.finding(
                "TM-X90", f"No finding has the code `{code}`", ("check", "codes", code), hint=hint, key=True
            )


def check_environments(context: Context) -> Iterator[Finding]:
    """What stands for an environment is there, and can be built."""
    for name, mapping in context.document.environments.items():
        yield from conda_file_findings(context, mapping.conda_file, ("environments", name, "conda_file"))
        if mapping.requirements is not None:
            at = ("environments", name, "requirements")
            yield from missing_path(context, mapping.requirements, at, "requirements file")


def check_gates(context: Context) -> Iterator[Finding]:
    """Every gate is a condition. Without the extra that reads them none is judged here: `up` says so."""
    if find_spec("celpy") is None:
        return
    project = context.document
    places: list[tuple[tuple[str, ...], list[str]]] = [(("gates",), project.gates)]
    places += [(("stages", name, "gates"), stage.gates) for name, stage in project.stages.items()]
    for path, texts in places:
        for number, text in enumerate(texts):
            try:
                parse_rule(text)
            except UsageError as exc:
                yield context.finding("TM-D111", exc.message, (*path, number), hint=exc.hint)
