"""`tidemill preview …`."""

from __future__ import annotations

import click

from tidemill.app.preview import create_preview, delete_previews, list_previews
from tidemill.app.settings import read_settings
from tidemill.app.up import require_project
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.options import everywhere, output_options, set_option
from tidemill.cli.output import print_value, say
from tidemill.cli.progress import Progress
from tidemill.spec.overrides import parse_override


@click.group("preview")
def preview() -> None:
    """The stack of a branch in a namespace of its own, for a while."""


@preview.command("create")
@click.argument("name", metavar="ID")
@click.option("--ttl", default="24h", show_default=True, metavar="TIME", help="How long it may stay: 90m, 24h, 3d.")
@set_option
@everywhere
@output_options("json")
def create(name: str, ttl: str, overrides: tuple[str, ...], fmt: str, query: str | None) -> None:
    """Run what is stale and deploy it in a namespace of its own; again with the same ID brings it up to date."""
    with (
        open_app(read_settings(), project_overrides=[parse_override(o) for o in overrides]) as app,
        Progress() as progress,
    ):
        made = create_preview(app, require_project(app), name, ttl, [progress], say)
    print_value(made, fmt=fmt, query=query)


@preview.command("list")
@everywhere
@output_options("table")
def list_command(fmt: str, query: str | None) -> None:
    """The previews of this project that the cluster has."""
    with open_app(read_settings()) as app:
        rows = list_previews(app, require_project(app))
    print_value(rows, fmt=fmt, query=query)


@preview.command("delete")
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--expired", is_flag=True, help="All that are past their time; for a scheduled job.")
@everywhere
def delete(names: tuple[str, ...], *, expired: bool) -> None:
    """Take previews down: namespace, everything in it, and their images. Returns when nothing is left."""
    if not names and not expired:
        raise UsageError("Which preview?", hint="Name an ID of `tidemill preview list`, or say --expired.")
    with open_app(read_settings()) as app:
        gone = delete_previews(app, require_project(app), names, expired=expired, say=say)
    click.echo(f"deleted {', '.join(gone)}" if gone else "Nothing was past its time.")


COMMANDS = {"preview": preview}
