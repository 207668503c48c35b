"""`tidemill batch-deployment …`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.app.batch import (
    create_deployment,
    delete_deployment,
    list_deployments,
    list_endpoint_jobs,
    show_deployment,
    update_deployment,
)
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.online_deployment import or_names
from tidemill.cli.options import file_path_option, name_option, noun_options, required_name_option, set_option
from tidemill.cli.output import print_value
from tidemill.cli.without_effect import no_wait, unchecked_script
from tidemill.spec.overrides import parse_override

endpoint_option = click.option("--endpoint-name", "-e", "endpoint", required=True, help="The endpoint it is behind.")


@click.group("batch-deployment")
def group() -> None:
    """Scoring jobs behind a batch endpoint."""


def _keep(verb: str, about: str) -> click.Command:
    @click.command(verb, help=about)
    @file_path_option
    @name_option
    @click.option("--endpoint-name", "-e", "endpoint", help="The endpoint it is behind.")
    @click.option("--set-default", is_flag=True, help="Let the endpoint use it when none is named.")
    @unchecked_script
    @no_wait
    @set_option
    @noun_options
    def command(
        file: Path | None,
        name: str | None,
        endpoint: str | None,
        overrides: tuple[str, ...],
        fmt: str,
        query: str | None,
        *,
        set_default: bool,
    ) -> None:
        changes = [parse_override(o) for o in overrides]
        with open_app(read_settings(file)) as app:
            if file is not None:
                row = create_deployment(app, file, changes, name=name, endpoint=endpoint, set_default=set_default)
            elif verb == "update" and name and endpoint:
                row = update_deployment(app, endpoint, name, changes, set_default=set_default)
            else:
                raise UsageError(f"`batch-deployment {verb}` needs -f FILE" + or_names(verb))
            print_value(row, fmt=fmt, query=query)

    return command


group.add_command(_keep("create", "Keep a deployment; the first behind an endpoint becomes its default."))
group.add_command(_keep("update", "Keep a deployment anew: by another document, or with values of its own set."))


@group.command("show")
@required_name_option
@endpoint_option
@noun_options
def show(name: str, endpoint: str, fmt: str, query: str | None) -> None:
    """One deployment."""
    with open_app(read_settings()) as app:
        print_value(show_deployment(app, endpoint, name), fmt=fmt, query=query)


@group.command("list")
@endpoint_option
@noun_options
def list_(endpoint: str, fmt: str, query: str | None) -> None:
    """Every deployment behind an endpoint."""
    with open_app(read_settings()) as app:
        print_value(list_deployments(app, endpoint), fmt=fmt, query=query)


@group.command("list-jobs")
@required_name_option
@endpoint_option
@noun_options
def list_jobs(name: str, endpoint: str, fmt: str, query: str | None) -> None:
    """Jobs the deployment has run, newest first."""
    with open_app(read_settings()) as app:
        show_deployment(app, endpoint, name)
        print_value(list_endpoint_jobs(app, endpoint, name), fmt=fmt, query=query)


@group.command("delete")
@required_name_option
@endpoint_option
@no_wait
@noun_options
def delete(name: str, endpoint: str, fmt: str, query: str | None) -> None:
    """Forget a deployment; jobs it ran stay."""
    del fmt, query
    with open_app(read_settings()) as app:
        delete_deployment(app, endpoint, name)


COMMANDS = {"batch-deployment": group}
