"""`tidemill compute …`."""

from __future__ import annotations

import click

from tidemill.app.computes import RUNNING, STOPPED, list_nodes, list_sizes, resize, restart, set_state
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.declared import make_create, make_delete, make_group
from tidemill.cli.options import noun_options, required_name_option
from tidemill.cli.output import print_value
from tidemill.cli.without_effect import no_wait, without_effect

group = make_group("compute", "Where steps run: documents with a state; here they cost nothing.")
group.add_command(make_create("compute", "attach"))
group.add_command(make_delete("compute", "detach"))


def _switch(verb: str, state: str) -> click.Command:
    @click.command(verb, help=f"Set the compute's state to {state}; a success when it is so already.")
    @required_name_option
    @no_wait
    @noun_options
    def command(name: str, fmt: str, query: str | None) -> None:
        del fmt, query  # az prints nothing either
        with open_app(read_settings()) as app:
            changed = set_state(app, name, state)
        if not changed:
            click.echo(f"compute `{name}` is {state} already", err=True)

    return command


group.add_command(_switch("start", RUNNING))
group.add_command(_switch("stop", STOPPED))


@group.command("restart")
@required_name_option
@noun_options
def restart_command(name: str, fmt: str, query: str | None) -> None:
    """Let its time of being idle begin anew; nothing runs on it that would stop."""
    del fmt, query
    with open_app(read_settings()) as app:
        restart(app, name)


@group.command("resize")
@required_name_option
@click.option("--size", "-s", required=True, help="The new size.")
@noun_options
def resize_command(name: str, size: str, fmt: str, query: str | None) -> None:
    """Note another size; steps run on this machine whatever the size."""
    with open_app(read_settings()) as app:
        print_value(resize(app, name, size), fmt=fmt, query=query)


@group.command("list-nodes")
@required_name_option
@noun_options
def list_nodes_command(name: str, fmt: str, query: str | None) -> None:
    """The machines of a compute: this one while it runs."""
    with open_app(read_settings()) as app:
        print_value(list_nodes(app, name), fmt=fmt, query=query)


@group.command("list-sizes")
@without_effect("--location", "-l", why="this machine is the only place")
@without_effect("--type", "-t")
@noun_options
def list_sizes_command(fmt: str, query: str | None) -> None:
    """The sizes there are: this machine."""
    print_value(list_sizes(read_settings()), fmt=fmt, query=query)


@group.command("list-usage")
@without_effect("--location", "-l", why="this machine is the only place")
@noun_options
def list_usage(fmt: str, query: str | None) -> None:
    """Quotas that are used up: none here."""
    print_value([], fmt=fmt, query=query)


COMMANDS = {"compute": group}
