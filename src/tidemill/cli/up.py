"""`tidemill up`, `status` and `down`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tidemill.app.down import Standing, find_standing, note_down, out_of_reach, require_known, stop_local, take_down
from tidemill.app.settings import read_settings
from tidemill.app.status import status
from tidemill.app.up import UpResult, up
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.answers import is_yes
from tidemill.cli.errors import print_findings
from tidemill.cli.options import everywhere, output_options, project_set_option
from tidemill.cli.output import draw_table, print_value, say
from tidemill.cli.progress import Progress
from tidemill.spec.overrides import parse_override

HEADS = ["Endpoint", "Stage", "State", "Model", "Version", "URL"]


@click.command("up")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--stage", "until", metavar="NAME", help="Go no further than this stage.")
@project_set_option
@click.option("--stream", is_flag=True, help="Print every step's log as it is written.")
@click.option("--relax-pins", is_flag=True, help="Loosen just the package pins that cannot be had here, and record it.")
@everywhere
@output_options("human")
def up_command(
    folder: Path | None,
    until: str | None,
    overrides: tuple[str, ...],
    fmt: str,
    query: str | None,
    *,
    stream: bool,
    relax_pins: bool,
) -> None:
    """Make the project's declared state true: run if stale, register, gate, deploy, smoke test, switch traffic.

    A second time it changes nothing and says so. `--set` reaches into tidemill.yaml. Whatever fails leaves the
    previous version serving and exits with 1.
    """
    settings = read_settings(folder)
    with open_app(settings, project_overrides=[parse_override(o) for o in overrides]) as app:
        with Progress(stream_logs=stream) as progress:
            result = up(
                app,
                until=until,
                observers=[progress],
                say=say,
                relax_pins=relax_pins,
                noticed=lambda found: print_findings(found, sys.stderr),
            )
        found = status(app)
    if fmt != "human" or query:
        print_value(result.as_json(), fmt="json" if fmt == "human" else fmt, query=query)
        return
    _report(result)
    _table(found["endpoints"])


def _report(result: UpResult) -> None:
    version = result.candidate.version
    for verdict in result.verdicts:
        click.echo(
            f"gate passed: {verdict.rule} ({verdict.evidence})"
            if verdict.passed
            else f"gate not passed: {verdict.rule}"
        )
    for note in result.notes:
        click.echo(f"note: {note}")
    if not result.changed and not result.notes:
        click.echo(f"{version.name}:{version.version} serves already: nothing to change.")


def _table(endpoints: list[dict[str, object]]) -> None:
    rows = [[str(e[k]) for k in ("name", "stage", "state", "model", "version", "url")] for e in endpoints]
    sys.stdout.write(draw_table(HEADS, rows))


@click.command("status")
@everywhere
@output_options("human")
def status_command(fmt: str, query: str | None) -> None:
    """Show what is there: endpoints, their deployments, versions and addresses."""
    with open_app(read_settings()) as app:
        found = status(app)
    if fmt != "human" or query:
        flat = fmt in {"table", "tsv"} and not query  # what has one row an endpoint
        print_value(found["endpoints"] if flat else found, fmt="json" if fmt == "human" else fmt, query=query)
    elif found["endpoints"]:
        _table(found["endpoints"])
    else:
        click.echo("Nothing is deployed. Start with: tidemill up")
    for row in found.get("held", ()) if fmt == "human" and not query else ():
        lift = f"tidemill rollback --lift --stage {row['stage']}"
        click.echo(
            f"note: {row['stage']}: version {row['version']} is held back: {row['reason']}. Lift it with: {lift}"
        )
    budget = found.get("budget")
    if fmt == "human" and not query and budget:
        click.echo(f"Spent {budget['spent']:.2f} of {budget['limit']:.2f} {budget['currency']} per {budget['per']}.")


@click.command("down")
@click.argument("names", nargs=-1)
@click.option("--stage", metavar="NAME", help="Just this stage's.")
@everywhere
def down_command(names: tuple[str, ...], stage: str | None) -> None:
    """Take down what `up` started: all endpoints of this machine and of the stages on clusters, or those named.

    What is in a cluster is asked about first (`--yes` answers). Models, jobs, images, history and namespaces stay.
    """
    with open_app(read_settings()) as app:
        require_known(app, names)
        stopped = stop_local(app, names, stage)
        if stopped:
            note_down(app, names, stage)
            click.echo(f"stopped {', '.join(stopped)}")
        standing = find_standing(app, names, stage)
        for one in standing:
            _ask(one)
            take_down(app, one, say)
            note_down(app, names, one.stage)
            click.echo(f"took down {one}")
        note_down(app, names, stage)
        left = out_of_reach(app, names, stage)
    for words in left:
        click.echo(f"note: {words}")
    if not stopped and not standing and not left:
        click.echo("Nothing was running.")


def _ask(one: Standing) -> None:
    """Whether people are sure; `UsageError` where there is nobody to be asked."""
    if is_yes():
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"{one} still stands: nobody is here to be asked", hint="Take it down with: tidemill down --yes"
        )
    if not click.confirm(f"Take down {one}?", err=True):
        raise click.Abort


COMMANDS = {"up": up_command, "status": status_command, "down": down_command}
