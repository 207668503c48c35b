"""`tidemill render`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.app.render import pick_stage, render_rbac, render_stage, write_files
from tidemill.app.settings import read_settings
from tidemill.app.up import chosen_stages, require_project
from tidemill.app.wiring import open_app
from tidemill.cli.options import everywhere, project_set_option
from tidemill.release.render import STYLES
from tidemill.spec.overrides import parse_override


@click.command("render")
@click.option("--stage", metavar="NAME", help="The stage; default: the first that goes to a cluster.")
@click.option("--format", "style", type=click.Choice(STYLES), default="yaml", show_default=True, help="Kind of files.")
@click.option("--image", default="", metavar="NAME@sha256:…", help="Another image than the one released last.")
@click.option("--kubernetes", default="", metavar="VERSION", help="For a cluster of that version, e.g. 1.20.")
@click.option(
    "--share",
    type=click.IntRange(1, 99),
    default=None,
    metavar="PERCENT",
    help="As in the middle of a canary: this much along the route to this version, the rest to the one before it.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write files here instead of printing.")
@click.option("--rbac", is_flag=True, help="The account and role that may deploy to the stage's namespace, instead.")
@project_set_option
@everywhere
def render_command(
    stage: str | None,
    style: str,
    image: str,
    out: Path | None,
    kubernetes: str,
    share: int | None,
    overrides: tuple[str, ...],
    *,
    rbac: bool,
) -> None:
    """Print or write the objects `up` would apply: plain YAML, Kustomize, a Helm chart, or a compose file.

    Names the image by digest. Placeholders, tags, ports that do not meet and missing names are refused, all at once.
    """
    with open_app(read_settings(), project_overrides=[parse_override(o) for o in overrides]) as app:
        project = require_project(app)
        name, chosen = pick_stage(dict(chosen_stages(project, None)), stage)
        if rbac:
            files = render_rbac(project, chosen)
        else:
            files = render_stage(
                app, project, name, chosen, style=style, image=image, kubernetes=kubernetes, share=share or 0
            )
    if out is not None:
        for path in write_files(files, out):
            click.echo(str(path))
    elif len(files) == 1:
        click.echo(next(iter(files.values())), nl=False)
    else:
        for file, text in files.items():
            click.echo(f"# {file}\n---\n{text}", nl=False)


COMMANDS = {"render": render_command}
