"""`tidemill feedback`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tidemill.app.feedback import find_place, give_feedback, joined, read_feedback
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.options import everywhere


@click.command("feedback")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--endpoint", "-n", metavar="NAME", help="The endpoint on this machine; not needed where there is one.")
@click.option("--stage", metavar="NAME", help="The stage whose pods recorded, instead of an endpoint here.")
@click.option(
    "--dir",
    "folder",
    metavar="FOLDER|URL",
    help="Where records are (the --capture-dir or --capture-to of a server), instead of an endpoint.",
)
@click.option("--request-id", metavar="ID", help="The answer's x-request-id.")
@click.option("--truth", help="What was true: JSON, or text.")
@click.option(
    "--join",
    "out",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write recorded rows beside their truth to OUT (.parquet or .csv).",
)
@everywhere
def command(
    *,
    file: Path | None,
    endpoint: str | None,
    stage: str | None,
    folder: str | None,
    request_id: str | None,
    truth: str | None,
    out: Path | None,
) -> int:
    """Say what turned out to be true of served requests, from FILE (request_id, truth; CSV or JSON) or one at a time."""
    if bool(request_id) != (truth is not None):
        raise click.UsageError("--request-id and --truth go together")
    if sum(x is not None for x in (endpoint, stage, folder)) > 1:
        raise click.UsageError("--endpoint, --stage and --dir exclude each other")
    if not (file or request_id or out):
        raise click.UsageError("Give FILE, --request-id with --truth, or --join OUT")
    with open_app(read_settings()) as app:
        place = find_place(app, endpoint, stage, folder)
        items = read_feedback(file) if file else []
        if request_id:
            items.append({"request_id": request_id, "truth": _value(str(truth))})
        if items:
            click.echo(f"kept: {give_feedback(app, place, items)}")
        if out:
            rows, known = joined(app, place, out, lambda words: click.echo(words, err=True))
            click.echo(f"{out}: {rows} row{'' if rows == 1 else 's'}, the truth of {known} is known")
    return 0


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except ValueError:
        return text


COMMANDS = {"feedback": command}
