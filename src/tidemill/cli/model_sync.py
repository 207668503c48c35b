"""`tidemill model sync`."""

from __future__ import annotations

import click

from tidemill.app.model_sync import sync_models
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.options import everywhere, output_options
from tidemill.cli.output import print_value, say


@click.command("sync")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--name", "-n", "names", multiple=True, metavar="NAME", help="Just this model; may be repeated.")
@click.option(
    "--policy",
    type=click.Choice(["skip", "replace", "fail"]),
    default="fail",
    show_default=True,
    help="What to do where DST has other bytes under the same version.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@everywhere
@output_options("table")
def sync_command(
    source: str, target: str, names: tuple[str, ...], policy: str, fmt: str, query: str | None, *, dry_run: bool
) -> None:
    """Copy model versions with metrics, tags, aliases and lineage between two MLflow registries (URIs, or `.` for this one).

    Verified by digest; a second time copies nothing, and one that was killed carries on.
    """
    with open_app(read_settings()) as app:
        rows = sync_models(
            app,
            source,
            target,
            names=names,
            policy=policy,
            dry_run=dry_run,
            say=say,
        )
    print_value(rows, fmt=fmt, query=query)
