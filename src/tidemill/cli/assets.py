"""The verbs data, component and environment share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from tidemill.app.asset_changes import MODEL, archive_asset, delete_asset, update_asset
from tidemill.app.assets_crud import create_asset, create_from_fields, explain_shadow, list_assets, show_asset
from tidemill.app.models import create_model
from tidemill.app.registries import open_scope, share
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.options import (
    description_option,
    edit_options,
    file_path_option,
    label_option,
    list_options,
    name_option,
    noun_options,
    registry_option,
    required_name_option,
    set_option,
    tags_option,
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
        make_archive(kind, archived=True),
        make_archive(kind, archived=False),
        make_delete(kind),
        make_share(kind),
    ):
        group.add_command(command)
    return group


# What `az ml … create` takes besides a document, by kind: the option, the field of the document, what it is.
FIELDS: Mapping[str, Sequence[tuple[tuple[str, ...], str, str]]] = {
    "data": (
        (("--path", "-p"), "path", "A local file or folder, or an address, instead of a document."),
        (("--type", "-t"), "type", "uri_file, uri_folder or mltable."),
    ),
    "environment": (
        (("--image", "-i"), "image", "An image, instead of a document."),
        (("--conda-file", "-c"), "conda_file", "The packages of the environment."),
        (("--build-context", "-b"), "build.path", "The folder an image is built from."),
        (("--dockerfile-path",), "build.dockerfile_path", "The Dockerfile in that folder."),
        (("--os-type",), "os_type", "linux or windows."),
    ),
    "component": (),
}


def given_fields(description: str | None, tags: str, given: Mapping[str, str | None] | None = None) -> list[str]:
    """Options as the assignments `--set` takes."""
    pairs = {"description": description, **(given or {})}
    return [*(f"{k}={v}" for k, v in pairs.items() if v is not None), *(f"tags.{pair}" for pair in tags.split())]


def _create(kind: str) -> click.Command:
    fields = FIELDS[kind]

    @click.command(
        "create",
        help=f"Register {'an' if kind[0] == 'e' else 'a'} {kind} asset; unchanged content makes no new version.",
    )
    @file_path_option
    @name_option
    @version_option
    @description_option
    @tags_option
    @set_option
    @registry_option
    @noun_options
    def command(
        file: Path | None,
        name: str | None,
        version: str | None,
        description: str | None,
        tags: str,
        overrides: tuple[str, ...],
        registry: str | None,
        fmt: str,
        query: str | None,
        **given: str | None,
    ) -> None:
        values = {field: given[_parameter(field)] for _, field, _ in fields}
        said = [parse_override(o) for o in (*overrides, *given_fields(description, tags, values))]
        with open_scope(read_settings(file), registry) as app:
            if file is not None:
                made = create_asset(app, kind, file, said, name=name, version=version)
            elif name and any(values.values()):
                made = create_from_fields(app, kind, name, version, said, Path.cwd())
            else:
                raise UsageError(f"`{kind} create` needs -f FILE" + _or_options(kind))
            print_value(made, fmt=fmt, query=query)
            if kind == "data" and (warning := explain_shadow(app, made["name"])):
                click.echo(warning, err=True)

    for flags, field, about in reversed(fields):
        command = click.option(*flags, _parameter(field), help=about)(command)
    return command


def _parameter(field: str) -> str:
    return field.replace(".", "_")


def _or_options(kind: str) -> str:
    return {"data": ", or --name and --path", "environment": ", or --name and --image or --build-context"}.get(kind, "")


def _list(kind: str) -> click.Command:
    @click.command("list", help="Versions, most recently created first.")
    @name_option
    @list_options
    @registry_option
    @noun_options
    def command(
        name: str | None,
        max_results: int | None,
        registry: str | None,
        fmt: str,
        query: str | None,
        *,
        include_archived: bool,
        archived_only: bool,
    ) -> None:
        with open_scope(read_settings(), registry) as app:
            rows = list_assets(app, kind, name, archived=include_archived or archived_only, limit=None)
            chosen = [r for r in rows if r["archived"] or not archived_only]
            print_value(chosen[:max_results], fmt=fmt, query=query)

    return command


def _show(kind: str) -> click.Command:
    @click.command("show", help="One version; the newest when none is named.")
    @required_name_option
    @version_option
    @label_option
    @registry_option
    @noun_options
    def command(
        name: str, version: str | None, label: str | None, registry: str | None, fmt: str, query: str | None
    ) -> None:
        with open_scope(read_settings(), registry) as app:
            print_value(show_asset(app, kind, name, version, label), fmt=fmt, query=query)

    return command


def make_archive(kind: str, *, archived: bool) -> click.Command:
    """`archive` or `restore`."""

    @click.command(
        "archive" if archived else "restore", help="Hide from lists." if archived else "Bring back into lists."
    )
    @required_name_option
    @version_option
    @label_option
    @registry_option
    @noun_options
    def command(
        name: str, version: str | None, label: str | None, registry: str | None, fmt: str, query: str | None
    ) -> None:
        del fmt, query
        with open_scope(read_settings(), registry) as app:
            archive_asset(app, kind, name, version, label, archived=archived)

    return command


def make_update(kind: str) -> click.Command:
    """`update`: what is said about a version; with a document, another version."""

    @click.command("update", help="Change the description or tags of a version; with a document, register it.")
    @file_path_option
    @name_option
    @version_option
    @label_option
    @description_option
    @edit_options
    @registry_option
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
        registry: str | None,
        fmt: str,
        query: str | None,
    ) -> None:
        said = (f"description={description}",) if description is not None else ()
        with open_scope(read_settings(file), registry) as app:
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
    @registry_option
    @noun_options
    def command(name: str, version: str | None, registry: str | None, fmt: str, query: str | None) -> None:
        del fmt, query
        with open_scope(read_settings(), registry) as app:
            for each in delete_asset(app, kind, name, version):
                click.echo(f"deleted {kind} {name}:{each}", err=True)

    return command


def make_share(kind: str) -> click.Command:
    """`share`: a version of the workspace, copied to a registry."""

    @click.command("share", help="Copy a version to a registry.")
    @required_name_option
    @click.option("--version", "-v", required=True, help="Version.")
    @click.option("--registry-name", "registry", required=True, metavar="NAME", help="The registry it goes to.")
    @click.option("--share-with-name", "other_name", metavar="NAME", help="Its name there; default: the same.")
    @click.option(
        "--share-with-version", "other_version", metavar="VERSION", help="Its version there; default: the same."
    )
    @noun_options
    def command(
        name: str,
        version: str,
        registry: str,
        other_name: str | None,
        other_version: str | None,
        fmt: str,
        query: str | None,
    ) -> None:
        with open_app(read_settings()) as app:
            target = (other_name or name, other_version or version)
            print_value(share(app, kind, (name, version), registry, target), fmt=fmt, query=query)

    return command
