"""`tidemill serve MODEL`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.app.serve import serve
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.options import everywhere


@click.command("serve")
@click.argument("model")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port; 0 takes any free one."
)
@click.option(
    "--code", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of an Azure scoring script."
)
@click.option("--script", default="score.py", show_default=True, help="The scoring script in --code.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Accepted tokens, one a line."
)
@click.option(
    "--allow-pickle", is_flag=True, help="Trust a model folder that holds a pickle (registered models are trusted)."
)
@everywhere
def command(
    model: str, host: str, port: int, code: Path | None, script: str, token_file: Path | None, *, allow_pickle: bool
) -> int:
    """Serve a registered model (NAME, NAME:VERSION or NAME@LABEL) or a model folder, in the foreground."""
    more = ["--host", host, "--port", str(port)]
    if code is not None:
        more += ["--code", str(code), "--script", script]
    if token_file is not None:
        more += ["--token-file", str(token_file)]
    with open_app(read_settings()) as app:
        return serve(app, model, more, allow_pickle=allow_pickle)


COMMANDS = {"serve": command}
