"""The command line of the server alone."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path

from tidemill.serve.capture_options import add_capture_options
from tidemill.serve.settings import ServerSettings

DEFAULTS = ServerSettings()


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """What the server was told."""
    parser = argparse.ArgumentParser(prog="python -m tidemill.serve", description="Answers for one model.")
    _add_served(parser)
    _add_operation(parser)
    _add_keeper(parser)
    add_capture_options(parser, os.environ)
    options = parser.parse_args(argv)
    if options.tls_key is not None and options.tls_cert is None:
        parser.error("--tls-key needs --tls-cert, the certificate it was made for")
    return _absolute(options)


def _add_served(parser: argparse.ArgumentParser) -> None:
    """What answers, and what it is called."""
    parser.add_argument("--model", type=Path, help="model folder or file")
    parser.add_argument("--code", type=Path, help="folder of an Azure scoring script")
    parser.add_argument("--script", default="score.py", help="scoring script in --code")
    parser.add_argument("--app", default="", help="an ASGI or WSGI application of your own, MODULE:NAME")
    parser.add_argument("--app-dir", type=Path, default=Path(), help="the folder --app is imported from")
    parser.add_argument("--name", default="", help="model name")
    parser.add_argument("--version", default="1", help="model version")
    parser.add_argument(
        "--deployment", default=os.environ.get("TIDEMILL_DEPLOYMENT", ""), help="who answers, of an endpoint"
    )
    parser.add_argument("--allow-pickle", action="store_true", help="the model is trusted; a pickle can run any code")
    parser.add_argument("--model-digest", default="", help="refuse to start when the model's bytes are others")
    parser.add_argument(
        "--converted", type=Path, help="folder of the conversions kept with a release; none is made then"
    )


def _add_operation(parser: argparse.ArgumentParser) -> None:
    """Where it answers, whom, and how much."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_number(int, 0, 65535), default=8080, help="0 takes any free one")
    parser.add_argument(
        "--token-file",
        type=Path,
        default=os.environ.get("TIDEMILL_TOKEN_FILE") or None,
        help="accepted tokens, one a line; a folder holds one a file, as a mounted Secret does",
    )
    parser.add_argument("--max-body", type=_number(int, 1), default=DEFAULTS.max_body, help="bytes")
    parser.add_argument("--max-queue", type=_number(int, 1), default=DEFAULTS.max_queue)
    parser.add_argument("--timeout", type=_number(float, 0.001), default=DEFAULTS.timeout_s, help="seconds")
    parser.add_argument("--workers", type=_number(int, 1), default=1, help="processes that share the port")
    parser.add_argument("--end-when-hung", action="store_true", help="end when a call of the model does not return")
    parser.add_argument(
        "--access-log",
        action="store_true",
        default=os.environ.get("TIDEMILL_ACCESS_LOG", "").lower() in {"1", "true"},
        help="log every request, not only the ones refused",
    )
    parser.add_argument(
        "--cors",
        default=os.environ.get("TIDEMILL_CORS") or os.environ.get("AML_CORS_ORIGINS", ""),  # as on Azure
        help="origins of web pages that may ask, by comma",
    )
    parser.add_argument("--tls-cert", type=Path, help="certificate chain, PEM")
    parser.add_argument("--tls-key", type=Path, help="its key, PEM")


def _add_keeper(parser: argparse.ArgumentParser) -> None:
    """What the process that keeps the server tells it."""
    parser.add_argument("--listener", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--beats", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--counts", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--soon", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(faster_later=False)


def _number(kind: type[int | float], least: float, most: float = math.inf) -> Callable[[str], float]:
    """Reads a number within bounds; any other text is an error of use."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"`{text}` is no {'whole ' if kind is int else ''}number") from None
        if not least <= value <= most:
            bounds = f"at least {least:g}" if math.isinf(most) else f"{least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"{text} is not {bounds}")
        return value

    return read


def _absolute(options: argparse.Namespace) -> argparse.Namespace:
    """Paths that stay what they are when the server goes to the folder of a scoring script."""
    for name, value in vars(options).items():
        if isinstance(value, Path):
            setattr(options, name, value.absolute())
    if options.capture_to and "://" not in options.capture_to:
        options.capture_to = str(Path(options.capture_to).absolute())
    return options
