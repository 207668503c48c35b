"""`tidemill doctor`."""

from __future__ import annotations

import click

from tidemill.app.doctor import examine
from tidemill.app.settings import read_settings
from tidemill.cli.options import everywhere, output_options
from tidemill.cli.output import draw_table, print_value


@click.command("doctor")
@everywhere
@output_options("human")
def command(fmt: str, query: str | None) -> int:
    """Explain this machine: what works here, what is missing and how to get it. Exit code 1 when something must be mended."""
    rows = examine(read_settings())
    if fmt == "human" and not query:
        click.echo(
            draw_table(
                ["What", "State", "Detail", "To do"],
                [[r.name, r.state, r.detail, "" if r.state == "ok" else r.hint] for r in rows],
            ),
            nl=False,
        )
    else:
        print_value([r.as_json() for r in rows], fmt="json" if fmt == "human" else fmt, query=query)
    return 1 if any(r.state == "problem" for r in rows) else 0


COMMANDS = {"doctor": command}
