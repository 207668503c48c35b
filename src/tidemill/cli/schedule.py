"""`tidemill schedule …`."""

from __future__ import annotations

import click

from tidemill.app.declared import list_all
from tidemill.app.jobs import show_job
from tidemill.app.schedules import enable, trigger
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.declared import make_group
from tidemill.cli.options import noun_options, required_name_option
from tidemill.cli.output import print_value
from tidemill.cli.progress import Progress
from tidemill.cli.run import report
from tidemill.cli.without_effect import no_wait

group = make_group("schedule", "When jobs and monitors start; kept, shown, and started by `trigger`.")


@group.command("list")
@click.option("--max-results", "-r", type=click.IntRange(1), help="At most so many.")
@click.option("--include-disabled", is_flag=True, help="What is disabled too.")
@click.option("--disabled-only", is_flag=True, help="Just what is disabled.")
@noun_options
def list_(max_results: int | None, fmt: str, query: str | None, *, include_disabled: bool, disabled_only: bool) -> None:
    """Schedules that are enabled, newest first."""
    with open_app(read_settings()) as app:
        rows = list_all(app, "schedule")
    wanted = {False} if disabled_only else {True, False} if include_disabled else {True}
    print_value([r for r in rows if r["is_enabled"] in wanted][:max_results], fmt=fmt, query=query)


def _switch(verb: str, *, enabled: bool) -> click.Command:
    @click.command(
        verb, help=f"Let the schedule start{'' if enabled else ' no more'}; a success when it is so already."
    )
    @required_name_option
    @no_wait
    @noun_options
    def command(name: str, fmt: str, query: str | None) -> None:
        del fmt, query
        with open_app(read_settings()) as app:
            if not enable(app, name, enabled=enabled):
                click.echo(f"schedule `{name}` is {verb}d already", err=True)

    return command


group.add_command(_switch("enable", enabled=True))
group.add_command(_switch("disable", enabled=False))


@group.command("trigger")
@required_name_option
@click.option("--stream", is_flag=True, help="Print every step's log as it is written.")
@noun_options
def trigger_command(name: str, fmt: str, query: str | None, *, stream: bool) -> int:
    """Run the schedule's job now, to its end; exit code 0 only if it completed."""
    with open_app(read_settings()) as app:
        with Progress(stream_logs=stream) as progress:
            result = trigger(app, name, [progress])
        if result.ok:
            print_value(show_job(app, result.name), fmt=fmt, query=query)
        else:
            report(result, fmt, query)
    return 0 if result.ok else 1


COMMANDS = {"schedule": group}
