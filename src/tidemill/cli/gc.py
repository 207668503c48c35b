"""`tidemill gc`."""

from __future__ import annotations

import click

from tidemill.app.gc import collect
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.options import everywhere, output_options
from tidemill.cli.output import print_value


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@everywhere
@output_options("human")
def command(fmt: str, query: str | None, *, dry_run: bool) -> None:
    """Collect kept outputs that nothing refers to any more: no cached step, no asset, no unfinished job."""
    with open_app(read_settings()) as app:
        found = collect(app, dry_run=dry_run)
    if fmt != "human" or query:
        print_value(found, fmt="json" if fmt == "human" else fmt, query=query)
        return
    click.echo(f"{'would free' if dry_run else 'freed'} {found['bytes'] / 1e6:.1f} MB in {found['files']} files")
    if found["spared_files"]:
        click.echo(f"spared {found['spared_bytes'] / 1e6:.1f} MB in {found['spared_files']} files: a run may need them")


COMMANDS = {"gc": command}
