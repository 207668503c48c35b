"""`tidemill model …`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.app.models import as_json, create_model, download_model, list_models
from tidemill.app.registries import open_scope
from tidemill.app.settings import read_settings
from tidemill.cli.assets import given_fields, make_archive, make_delete, make_share, make_update
from tidemill.cli.keys import sign_command, verify_command
from tidemill.cli.model_sync import sync_command
from tidemill.cli.options import (
    description_option,
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
from tidemill.cli.output import has_tag, print_value
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
@description_option
@tags_option
@set_option
@registry_option
@noun_options
def create(
    file: Path | None,
    name: str | None,
    version: str | None,
    path: str | None,
    kind: str | None,
    description: str | None,
    tags: str,
    overrides: tuple[str, ...],
    registry: str | None,
    fmt: str,
    query: str | None,
) -> None:
    """Register a model. The same name and version with other bytes is an error."""
    with open_scope(read_settings(file), registry) as app:
        changes = [parse_override(o) for o in (*overrides, *given_fields(description, tags))]
        made = create_model(app, file, changes, name=name, version=version, path=path, kind=kind)
        print_value(made, fmt=fmt, query=query)


@model.command("list")
@name_option
@click.option("--tag", help="Just those with this tag: KEY, or KEY=VALUE.")
@click.option("--stage", "-s", help="Just those with this label, as `promote` sets it.")
@list_options
@registry_option
@noun_options
def list_(
    name: str | None,
    tag: str | None,
    stage: str | None,
    max_results: int | None,
    registry: str | None,
    fmt: str,
    query: str | None,
    *,
    include_archived: bool,
    archived_only: bool,
) -> None:
    """Versions, most recently created first: `--query "[0].version" -o tsv` is the newest."""
    with open_scope(read_settings(), registry) as app:
        rows = list_models(app, name, archived=include_archived or archived_only, limit=None)
        chosen = [
            r
            for r in rows
            if (r["archived"] or not archived_only) and has_tag(r["tags"], tag) and (not stage or stage in r["labels"])
        ]
        print_value(chosen[:max_results], fmt=fmt, query=query)


@model.command("show")
@required_name_option
@version_option
@label_option
@registry_option
@noun_options
def show(name: str, version: str | None, label: str | None, registry: str | None, fmt: str, query: str | None) -> None:
    """One version; the newest when none is named."""
    with open_scope(read_settings(), registry) as app:
        print_value(as_json(app.registry.get(name, version or label or "latest")), fmt=fmt, query=query)


@model.command("download")
@required_name_option
@version_option
@label_option
@click.option(
    "--download-path", "-p", type=click.Path(path_type=Path), default=Path(), help="Folder to copy into; default: here."
)
@registry_option
@noun_options
def download(
    name: str,
    version: str | None,
    label: str | None,
    download_path: Path,
    registry: str | None,
    fmt: str,
    query: str | None,
) -> None:
    """Copy a version's files into `<download-path>/<name>`."""
    del fmt, query
    with open_scope(read_settings(), registry) as app:
        click.echo(f"downloaded {download_model(app, name, version or label or 'latest', download_path)}", err=True)


for _archived in (True, False):
    model.add_command(make_archive("model", archived=_archived))
model.add_command(make_update("model"))
model.add_command(make_delete("model"))
model.add_command(make_share("model"))
model.add_command(sync_command)
model.add_command(sign_command)
model.add_command(verify_command)

COMMANDS = {"model": model}
