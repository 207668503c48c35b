"""`tidemill gate`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from tidemill.app.candidate import make_candidate
from tidemill.app.gate import judge_candidate, past_verdicts, rules_of, speak_of_latency
from tidemill.app.registered import find_candidate
from tidemill.app.settings import read_settings
from tidemill.app.up import chosen_stages, require_project
from tidemill.app.wiring import open_app
from tidemill.cli.errors import print_findings
from tidemill.cli.options import everywhere, output_options
from tidemill.cli.output import print_value, say
from tidemill.cli.progress import Progress


@click.command("gate")
@click.option("--stage", metavar="NAME", help="The stage whose champion to compare with; default: the first.")
@click.option("--history", "past", is_flag=True, help="Judge nothing: print what was judged before, newest first.")
@click.option("--model", "model", metavar="NAME:VERSION", help="A registered version, or NAME@LABEL; runs nothing.")
@everywhere
@output_options("human")
def command(stage: str | None, model: str | None, fmt: str, query: str | None, *, past: bool) -> int:
    """Judge the version the project makes now by its gates, without deploying it. Exit code 1 when one is not passed.

    What changed since the last run is run first, as `up` would; with `--model` that version is judged as it is registered.
    """
    with open_app(read_settings()) as app:
        project = require_project(app)
        stages = chosen_stages(project, stage)
        if past:
            return _tell_past(past_verdicts(app, stage, model), fmt, query)
        name = stage or next(iter(stages))
        rules = rules_of(project, {name: stages[name]})[name]
        if model is not None:
            candidate = find_candidate(app, project, model, started=speak_of_latency(rules))
            say(f"judging {candidate.version.name}:{candidate.version.version} for {name}")
        else:
            with Progress() as progress:
                candidate = make_candidate(
                    app, project, [progress], noticed=lambda found: print_findings(found, sys.stderr)
                )
        verdicts = judge_candidate(app, candidate, rules, name)
    rows = [v.as_json() for v in verdicts]
    if fmt != "human" or query:
        print_value(rows, fmt="json" if fmt == "human" else fmt, query=query)
    elif rows:
        click.echo("\n".join(map(_line, rows)))
    else:
        click.echo(f"{name} has no gates: every version passes. Add some in tidemill.yaml: `gates: [...]`")
    return 0 if all(v.passed for v in verdicts) else 1


def _tell_past(rows: Sequence[Mapping[str, Any]], fmt: str, query: str | None) -> int:
    if fmt != "human" or query:
        print_value(rows, fmt="json" if fmt == "human" else fmt, query=query)
        return 0
    for row in rows:
        click.echo(f"{row['at']}  {row['stage']}  {row['model']}:{row['version']} ({row['digest'][:12]})")
        for verdict in row["verdicts"]:
            click.echo(f"  {_line(verdict)}")
    if not rows:
        click.echo("Nothing was judged yet.")
    return 0


def _line(verdict: Mapping[str, Any]) -> str:
    return f"{'passed' if verdict['passed'] else 'not passed'}: {verdict['rule']} ({verdict['evidence']})"


COMMANDS = {"gate": command}
