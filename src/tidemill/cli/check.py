"""`tidemill check PATH…`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tidemill.app.check import check_all, fix
from tidemill.base.errors import UsageError
from tidemill.base.findings import Finding, Severity
from tidemill.base.suggest import did_you_mean
from tidemill.cli.errors import print_findings
from tidemill.cli.options import everywhere
from tidemill.cli.output import print_value
from tidemill.cli.reports import github_line, make_sarif
from tidemill.spec.check import Checked, FileReport
from tidemill.spec.codes import CODES
from tidemill.spec.mends import MENDS

ROUNDS = 10
_SHORT = re.compile(r"^(?:TM-)?([A-Z])(\d)$")  # TM-X5 is TM-X05
FORMATS = ("human", "json", "sarif", "github")
NOTHING = (
    "nothing to check: no Azure ML document (YAML with `$schema:` or `type:`), workflow, Dockerfile, manifest or script"
    " that calls `az` is here\n"
)


@click.command("check")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "fmt", type=click.Choice(FORMATS), default="human", show_default=True, help="Output format."
)
@click.option("--fix", "mend", is_flag=True, help="Mend what can be mended without judgement.")
@click.option("--all", "show_all", is_flag=True, help="Show matters of taste (info) too.")
@click.option("--explain", metavar="CODE", help="What a code means, why it matters and how to mend it.")
@everywhere
def command(paths: tuple[Path, ...], fmt: str, explain: str | None, *, mend: bool, show_all: bool) -> int:
    """Validate files or folders (default: here): every finding with file:line:column, a stable code and a hint.

    Exit code 1 when there is an error, 0 otherwise.
    """
    if explain:
        _explain(explain.upper())
        return 0
    chosen = list(paths) or [Path()]
    checked = check_all(chosen)
    if mend:
        checked = _mend(chosen, checked)
    shown = tuple(_visible(r, show_all=show_all) for r in checked.reports)
    _print(Checked(shown, checked.ignored), fmt)
    return 0 if all(r.valid for r in checked.reports) else 1


def _mend(chosen: Sequence[Path], checked: Checked) -> Checked:
    """Mended as far as it goes: one finding may show only when another is gone."""
    mended: set[Path] = set()
    for _ in range(ROUNDS):
        changed = fix(checked.reports)
        if not changed:
            break
        mended.update(changed)
        checked = check_all(chosen)
    for path in sorted(mended):
        click.echo(f"mended {path}", err=True)
    return checked


def _visible(report: FileReport, *, show_all: bool) -> FileReport:
    def some(findings: Sequence[Finding]) -> tuple[Finding, ...]:
        return tuple(f for f in findings if show_all or f.severity is not Severity.INFO)

    commented, off = some(report.commented), some(report.switched_off)
    return FileReport(report.path, report.kind, report.valid, some(report.findings), commented, off)


def _print(checked: Checked, fmt: str) -> None:
    findings = [f for r in checked.reports for f in r.findings]
    if fmt == "json":
        files = [r.as_json() for r in checked.reports]
        comments, settings = _count_silenced(checked)
        silenced = {"by_comment": comments, "by_setting": settings}
        print_value({"files": files, "silenced": silenced, "ignored": [str(p) for p in checked.ignored]})
    elif fmt == "sarif":
        print_value(make_sarif(findings))
    elif fmt == "github":
        sys.stdout.writelines(f"{github_line(f)}\n" for f in findings)
    else:
        print_findings(findings, sys.stdout)
        sys.stdout.write(_summary(checked, findings))
        sys.stdout.write(_silenced(checked))


def _silenced(checked: Checked) -> str:
    """What is not shown because somebody asked for it; empty when nobody did."""
    comments, settings = _count_silenced(checked)
    left_out = len(checked.ignored)
    parts = [
        f"{comments} finding{'' if comments == 1 else 's'} by comments" if comments else "",
        f"{settings} finding{'' if settings == 1 else 's'} by tidemill.yaml" if settings else "",
        f"{left_out} file{'' if left_out == 1 else 's'} not looked at" if left_out else "",
    ]
    said = ", ".join(p for p in parts if p)
    return f"silenced: {said}\n" if said else ""


def _count_silenced(checked: Checked) -> tuple[int, int]:
    return sum(len(r.commented) for r in checked.reports), sum(len(r.switched_off) for r in checked.reports)


def _summary(checked: Checked, findings: Sequence[Finding]) -> str:
    reports = checked.reports
    if not reports and not checked.ignored:
        return NOTHING
    errors = sum(f.severity is Severity.ERROR for f in findings)
    warnings = sum(f.severity is Severity.WARNING for f in findings)
    files = f"{len(reports)} file{'' if len(reports) == 1 else 's'} checked"
    if not findings:
        return f"{files}: no findings\n"
    return f"{files}: {errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}\n"


def _explain(code: str) -> None:
    row = CODES.get(_SHORT.sub(r"TM-\g<1>0\2", code.upper())) or CODES.get(code.upper())
    if row is None:
        raise UsageError(f"No finding has the code `{code}`", hint=did_you_mean(code, CODES))
    by_itself = " `--fix` does it where that takes no judgement." if row.code in MENDS else ""
    click.echo(f"{row.code}: {row.title} ({row.severity})\n\n{row.what}\n\nWhy: {row.why}\nMend: {row.mend}{by_itself}")
    if row.example:
        click.echo(f"\n{row.example.rstrip()}")


COMMANDS = {"check": command}
