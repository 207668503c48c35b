"""The verbs of documents that are kept and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tidemill.app.declared import create, delete, list_all, show, update
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.assets import given_fields
from tidemill.cli.options import (
    description_option,
    edit_options,
    file_path_option,
    name_option,
    noun_options,
    required_name_option,
    set_option,
    tags_option,
    workspace_options,
)
from tidemill.cli.output import print_value
from tidemill.cli.without_effect import no_wait
from tidemill.spec.edits import parse_edits
from tidemill.spec.overrides import parse_override


def pairs(text: str) -> dict[str, str]:
    """`KEY=VALUE KEY=VALUE` as one mapping; a usage error for words that are none."""
    found = [word.partition("=") for word in text.split()]
    if not all(key and equals for key, equals, _ in found):
        raise click.BadParameter(f"`{text}` is not KEY=VALUE")
    return {key: value for key, _, value in found}


Field = tuple[tuple[str, ...], Callable[[str], Any], str]
_DEFAULTS: Field = (("--defaults",), pairs, "deployment_name=NAME, the one that answers when none is named.")
_SIZES: Sequence[Field] = (
    (("--min-instances",), int, "Fewest machines."),
    (("--max-instances",), int, "Most machines."),
    (("--idle-time-before-scale-down",), int, "Seconds until an idle machine of a cluster goes."),
    (("--idle-time-before-shutdown",), str, "Until an idle instance stops, as PT30M."),
    (("--idle-time-before-shutdown-minutes",), int, "Minutes until an idle instance stops."),
)
_TYPE: Field = (("--type", "-t"), str, "Its type.")
_LOCATION: Field = (("--location", "-l"), str, "Its region; nothing here depends on it.")
_DISPLAY: Field = (("--display-name",), str, "What people call it.")
# What `create` takes besides a document, by noun: each sets the field of its name.
CREATED: Mapping[str, Sequence[Field]] = {
    "compute": (
        _TYPE,
        (("--size", "-s"), str, "Its size; it runs on this machine whatever the size."),
        *_SIZES,
        (("--tier",), str, "dedicated or low_priority."),
        _LOCATION,
        (("--resource-id",), str, "The machine or cluster that is attached."),
        (("--namespace",), str, "The namespace of an attached cluster."),
    ),
    "workspace": (_DISPLAY, _LOCATION, (("--kind", "-k"), str, "default, hub, project or featurestore.")),
    "registry": (_DISPLAY, _LOCATION),
    "connection": (_TYPE, (("--target",), str, "Where it leads.")),
    "datastore": (_TYPE,),
    "batch-endpoint": (_DEFAULTS,),
}
CHANGED: Mapping[str, Sequence[Field]] = {
    "compute": _SIZES,
    "workspace": (_DISPLAY,),
    "registry": (_DISPLAY,),
    "batch-endpoint": (_DEFAULTS,),
}


def make_group(noun: str, about: str) -> click.Group:
    """`create`, `update`, `show`, `list` and `delete` of one noun."""
    group = click.Group(noun, help=about)
    for command in (make_create(noun), _update(noun), _show(noun), _list(noun), make_delete(noun)):
        group.add_command(command)
    return group


def take_fields(fields: Sequence[Field]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for each field."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for flags, kind, about in reversed(fields):
            function = click.option(*flags, type=kind, help=about)(function)
        return function

    return add


def scope_options(noun: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options every verb of a noun takes; `-w` is the name of a workspace itself."""
    return workspace_options if noun == "workspace" else noun_options


def one_of(noun: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The name of the one that is meant; a workspace may be left out, as there is a default."""
    if noun == "workspace":
        return click.option("-n", "--name", "-w", "--workspace-name", "name", metavar="NAME", help="Name.")
    return required_name_option


def maybe_one_of(noun: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The name, which a document may give instead."""
    return one_of(noun) if noun == "workspace" else name_option


def make_create(noun: str, verb: str = "create") -> click.Command:
    """`create`; of a compute also `attach`."""

    @click.command(verb, help=f"Keep a {noun} document in the workspace; the same name again changes it.")
    @file_path_option
    @maybe_one_of(noun)
    @description_option
    @tags_option
    @take_fields(CREATED.get(noun, ()))
    @no_wait
    @set_option
    @scope_options(noun)
    def command(
        file: Path | None,
        name: str | None,
        description: str | None,
        tags: str,
        overrides: tuple[str, ...],
        fmt: str,
        query: str | None,
        **given: Any,  # noqa: ANN401 - one for each field
    ) -> None:
        fields = {k: v for k, v in given.items() if v is not None}
        changes = [parse_override(o) for o in (*overrides, *given_fields(description, tags))]
        with open_app(read_settings(file)) as app:
            row, note = create(app, noun, file, changes, name, fields)
            print_value(row, fmt=fmt, query=query)
        if note:
            click.echo(note, err=True)

    return command


def _update(noun: str) -> click.Command:
    @click.command("update", help=f"Change a {noun} that is kept, by options or by its document.")
    @file_path_option
    @maybe_one_of(noun)
    @description_option
    @take_fields(CHANGED.get(noun, ()))
    @no_wait
    @edit_options
    @scope_options(noun)
    def command(
        file: Path | None,
        name: str | None,
        description: str | None,
        overrides: tuple[str, ...],
        adds: tuple[str, ...],
        removes: tuple[str, ...],
        tags: str,
        fmt: str,
        query: str | None,
        **given: Any,  # noqa: ANN401 - one for each field
    ) -> None:
        fields = {k: v for k, v in given.items() if v is not None}
        edits = parse_edits((*overrides, *given_fields(description, "")), adds, removes, tags)
        with open_app(read_settings(file)) as app:
            if file is not None:
                row, _ = create(app, noun, file, edits.set, name, fields)
                row = update(app, noun, row["name"], fields, replace(edits, set=()))
            elif name is not None or noun == "workspace":
                row = update(app, noun, name, fields, edits)
            else:
                raise UsageError(f"Which {noun}?", hint="--name NAME, or -f FILE")
            print_value(row, fmt=fmt, query=query)

    return command


def _show(noun: str) -> click.Command:
    @click.command("show", help="One of them.")
    @one_of(noun)
    @scope_options(noun)
    def command(name: str, fmt: str, query: str | None) -> None:
        with open_app(read_settings()) as app:
            print_value(show(app, noun, name), fmt=fmt, query=query)

    return command


def _list(noun: str) -> click.Command:
    @click.command("list", help="All of them, newest first.")
    @click.option("--max-results", "-r", type=click.IntRange(1), help="At most so many.")
    @click.option("--type", "-t", "kind", help="Just those of this type.")
    @noun_options
    def command(max_results: int | None, kind: str | None, fmt: str, query: str | None) -> None:
        wanted = (kind or "").casefold().replace("_", "")
        with open_app(read_settings()) as app:
            rows = list_all(app, noun)
        chosen = [r for r in rows if wanted in {"", str(r.get("type", "")).casefold().replace("_", "")}]
        print_value(chosen[:max_results], fmt=fmt, query=query)

    return command


def make_delete(noun: str, verb: str = "delete") -> click.Command:
    """`delete`; of a compute also `detach`."""

    @click.command(verb, help="Forget it.")
    @one_of(noun)
    @no_wait
    @scope_options(noun)
    def command(name: str, fmt: str, query: str | None) -> None:
        del fmt, query
        with open_app(read_settings()) as app:
            delete(app, noun, name)

    return command
