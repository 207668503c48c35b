"""`tidemill plan FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tidemill.app.run import RunRequest, plan_job
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.errors import print_findings
from tidemill.cli.options import everywhere, output_options, set_option
from tidemill.cli.output import print_value
from tidemill.plan.explain import Outlooks, plan_as_json, plan_as_text
from tidemill.run.forecast import forecast
from tidemill.spec.overrides import parse_override


@click.command("plan")
@click.argument("file", type=click.Path(path_type=Path))
@set_option
@click.option("--no-cache", is_flag=True, help="Do not look up what is cached.")
@everywhere
@output_options("human")
def command(file: Path, overrides: tuple[str, ...], fmt: str, query: str | None, *, no_cache: bool) -> None:
    """Show the resolved graph of a job: its steps, what would run, what is cached and why. Runs nothing."""
    with open_app(read_settings(file)) as app:
        plan = plan_job(app, RunRequest(file, tuple(parse_override(o) for o in overrides)))
        outlooks: Outlooks = {} if no_cache else forecast(plan, app.run_ports())
    print_findings(plan.findings, sys.stderr)
    if fmt == "human" and not query:
        click.echo(plan_as_text(plan, outlooks))
    else:
        print_value(plan_as_json(plan, outlooks), fmt="json" if fmt == "human" else fmt, query=query)


COMMANDS = {"plan": command}
