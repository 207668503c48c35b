"""`tidemill online-endpoint …`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from tidemill.app.endpoints import (
    create_endpoint,
    delete_endpoint,
    invoke,
    list_endpoints,
    parse_traffic,
    revive,
    set_traffic,
    show_endpoint,
    update_endpoint,
)
from tidemill.app.settings import read_settings
from tidemill.app.stage_keys import endpoint_keys
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
)
from tidemill.cli.output import print_value
from tidemill.cli.without_effect import no_wait
from tidemill.release.keypair import TURN
from tidemill.spec.edits import parse_edits
from tidemill.spec.overrides import parse_override

local_option = click.option("--local", is_flag=True, expose_value=False, help="Accepted: everything here is local.")

stage_option = click.option("--stage", metavar="NAME", help="The endpoint as this stage of tidemill.yaml has it.")


@click.group("online-endpoint")
def group() -> None:
    """Stable addresses that answer requests."""


@group.command("create")
@file_path_option
@name_option
@click.option(
    "--auth-mode", type=click.Choice(["key", "aml_token", "aad_token", "none"]), help="What callers must show."
)
@set_option
@no_wait
@local_option
@noun_options
def create(
    file: Path | None, name: str | None, auth_mode: str | None, overrides: tuple[str, ...], fmt: str, query: str | None
) -> None:
    """An endpoint that listens; requests are answered from its first deployment on."""
    with open_app(read_settings(file)) as app:
        print_value(
            create_endpoint(app, file, name, [parse_override(o) for o in overrides], auth_mode=auth_mode),
            fmt=fmt,
            query=query,
        )


@group.command("update")
@file_path_option
@name_option
@click.option("--traffic", "-r", help='Shares, e.g. "blue=90 green=10".')
@click.option("--mirror-traffic", "-m", help='Copies, e.g. "green=10".')
@description_option
@edit_options
@no_wait
@local_option
@noun_options
def update(
    file: Path | None,
    name: str | None,
    traffic: str | None,
    mirror_traffic: str | None,
    description: str | None,
    overrides: tuple[str, ...],
    adds: tuple[str, ...],
    removes: tuple[str, ...],
    tags: str,
    fmt: str,
    query: str | None,
) -> None:
    """Change an endpoint: its traffic, its mirror, its document, what is said of it. No request is lost."""
    edits = parse_edits((*overrides, *given_fields(description, "")), adds, removes, tags)
    with open_app(read_settings(file)) as app:
        if file is not None:
            name = create_endpoint(app, file, name, edits.set, known=True)["name"]
            edits = replace(edits, set=())
        if name is None:
            raise UsageError("Which endpoint?", hint="--name NAME")
        row = update_endpoint(app, name, edits)
        shares = parse_traffic(traffic) if traffic is not None else None
        copies = parse_traffic(mirror_traffic) if mirror_traffic is not None else None
        print_value(set_traffic(app, name, shares, copies) if shares or copies else row, fmt=fmt, query=query)


@group.command("show")
@required_name_option
@local_option
@noun_options
def show(name: str, fmt: str, query: str | None) -> None:
    """One endpoint: address, state, traffic."""
    with open_app(read_settings()) as app:
        revive(app, name)
        print_value(show_endpoint(app, name), fmt=fmt, query=query)


@group.command("list")
@local_option
@noun_options
def list_(fmt: str, query: str | None) -> None:
    """Every endpoint, by name."""
    with open_app(read_settings()) as app:
        print_value(list_endpoints(app), fmt=fmt, query=query)


@group.command("delete")
@required_name_option
@no_wait
@local_option
@noun_options
def delete(name: str, fmt: str, query: str | None) -> None:
    """Stop and forget an endpoint with its deployments."""
    del fmt, query
    with open_app(read_settings()) as app:
        delete_endpoint(app, name)


@group.command("invoke")
@required_name_option
@click.option(
    "--request-file", "-r", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The body to send."
)
@click.option("--deployment-name", "-d", help="This deployment, whatever the traffic.")
@local_option
@noun_options
def invoke_command(
    name: str, request_file: Path | None, deployment_name: str | None, fmt: str, query: str | None
) -> None:
    """Send a request to the endpoint's /score and print the answer."""
    del fmt, query
    body = request_file.read_bytes() if request_file else b"{}"
    with open_app(read_settings()) as app:
        sys.stdout.write(invoke(app, name, body, deployment_name) + "\n")


@group.command("get-credentials")
@required_name_option
@stage_option
@noun_options
def get_credentials(name: str, stage: str | None, fmt: str, query: str | None) -> None:
    """The endpoint's two keys, here or in the Secret of a stage on a cluster."""
    with open_app(read_settings()) as app:
        print_value(endpoint_keys(app, name, stage), fmt=fmt, query=query)


@group.command("regenerate-keys")
@required_name_option
@click.option("--key-type", type=click.Choice(["primary", "secondary"]), help="The one to replace; the other stays.")
@stage_option
@noun_options
def regenerate_keys(name: str, key_type: str | None, stage: str | None, fmt: str, query: str | None) -> None:
    """A new first key, the old first one stays valid as the second; or, with --key-type, that key alone."""
    with open_app(read_settings()) as app:
        print_value(endpoint_keys(app, name, stage, renew=key_type or TURN), fmt=fmt, query=query)


group.add_command(get_credentials, "list-keys")
COMMANDS = {"online-endpoint": group}
