"""`tidemill serve MODEL`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tidemill.app.serve import serve, serve_application
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.options import everywhere

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
POSITIVE = click.IntRange(min=1)
SWITCHES = ("access_log",)
OPTIONS = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option(
        "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port; 0 takes any free one."
    ),
    click.option("--code", type=FOLDER, help="Folder of an Azure scoring script."),
    click.option("--script", help="The scoring script in --code.  [default: score.py]"),
    click.option("--token-file", type=FILE, help="Accepted tokens, one a line; read again when it changes."),
    click.option("--tls-cert", type=FILE, help="Certificate chain (PEM): answer over TLS; read again when it changes."),
    click.option("--tls-key", type=FILE, help="The certificate's key (PEM)."),
    click.option(
        "--cors", metavar="ORIGINS", help="Web pages of these origins may ask, by comma; * lets any.  [default: none]"
    ),
    click.option("--workers", type=POSITIVE, help="Processes that share the port.  [default: 1]"),
    click.option("--timeout", type=click.FloatRange(min=0.001), help="Seconds a request may take.  [default: 60]"),
    click.option("--max-queue", type=POSITIVE, help="Requests inside at once; one more gets 429.  [default: 256]"),
    click.option("--max-body", type=POSITIVE, help="Largest body, in bytes.  [default: 16 MiB]"),
    click.option("--access-log", is_flag=True, help="Log every request as JSON, not only the refused ones."),
    click.option("--capture-dir", type=click.Path(file_okay=False, path_type=Path), help="Record requests here."),
    click.option("--capture-to", metavar="FOLDER|URL", help="Send what was recorded on to here (s3://, abfss://, …)."),
    click.option("--capture-rate", type=click.FloatRange(0, 1), help="Share of requests recorded.  [default: 1]"),
    click.option(
        "--capture-rolling",
        type=click.Choice(["minute", "hour", "day"]),
        help="How long a partition is.  [default: day]",
    ),
    click.option("--capture-mask", help="Columns whose values are not recorded, by comma."),
    click.option("--capture-headers", help="Headers of requests that are recorded with them, by comma."),
    click.option("--capture-max-bytes", type=POSITIVE, help="Nothing is recorded beyond this.  [default: 1 GiB]"),
)


def server_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the server itself takes, with the same names."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


@click.command("serve")
@click.argument("model", required=False)
@click.option(
    "--app", "application", metavar="MODULE:NAME", help="Serve your own ASGI or WSGI application in MODEL, a folder."
)
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="For --app; {model:NAME@latest} is that model's folder.",
)
@server_options
@click.option(
    "--allow-pickle", is_flag=True, help="Trust a model folder that holds a pickle (registered models are trusted)."
)
@everywhere
def command(
    model: str | None,
    *,
    application: str | None,
    variables: tuple[str, ...],
    allow_pickle: bool,
    **given: Any,  # noqa: ANN401 - as the options say
) -> int:
    """Serve a registered model (NAME, NAME:VERSION or NAME@LABEL), a model folder, a scoring script or your own application, in the foreground."""
    if not model and not application and not given["code"]:
        raise click.UsageError("Name a model, a scoring script's folder with --code, or an application with --app")
    if bool(given["tls_cert"]) != bool(given["tls_key"]):
        raise click.UsageError("--tls-cert and --tls-key go together")
    if application and (given["capture_dir"] or given["code"]):
        raise click.UsageError("--app answers by itself: --code and --capture-dir are for models")
    with open_app(read_settings()) as app:
        if application:
            folder = Path(model or ".")
            return serve_application(app, application, folder, variables, server_arguments(given))
        return serve(app, model or "", server_arguments(given), allow_pickle=allow_pickle)


def server_arguments(given: dict[str, Any]) -> list[str]:
    """The command line of the server for these options."""
    argv: list[str] = []
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        if name in SWITCHES:
            argv += [flag] if value else []
        elif value is not None:
            argv += [flag, str(value)]
    return argv


COMMANDS = {"serve": command}
