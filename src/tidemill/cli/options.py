"""The options every command shares, in az's words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidemill.cli.answers import remember_yes
from tidemill.cli.folder import change_folder
from tidemill.cli.output import FORMATS, require_query
from tidemill.cli.without_effect import only_errors, without_effect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


start_in_option = click.option(
    "-C",
    "start_in",
    metavar="DIR",
    callback=change_folder,
    expose_value=False,
    is_eager=True,
    help="As if started in DIR.",
)


yes_option = click.option(
    "--yes", "-y", is_flag=True, expose_value=False, callback=remember_yes, help="Answer yes to every question."
)


def everywhere(function: Callable[..., Any]) -> Callable[..., Any]:
    """`-C DIR` and `--yes` after the command as well as before it."""
    function = start_in_option(function)
    return yes_option(function)


def output_options(default: str) -> Decorator:
    """`-o/--output` and `--query`; verbs for people default to `human`, nouns to `json`."""
    formats = FORMATS if default in FORMATS else (default, *FORMATS)

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option(
            "-o",
            "--output",
            "fmt",
            type=click.Choice(formats),
            default=default,
            show_default=True,
            help="Output format.",
        )(function)
        return click.option("--query", metavar="JMESPATH", callback=_read_query, help="Select from the output.")(
            function
        )

    return add


def _read_query(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A query that cannot be one is refused before anything is done for it."""
    del context, option
    require_query(value)
    return value


SCOPE = (("-g", "--resource-group"), ("-w", "--workspace-name"), ("--subscription",))
CHATTER = ("--debug", "--verbose")


def azure_scope(function: Callable[..., Any], scope: Sequence[tuple[str, ...]] = SCOPE) -> Callable[..., Any]:
    """`-g`, `-w`, `--subscription`: accepted for scripts; the workspace here is the project's own."""
    function = only_errors(function)
    for flag in CHATTER:
        function = click.option(flag, is_flag=True, expose_value=False, hidden=True)(function)
    for flags in scope:
        function = click.option(*flags, expose_value=False, help="Accepted for az scripts.", metavar="NAME")(function)
    return function


def noun_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What every noun's verbs take: everywhere, az's scope, output as JSON."""
    return everywhere(azure_scope(output_options("json")(function)))


def workspace_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `noun_options`, where `-w` is the name itself."""
    scope = [flags for flags in SCOPE if "-w" not in flags]
    return everywhere(azure_scope(output_options("json")(function), scope))


set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a value of the document, e.g. inputs.epochs=3.",
)
project_set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a value of tidemill.yaml, e.g. stages.production.replicas=3.",
)
file_path_option = click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path), metavar="FILE", help="The YAML document."
)
registry_option = click.option(
    "--registry-name", "registry", metavar="NAME", help="Of this registry, not the workspace."
)
label_option = click.option("--label", "-l", help="A label such as latest.")
description_option = click.option("--description", "-d", help="What it is.")
tags_option = click.option("--tags", default="", metavar="KEY=VALUE", help="Tags, in pairs.")


def edit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--set`, `--add`, `--remove` and `--tags`, as `az … update` has them; each may be repeated."""
    function = click.option(
        "--add", "adds", multiple=True, metavar="PATH VALUE", help="Append to a list: a value, JSON or key=value."
    )(function)
    function = click.option(
        "--remove", "removes", multiple=True, metavar="PATH [INDEX]", help="Drop a field, or one item of a list."
    )(function)
    function = without_effect("--force-string", is_flag=True, why="quote a value to keep it text, as in `'\"1\"'`")(
        function
    )
    return set_option(tags_option(function))


def list_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--max-results`, `--include-archived` and `--archived-only`."""
    function = click.option("--archived-only", is_flag=True, help="Just what is archived.")(function)
    function = click.option("--include-archived", is_flag=True, help="What is archived too.")(function)
    return click.option("--max-results", "-r", type=click.IntRange(1), help="At most so many.")(function)


required_name_option = click.option("-n", "--name", "name", required=True, metavar="NAME", help="Name.")
name_option = click.option("-n", "--name", "name", metavar="NAME", help="Name.")
version_option = click.option("-v", "--version", "version", metavar="VERSION", help="Version.")

executor_option = click.option(
    "--executor",
    default="",
    metavar="NAME",
    help="Run every step there (local, ray, kubernetes, azureml), whatever its compute is mapped to in tidemill.yaml.",
)
