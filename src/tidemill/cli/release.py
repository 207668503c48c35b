"""`tidemill promote`, `rollback` and `history`."""

from __future__ import annotations

import click

from tidemill.app.approvals import approve, who
from tidemill.app.releases import history, holds, lift, read_time, served_at
from tidemill.app.rollback import rollback
from tidemill.app.serve import split_model
from tidemill.app.settings import read_settings
from tidemill.app.up import chosen_stages, require_project, up
from tidemill.app.wiring import App, open_app
from tidemill.base.errors import UsageError
from tidemill.cli.options import everywhere, output_options
from tidemill.cli.output import draw_table, print_value
from tidemill.cli.progress import Progress

COLUMNS = ("at", "stage", "model", "version", "endpoint", "by", "approved_by", "job", "evidence")


def _say(text: str) -> None:
    click.echo(text, err=True)


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
            result = up(app, until=stage, observers=[progress], say=_say)
        for deployed in result.deployed:
            click.echo(
                f"{deployed.stage}: {deployed.model}:{deployed.version} {'now serves' if deployed.changed else 'serves already'} at {deployed.url}"
            )
        for note in result.notes:
            click.echo(f"note: {note}")


def _approve(app: App, stage: str, model: str | None) -> None:
    project = require_project(app)
    chosen_stages(project, stage)
    named = model or (project.document.model.name if project.document.model else "")
    name, version = split_model(named) if named else ("", "")
    if not name:
        raise UsageError("Which model?", hint="--model NAME:VERSION")
    found = app.registry.get(name, version)
    record = approve(app, stage, found, who())
    click.echo(f"{record['by']} approved {found.name}:{found.version} ({found.digest[:12]}) for {stage}")


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
        previous = rollback(app, project, name, stages[name], reason=reason, say=_say)
        click.echo(f"{name}: {previous['model']}:{previous['version']} serves again; the other version is held back")


@click.command("history")
@click.option("--stage", metavar="NAME", help="Just this stage.")
@click.option("--at", metavar="TIME", help="Just what served at that moment: 2026-11-20 or 2026-11-20T14:00:00+01:00.")
@everywhere
@output_options("human")
def history_command(stage: str | None, at: str | None, fmt: str, query: str | None) -> None:
    """What served a stage, since when, who put it there and approved it, from which job and with what evidence; newest first."""
    with open_app(read_settings()) as app:
        found = history(app, stage)
        if at is not None:
            found = served_at(app, sorted({r["stage"] for r in found}), read_time(at))
        rows = [{k: v for k, v in r.items() if k != "desired"} for r in found]
        kept_out = holds(app, stage) if at is None else []
    if fmt == "human" and not query:
        heads = [c.replace("_", " ").title() for c in COLUMNS]
        click.echo(draw_table(heads, [[_cell(r.get(c, "")) for c in COLUMNS] for r in rows]), nl=False)
        for record in kept_out:
            click.echo(
                f"{record['at']}  {record['stage']}: version {record['version']} is held back by {record['by']}: {record['reason']}"
            )
    else:
        print_value(rows, fmt="json" if fmt == "human" else fmt, query=query)


def _cell(value: object) -> str:
    return (", ".join(value) if isinstance(value, list) else str(value))[:70]


COMMANDS = {"promote": promote, "rollback": rollback_command, "history": history_command}
