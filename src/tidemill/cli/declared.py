"""The verbs of documents that are kept and shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from tidemill.app.declared import RUNNING, STOPPED, create, delete, list_all, set_state, show, update
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.options import (
    edit_options,
    file_path_option,
    name_option,
    noun_options,
    required_name_option,
    set_option,
)
from tidemill.cli.output import print_value
from tidemill.spec.edits import parse_edits
from tidemill.spec.overrides import parse_override


def make_group(noun: str, about: str) -> click.Group:
    """`create`, `update`, `show`, `list` and `delete` of one noun."""
    group = click.Group(noun, help=about)
    for command in (_create(noun), _update(noun), _show(noun), _list(noun), _delete(noun)):
        group.add_command(command)
    return group


def _create(noun: str) -> click.Command:
    @click.command("create", help=f"Keep a {noun} document in the workspace; the same name again changes it.")
    @file_path_option
    @name_option
    @click.option("--type", "-t", "kind", help="Its type, without a document.")
    @click.option("--size", "-s", help="For a compute: its size.")
    @click.option("--min-instances", type=int, help="For a compute: fewest machines.")
    @click.option("--max-instances", type=int, help="For a compute: most machines.")
    @click.option("--no-wait", is_flag=True, expose_value=False, help="Accepted for az scripts.")
    @set_option
    @noun_options
    def command(
        file: Path | None,
        name: str | None,
        kind: str | None,
        size: str | None,
        min_instances: int | None,
        max_instances: int | None,
        overrides: tuple[str, ...],
        fmt: str,
        query: str | None,
    ) -> None:
        given = {"type": kind, "size": size, "min_instances": min_instances, "max_instances": max_instances}
        fields = {k: v for k, v in given.items() if v is not None}
        with open_app(read_settings(file)) as app:
            print_value(
                create(app, noun, file, [parse_override(o) for o in overrides], name, fields), fmt=fmt, query=query
            )

    return command


def _update(noun: str) -> click.Command:
    @click.command("update", help=f"Change a {noun} that is kept, by options or by its document.")
    @file_path_option
    @name_option
    @click.option("--min-instances", type=int, help="For a compute: fewest machines.")
    @click.option("--max-instances", type=int, help="For a compute: most machines.")
    @click.option("--no-wait", is_flag=True, expose_value=False, help="Accepted for az scripts.")
    @edit_options
    @noun_options
    def command(
        file: Path | None,
        name: str | None,
        min_instances: int | None,
        max_instances: int | None,
        overrides: tuple[str, ...],
        adds: tuple[str, ...],
        removes: tuple[str, ...],
        tags: str,
        fmt: str,
        query: str | None,
    ) -> None:
        given = {"min_instances": min_instances, "max_instances": max_instances}
        fields = {k: v for k, v in given.items() if v is not None}
        edits = parse_edits(overrides, adds, removes, tags)
        with open_app(read_settings(file)) as app:
            if file is not None:
                row = create(app, noun, file, edits.set, name, fields)
                row = update(app, noun, row["name"], fields, replace(edits, set=()))
            elif name is not None:
                row = update(app, noun, name, fields, edits)
            else:
                raise UsageError(f"Which {noun}?", hint="--name NAME, or -f FILE")
            print_value(row, fmt=fmt, query=query)

    return command


def _show(noun: str) -> click.Command:
    @click.command("show", help="One of them.")
    @required_name_option
    @noun_options
    def command(name: str, fmt: str, query: str | None) -> None:
        with open_app(read_settings()) as app:
            print_value(show(app, noun, name), fmt=fmt, query=query)

    return command


def _list(noun: str) -> click.Command:
    @click.command("list", help="All of them, newest first.")
    @click.option("--max-results", "-r", type=click.IntRange(1), help="At most so many.")
    @noun_options
    def command(max_results: int | None, fmt: str, query: str | None) -> None:
        with open_app(read_settings()) as app:
            print_value(list_all(app, noun)[:max_results], fmt=fmt, query=query)

    return command


def _delete(noun: str) -> click.Command:
    @click.command("delete", help="Forget it.")
    @required_name_option
    @click.option("--no-wait", is_flag=True, expose_value=False, help="Accepted for az scripts.")
    @noun_options
    def command(name: str, fmt: str, query: str | None) -> None:
        del fmt, query
        with open_app(read_settings()) as app:
            delete(app, noun, name)

    return command


def make_switch(verb: str) -> click.Command:
    """`compute start` and `compute stop`: a computed state; nothing here costs money."""
    state = RUNNING if verb == "start" else STOPPED

    @click.command(verb, help=f"Set the compute's state to {state}; a success when it is so already.")
    @required_name_option
    @click.option("--no-wait", is_flag=True, expose_value=False, help="Accepted for az scripts.")
    @noun_options
    def command(name: str, fmt: str, query: str | None) -> None:
        del fmt, query  # az prints nothing either
        with open_app(read_settings()) as app:
            _, changed = set_state(app, name, state)
        if not changed:
            click.echo(f"compute `{name}` is {state} already", err=True)

    return command
