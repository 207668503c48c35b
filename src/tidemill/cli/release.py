"""`tidemill promote`, `rollback` and `history`."""

from __future__ import annotations

import sys

import click

from tidemill.app.approvals import approve, who
from tidemill.app.releases import holds, lift, read_times, served_between, timeline
from tidemill.app.rollback import rollback
from tidemill.app.serve import split_model
from tidemill.app.settings import read_settings
from tidemill.app.up import chosen_stages, require_project, up
from tidemill.app.wiring import App, open_app
from tidemill.base.errors import UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.cli.history import HEADS, table_row, tell_spans
from tidemill.cli.options import everywhere, output_options
from tidemill.cli.output import draw_table, print_value, say
from tidemill.cli.progress import Progress
from tidemill.release.history import DOWN

INNER = {"desired", "workload"}  # what a rollback puts back; nobody reads it


@click.command("promote")
@click.option("--stage", required=True, metavar="NAME", help="The stage to promote to.")
@click.option("--approve", "yes", is_flag=True, help="Say yes to the version instead of deploying it.")
@click.option(
    "--model", metavar="NAME[:VERSION]", help="The version to approve; default: the newest of the project's model."
)
@everywhere
def promote(stage: str, model: str | None, *, yes: bool) -> None:
    """Move the project's version through the stages up to NAME: gate, approval, deploy, smoke test, switch. Or approve it."""
    with open_app(read_settings()) as app:
        if yes:
            _approve(app, stage, model)
            return
        with Progress() as progress:
            result = up(app, until=stage, observers=[progress], say=say)
        for deployed in result.deployed:
            click.echo(
                f"{deployed.stage}: {deployed.model}:{deployed.version} {'now serves' if deployed.changed else 'serves already'} at {deployed.url}"
            )
        for note in result.notes:
            click.echo(f"note: {note}")


def _approve(app: App, stage: str, model: str | None) -> None:
    project = require_project(app)
    asked = chosen_stages(project, stage)[stage]
    named = model or (project.document.model.name if project.document.model else "")
    name, version = split_model(named) if named else ("", "")
    if not name:
        raise UsageError("Which model?", hint="--model NAME:VERSION")
    found = app.registry.get(name, version)
    given = approve(app, asked, stage, found, who())
    click.echo(f"{who()} approved {found.name}:{found.version} ({found.digest[:12]}) for {stage}: {given.evidence}")


@click.command("rollback")
@click.option("--stage", metavar="NAME", help="The stage; default: the first.")
@click.option("--reason", default="asked for on the command line", help="Why; kept in the history.")
@click.option("--lift", "lifting", is_flag=True, help="Let the version that was held back in again.")
@everywhere
def rollback_command(stage: str | None, reason: str, *, lifting: bool) -> None:
    """Put the previous version back, and keep it there: `up` does not bring the bad one back until it is lifted."""
    with open_app(read_settings()) as app:
        project = require_project(app)
        stages = chosen_stages(project, stage)
        name = stage or next(iter(stages))
        if lifting:
            click.echo(f"{name}: the hold is lifted" if lift(app, name) else f"{name}: nothing was held back")
            return
        previous = rollback(app, project, name, stages[name], reason=reason, say=say)
        click.echo(f"{name}: {previous['model']}:{previous['version']} serves again; what served before is held back")


@click.command("history")
@click.option("--stage", metavar="NAME", help="Just this stage.")
@click.option(
    "--at",
    metavar="TIME",
    help="What served on that day (2026-11-20) or at that moment (2026-11-20T14:00:00+01:00; UTC unless it says otherwise).",
)
@everywhere
@output_options("human")
def history_command(stage: str | None, at: str | None, fmt: str, query: str | None) -> None:
    """What served a stage, from when to when, who put it there, approved it or took it down, from which job, commit and data.

    Newest first; with `--at` what served then, and everything about it.
    """
    moment = read_times(at) if at is not None else None
    with open_app(read_settings()) as app:
        stages = dict.fromkeys(
            [
                *(app.project.document.stages if app.project else {}),
                *(r["stage"] for r in (*timeline(app), *holds(app))),
            ]
        )
        if stage is not None and stage not in stages:
            raise UsageError(f"There is no stage `{stage}`", hint=did_you_mean(stage, stages))
        asked = [stage] if stage else list(stages)
        spans = {name: served_between(app, name, *moment) for name in asked} if moment else {}
        rows = [r for found in spans.values() for r in found if r["event"] != DOWN] if moment else timeline(app, stage)
        kept_out = holds(app, stage)
    if fmt != "human" or query:
        shown = [{k: v for k, v in r.items() if k not in INNER} for r in rows]
        print_value(shown, fmt="json" if fmt == "human" else fmt, query=query)
    elif at is not None and spans:
        for name, found in spans.items():
            click.echo("\n".join(tell_spans(name, at, found)))
    else:
        table = draw_table(HEADS, [table_row(r) for r in rows])
        sys.stdout.write(table if rows else "Nothing was released yet. Start with: tidemill up\n")
        for record in kept_out:
            click.echo(
                f"{record['at']}  {record['stage']}: version {record['version']} is held back by {record['by']}: {record['reason']}"
            )


COMMANDS = {"promote": promote, "rollback": rollback_command, "history": history_command}
