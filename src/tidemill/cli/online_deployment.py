"""`tidemill online-deployment …`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from tidemill.app.online_deployments import (
    DeploymentRequest,
    create_deployment,
    delete_deployment,
    deployment_source,
    list_deployments,
    show_deployment,
    update_deployment,
)
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.online_endpoint import local_option
from tidemill.cli.options import file_path_option, name_option, noun_options, required_name_option, set_option
from tidemill.cli.output import print_value
from tidemill.cli.without_effect import no_wait, unchecked_script, without_effect
from tidemill.spec.overrides import parse_override

endpoint_option = click.option("--endpoint-name", "-e", "endpoint", required=True, help="The endpoint.")


@click.group("online-deployment")
def group() -> None:
    """Versions running behind an online endpoint."""


def or_names(verb: str) -> str:
    """What `update` takes instead of a document."""
    return ", or --name and --endpoint-name of one that was made from a document" if verb == "update" else ""


def _create(verb: str) -> click.Command:
    @click.command(verb, help="Start a deployment beside those that are there; it must become ready.")
    @file_path_option
    @name_option
    @click.option("--endpoint-name", "-e", "endpoint", help="The endpoint, if not the document's.")
    @click.option("--all-traffic", is_flag=True, help="Give it all the traffic when it is ready.")
    @set_option
    @unchecked_script
    @no_wait
    @local_option
    @noun_options
    def command(
        file: Path | None,
        name: str | None,
        endpoint: str | None,
        overrides: tuple[str, ...],
        fmt: str,
        query: str | None,
        *,
        all_traffic: bool,
    ) -> None:
        with open_app(read_settings(file)) as app:
            changes = [parse_override(o) for o in overrides]
            if file is None and verb == "update" and name and endpoint:
                file, before = deployment_source(app, endpoint, name)
                changes = [*before, *changes]
            if file is None:
                raise UsageError(f"`online-deployment {verb}` needs -f FILE" + or_names(verb))
            keep = create_deployment if verb == "create" else update_deployment
            request = DeploymentRequest(file, tuple(changes), name, endpoint, all_traffic)
            made = keep(app, request, partial(click.echo, err=True))
            print_value(made, fmt=fmt, query=query)

    return command


for _verb in ("create", "update"):
    group.add_command(_create(_verb))


@group.command("show")
@required_name_option
@endpoint_option
@local_option
@noun_options
def show(name: str, endpoint: str, fmt: str, query: str | None) -> None:
    """One deployment."""
    with open_app(read_settings()) as app:
        print_value(show_deployment(app, endpoint, name), fmt=fmt, query=query)


@group.command("list")
@endpoint_option
@local_option
@noun_options
def list_(endpoint: str, fmt: str, query: str | None) -> None:
    """Every deployment of an endpoint."""
    with open_app(read_settings()) as app:
        print_value(list_deployments(app, endpoint), fmt=fmt, query=query)


@group.command("delete")
@required_name_option
@endpoint_option
@no_wait
@local_option
@noun_options
def delete(name: str, endpoint: str, fmt: str, query: str | None) -> None:
    """Drain and stop one deployment that has no traffic."""
    del fmt, query
    with open_app(read_settings()) as app:
        delete_deployment(app, endpoint, name)


@group.command("get-logs")
@required_name_option
@endpoint_option
@click.option(
    "--lines", "-l", type=click.IntRange(1), default=50, show_default=True, help="How many lines from the end."
)
@without_effect("--container", why="there is one log")
@local_option
@noun_options
def get_logs(name: str, endpoint: str, lines: int, fmt: str, query: str | None) -> None:
    """The last lines a deployment's server wrote."""
    del fmt, query
    with open_app(read_settings()) as app:
        show_deployment(app, endpoint, name)
        sys.stdout.writelines(f"{line}\n" for line in app.target.logs(endpoint, name, lines=lines))


COMMANDS = {"online-deployment": group}
