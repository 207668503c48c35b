"""`tidemill run FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tidemill.app.run import RunRequest, run_job
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base.findings import Finding
from tidemill.cli.errors import paint, print_findings
from tidemill.cli.options import everywhere, executor_option, output_options, set_option
from tidemill.cli.output import print_value
from tidemill.cli.progress import Progress
from tidemill.run.result import JobResult, StepResult
from tidemill.run.state import BEFORE_RESUME, Status
from tidemill.spec.overrides import parse_override

LOG_LINES = 15
LINE_SHOWN = 500


@click.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@set_option
@click.option("-n", "--name", help="Name of the job; made up when not given.")
@click.option("--stream", is_flag=True, help="Print every step's log as it is written.")
@click.option("--force", is_flag=True, help="Run every step, reuse nothing.")
@click.option("--parallel", type=click.IntRange(1), help="Steps at a time; default: the cores of this machine.")
@click.option("--relax-pins", is_flag=True, help="Loosen just the package pins that cannot be had here, and record it.")
@executor_option
@everywhere
@output_options("human")
def command(
    file: Path,
    overrides: tuple[str, ...],
    name: str | None,
    fmt: str,
    query: str | None,
    *,
    stream: bool,
    force: bool,
    parallel: int | None,
    relax_pins: bool,
    executor: str,
) -> int:
    """Run a job here and wait: independent steps in parallel, unchanged ones reused. Exit code 0 only if it completed."""
    request = RunRequest(file, tuple(parse_override(o) for o in overrides), name, force, parallel, relax_pins, executor)
    with open_app(read_settings(file)) as app, Progress(stream_logs=stream) as progress:
        result = run_job(app, request, [progress], lambda found: print_findings(found, sys.stderr))
    report(result, fmt, query)
    return 0 if result.ok else 1


def report(result: JobResult, fmt: str, query: str | None) -> None:
    """JSON for machines on standard output; for people a summary, and what failed with its last words."""
    if fmt != "human" or query:
        print_value(result.as_json(), fmt="json" if fmt == "human" else fmt, query=query)
    else:
        sys.stdout.write(_summary(result))
    for step in _to_tell(result):
        sys.stderr.write(_failure(step))


def _to_tell(result: JobResult) -> list[StepResult]:
    """The steps whose last words are shown: of trials or rounds that failed one speaks for all and for their step."""
    if result.ok:
        return []
    failed = [s for s in result.steps.values() if s.status is Status.FAILED]
    first_parts = {s.parent: s for s in reversed(failed) if s.parent}
    return [s for s in failed if first_parts.get(s.parent, s) is s]


def _summary(result: JobResult) -> str:
    completed = [s for s in result.steps.values() if s.status is Status.COMPLETED]
    before = sum(s.reason == BEFORE_RESUME for s in completed)
    reused = sum(s.reused and s.reason != BEFORE_RESUME for s in completed)
    counts = f"{len(completed) - before - reused} ran, {reused} reused"
    lines = [f"{result.name}: {result.status} ({counts}{f', {before} completed before' if before else ''})"]
    lines += [f"  output {name}: {path}" for name, path in result.outputs.items()]
    lines += [_best_trial(s) for s in result.steps.values() if "best_child_run_id" in s.properties]
    metrics = {k: v for s in result.steps.values() if not s.parent for k, v in s.metrics.items()}
    lines += [f"  metric {name}: {value:.4g}" for name, value in metrics.items()]
    lines += [f"  {_finding(f)}" for f in result.findings]
    if result.message and not result.ok:
        lines.append(f"  {result.message}")
    if not result.ok:
        lines.append(f"  When code or data is mended, take it up again: tidemill job resume {result.name}")
        lines.append("  When a document is mended, run it again: what completed and did not change is reused.")
    return "\n".join(lines) + "\n"


def _best_trial(step: StepResult) -> str:
    found = step.properties
    values = ", ".join(f"{name}={value}" for name, value in json.loads(found["best_parameters"]).items())
    score = float(found["score"])
    return f"  best of {step.name}: {found['best_child_run_id']}, {found['primary_metric']} {score:.4g} with {values}"


def _finding(finding: Finding) -> str:
    return f"{paint(str(finding.severity), str(finding.severity), sys.stdout)} {finding.code}: {finding.message}"


def _failure(step: StepResult) -> str:
    tail = step.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:] if step.log.exists() else []
    words = "".join(f"  | {line if len(line) <= LINE_SHOWN else line[:LINE_SHOWN] + ' …'}\n" for line in tail)
    place = f"  log: {step.log}\n" if step.log.exists() else ""  # a step that was not let begin has none
    return f"\n{paint('error:', 'error', sys.stderr)} step `{step.name}` failed: {step.message}\n{words}{place}"


COMMANDS = {"run": command}
