"""`tidemill gate`."""

from __future__ import annotations

import click

from tidemill.app.candidate import make_candidate
from tidemill.app.gate import judge_candidate, rules_of
from tidemill.app.settings import read_settings
from tidemill.app.up import chosen_stages, require_project
from tidemill.app.wiring import open_app
from tidemill.cli.options import everywhere, output_options
from tidemill.cli.output import print_value
from tidemill.cli.progress import Progress


@click.command("gate")
@click.option("--stage", metavar="NAME", help="The stage whose champion to compare with; default: the first.")
@everywhere
@output_options("human")
def command(stage: str | None, fmt: str, query: str | None) -> int:
    """Judge the project's newest version by its gates, without deploying it. Exit code 1 when one is not passed."""
    with open_app(read_settings()) as app:
        project = require_project(app)
        stages = chosen_stages(project, stage)
        name = stage or next(iter(stages))
        rules = rules_of(project, {name: stages[name]})[name]
        with Progress() as progress:
            candidate = make_candidate(app, project, [progress])
        verdicts = judge_candidate(app, candidate, rules, name)
    if fmt != "human" or query:
        print_value([v.as_json() for v in verdicts], fmt="json" if fmt == "human" else fmt, query=query)
    else:
        for verdict in verdicts:
            click.echo(f"{'passed' if verdict.passed else 'not passed'}: {verdict.rule} ({verdict.evidence})")
    return 0 if all(v.passed for v in verdicts) else 1


COMMANDS = {"gate": command}
