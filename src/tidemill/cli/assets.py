"""The verbs data, component and environment share."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.app.assets_crud import create_asset, create_data, explain_shadow, list_assets, show_asset
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.options import (
    file_path_option,
    name_option,
    noun_options,
    required_name_option,
    set_option,
    version_option,
)
from tidemill.cli.output import print_value
from tidemill.spec.overrides import parse_override


def make_group(kind: str, about: str) -> click.Group:
    """`create`, `update`, `list`, `show`, `archive` and `restore` of one kind of asset."""
    group = click.Group(kind, help=about)
    for command in (
        _create(kind, "create"),
        _create(kind, "update"),
        _list(kind),
        _show(kind),
        _archive(kind, archived=True),
        _archive(kind, archived=False),
    ):
        group.add_command(command)
    return group


def _create(kind: str, verb: str) -> click.Command:
    @click.command(
        verb, help=f"Register {'an' if kind[0] == 'e' else 'a'} {kind} asset; unchanged content makes no new version."
    )
    @file_path_option
    @name_option
    @version_option
    @click.option("--path", "-p", help="For data: a local file or folder, instead of a document.")
    @click.option("--type", "-t", "data_type", help="For data: uri_file, uri_folder or mltable.")
    @click.option("--description", "-d", default="", help="What it is.")
    @set_option
    @noun_options
    def command(
        file: Path | None,
        name: str | None,
        version: str | None,
        path: str | None,
        data_type: str | None,
        description: str,
        overrides: tuple[str, ...],
        fmt: str,
        query: str | None,
    ) -> None:
        with open_app(read_settings(file)) as app:
            if file is not None:
                made = create_asset(app, kind, file, [parse_override(o) for o in overrides], name=name, version=version)
            elif kind == "data" and name and path:
                made = create_data(
                    app, name, path, folder=Path.cwd(), version=version, kind=data_type, description=description
                )
            else:
                raise UsageError(
                    f"`{kind} {verb}` needs -f FILE" + (", or --name and --path" if kind == "data" else "")
                )
            print_value(made, fmt=fmt, query=query)
            if kind == "data" and (warning := explain_shadow(app, made["name"])):
                click.echo(warning, err=True)

    return command


def _list(kind: str) -> click.Command:
    @click.command("list", help="Versions, most recently created first.")
    @name_option
    @click.option("--max-results", "-r", type=click.IntRange(1), help="At most so many.")
    @click.option("--include-archived", is_flag=True, help="Archived versions too.")
    @noun_options
    def command(
        name: str | None, max_results: int | None, fmt: str, query: str | None, *, include_archived: bool
    ) -> None:
        with open_app(read_settings()) as app:
            print_value(
                list_assets(app, kind, name, archived=include_archived, limit=max_results), fmt=fmt, query=query
            )

    return command


def _show(kind: str) -> click.Command:
    @click.command("show", help="One version; the newest when none is named.")
    @required_name_option
    @version_option
    @click.option("--label", "-l", help="A label such as latest.")
    @noun_options
    def command(name: str, version: str | None, label: str | None, fmt: str, query: str | None) -> None:
        with open_app(read_settings()) as app:
            print_value(show_asset(app, kind, name, version, label), fmt=fmt, query=query)

    return command


def _archive(kind: str, *, archived: bool) -> click.Command:
    @click.command(
        "archive" if archived else "restore", help="Hide from lists." if archived else "Bring back into lists."
    )
    @required_name_option
    @version_option
    @noun_options
    def command(name: str, version: str | None, fmt: str, query: str | None) -> None:
        del fmt, query
        with open_app(read_settings()) as app:
            app.rows.archive(kind, name, version, archived=archived)

    return command
