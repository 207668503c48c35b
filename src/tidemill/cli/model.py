"""`tidemill model …`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.app.models import as_json, create_model, download_model, list_models
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.assets import make_delete, make_update
from tidemill.cli.keys import sign_command, verify_command
from tidemill.cli.model_sync import sync_command
from tidemill.cli.options import (
    file_path_option,
    list_options,
    name_option,
    noun_options,
    required_name_option,
    set_option,
    version_option,
)
from tidemill.cli.output import print_value
from tidemill.spec.overrides import parse_override


@click.group("model")
def model() -> None:
    """Registered models."""


@model.command("create")
@file_path_option
@name_option
@version_option
@click.option("--path", "-p", help="Model file or folder, or azureml://jobs/NAME/outputs/OUTPUT.")
@click.option(
    "--type", "-t", "kind", type=click.Choice(["custom_model", "mlflow_model", "triton_model"]), help="Kind of model."
)
@set_option
@noun_options
def create(
    file: Path | None,
    name: str | None,
    version: str | None,
    path: str | None,
    kind: str | None,
    overrides: tuple[str, ...],
    fmt: str,
    query: str | None,
) -> None:
    """Register a model. The same name and version with other bytes is an error."""
    with open_app(read_settings(file)) as app:
        made = create_model(
            app, file, [parse_override(o) for o in overrides], name=name, version=version, path=path, kind=kind
        )
        print_value(made, fmt=fmt, query=query)


@model.command("list")
@name_option
@list_options
@noun_options
def list_(
    name: str | None,
    max_results: int | None,
    fmt: str,
    query: str | None,
    *,
    include_archived: bool,
    archived_only: bool,
) -> None:
    """Versions, most recently created first: `--query "[0].version" -o tsv` is the newest."""
    with open_app(read_settings()) as app:
        rows = list_models(app, name, archived=include_archived or archived_only, limit=None)
        chosen = [r for r in rows if r["archived"] or not archived_only]
        print_value(chosen[:max_results], fmt=fmt, query=query)


@model.command("show")
@required_name_option
@version_option
@click.option("--label", "-l", help="A label such as latest or production.")
@noun_options
def show(name: str, version: str | None, label: str | None, fmt: str, query: str | None) -> None:
    """One version; the newest when none is named."""
    with open_app(read_settings()) as app:
        print_value(as_json(app.registry.get(name, version or label or "latest")), fmt=fmt, query=query)


@model.command("download")
@required_name_option
@version_option
@click.option("--label", "-l", help="A label such as latest or production.")
@click.option(
    "--download-path", "-p", type=click.Path(path_type=Path), default=Path(), help="Folder to copy into; default: here."
)
@noun_options
def download(
    name: str, version: str | None, label: str | None, download_path: Path, fmt: str, query: str | None
) -> None:
    """Copy a version's files into `<download-path>/<name>`."""
    del fmt, query
    with open_app(read_settings()) as app:
        click.echo(f"downloaded {download_model(app, name, version or label or 'latest', download_path)}", err=True)


@model.command("archive")
@required_name_option
@version_option
@noun_options
def archive(name: str, version: str | None, fmt: str, query: str | None) -> None:
    """Hide a version from lists."""
    _archive(name, version, archived=True)
    del fmt, query


@model.command("restore")
@required_name_option
@version_option
@noun_options
def restore(name: str, version: str | None, fmt: str, query: str | None) -> None:
    """Bring an archived version back into lists."""
    _archive(name, version, archived=False)
    del fmt, query


def _archive(name: str, version: str | None, *, archived: bool) -> None:
    with open_app(read_settings()) as app:
        chosen = [version] if version else [v.version for v in app.registry.list(name, archived=True)]
        for each in chosen:
            app.registry.archive(name, each, archived=archived)


model.add_command(make_update("model"))
model.add_command(make_delete("model"))
model.add_command(sync_command)
model.add_command(sign_command)
model.add_command(verify_command)

COMMANDS = {"model": model}
