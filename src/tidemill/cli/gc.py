"""`tidemill gc`."""

from __future__ import annotations

import re
from datetime import timedelta

import click

from tidemill.app.gc import Wish, collect
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.options import everywhere, output_options
from tidemill.cli.output import print_value

SHOWN = 20
THOUSAND = 1000
UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def _age(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    """`30d`, `12h` or `4w` as a time span; a usage error for anything else."""
    found = re.fullmatch(r"(\d{1,5})([hdw])", value or "")
    if found is not None:
        return timedelta(**{UNITS[found.group(2)]: int(found.group(1))})
    if value is not None:
        raise click.BadParameter(f"`{value}` is no age. Write 30d, 12h or 4w.", context, parameter)
    return None


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option(
    "--older-than",
    callback=_age,
    metavar="AGE",
    help="Also jobs that ended, and environments, downloads, image layers and conversions used, before: 30d, 12h.",
)
@click.option(
    "--keep", type=click.IntRange(1), help="Also jobs that are not among the newest so many of their document."
)
@everywhere
@output_options("human")
def command(fmt: str, query: str | None, *, dry_run: bool, older_than: timedelta | None, keep: int | None) -> None:
    """Collect what nothing refers to any more, and with an age or a number old jobs' files too; say where the space is.

    What serves, what is registered, what a run may need and the newest result of each step always stay. Records stay.
    """
    with open_app(read_settings()) as app:
        found = collect(app, Wish(older_than, keep), dry_run=dry_run)
    if fmt != "human" or query:
        print_value(found, fmt="json" if fmt == "human" else fmt, query=query)
        return
    for kind, size in found["kinds"].items():
        click.echo(f"{_size(size):>10}  {kind}")
    for kind, names in found["gone"].items():
        for name in names if dry_run else names[:SHOWN]:
            click.echo(f"{'would remove' if dry_run else 'removed'} {kind}: {name}")
        if len(names) > SHOWN and not dry_run:
            click.echo(f"and {len(names) - SHOWN} more {kind}")
    store = f"{_files(found['files'])} of the store among it"
    click.echo(f"{'would free' if dry_run else 'freed'} {_size(found['bytes'])}, {store}")
    if found["spared_files"]:
        click.echo(f"spared {_size(found['spared_bytes'])} in {_files(found['spared_files'])}: a run may need them")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < THOUSAND:
            return f"{count:.{0 if unit == 'B' else 1}f} {unit}"
        count /= THOUSAND
    return f"{count:.1f} GB"


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


COMMANDS = {"gc": command}
