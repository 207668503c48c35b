"""The verbs data, component and environment share."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.app.asset_changes import MODEL, delete_asset, update_asset
from tidemill.app.assets_crud import create_asset, create_data, explain_shadow, list_assets, show_asset
from tidemill.app.models import create_model
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.options import (
    edit_options,
    file_path_option,
    label_option,
    list_options,
    name_option,
    noun_options,
    required_name_option,
    set_option,
    version_option,
)
from tidemill.cli.output import print_value
from tidemill.spec.edits import parse_edits
from tidemill.spec.overrides import parse_override


def make_group(kind: str, about: str) -> click.Group:
    """The verbs of one kind of asset."""
    group = click.Group(kind, help=about)
    for command in (
        _create(kind),
        make_update(kind),
        _list(kind),
        _show(kind),
        _archive(kind, archived=True),
        _archive(kind, archived=False),
        make_delete(kind),
    ):
        group.add_command(command)
    return group


def _create(kind: str) -> click.Command:
    @click.command(
        "create",
        help=f"Register {'an' if kind[0] == 'e' else 'a'} {kind} asset; unchanged content makes no new version.",
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
                    f"`{kind} create` needs -f FILE" + (", or --name and --path" if kind == "data" else "")
                )
            print_value(made, fmt=fmt, query=query)
            if kind == "data" and (warning := explain_shadow(app, made["name"])):
                click.echo(warning, err=True)

    return command


def _list(kind: str) -> click.Command:
    @click.command("list", help="Versions, most recently created first.")
    @name_option
    @list_options
    @noun_options
    def command(
        name: str | None,
        max_results: int | None,
        fmt: str,
        query: str | None,
        *,
        include_archived: bool,
        archived_only: bool,
    ) -> None:
        with open_app(read_settings()) as app:
            rows = list_assets(app, kind, name, archived=include_archived or archived_only, limit=None)
            chosen = [r for r in rows if r["archived"] or not archived_only]
            print_value(chosen[:max_results], fmt=fmt, query=query)

    return command


def _show(kind: str) -> click.Command:
    @click.command("show", help="One version; the newest when none is named.")
    @required_name_option
    @version_option
    @label_option
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


def make_update(kind: str) -> click.Command:
    """`update`: what is said about a version; with a document, another version."""

    @click.command("update", help="Change the description or tags of a version; with a document, register it.")
    @file_path_option
    @name_option
    @version_option
    @label_option
    @click.option("--description", "-d", help="What it is.")
    @edit_options
    @noun_options
    def command(
        file: Path | None,
        name: str | None,
        version: str | None,
        label: str | None,
        description: str | None,
        overrides: tuple[str, ...],
        adds: tuple[str, ...],
        removes: tuple[str, ...],
        tags: str,
        fmt: str,
        query: str | None,
    ) -> None:
        said = (f"description={description}",) if description is not None else ()
        with open_app(read_settings(file)) as app:
            if file is not None:
                changes = [parse_override(o) for o in (*overrides, *said)]
                made = (
                    create_model(app, file, changes, name=name, version=version, path=None, kind=None)
                    if kind == MODEL
                    else create_asset(app, kind, file, changes, name=name, version=version)
                )
            elif name is not None:
                made = update_asset(
                    app, kind, name, version, label, parse_edits((*overrides, *said), adds, removes, tags)
                )
            else:
                raise UsageError(f"Which {kind}?", hint="--name NAME --version VERSION, or -f FILE")
            print_value(made, fmt=fmt, query=query)

    return command


def make_delete(kind: str) -> click.Command:
    """`delete`: refused while something relies on the asset."""

    @click.command("delete", help="Forget a version, or all of a name; refused while a release relies on one.")
    @required_name_option
    @version_option
    @noun_options
    def command(name: str, version: str | None, fmt: str, query: str | None) -> None:
        del fmt, query
        with open_app(read_settings()) as app:
            for each in delete_asset(app, kind, name, version):
                click.echo(f"deleted {kind} {name}:{each}", err=True)

    return command
