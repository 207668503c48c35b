"""The server's log: what the user's code logs and prints in it carries the id of the request it was said in."""

from __future__ import annotations

import builtins
import faulthandler
import functools
import io
import logging
import sys
from contextvars import ContextVar
from typing import Any, Protocol

REQUEST: ContextVar[bytes] = ContextVar("tidemill_request", default=b"")
FORMAT = "%(asctime)s %(levelname)s%(request)s %(message)s"
PRINTED = logging.getLogger("tidemill.print")
ACCESS = "tidemill.access"  # its lines have a field for the id
_print: Any = print


class SupportsWrite(Protocol):
    """What `print` may print to."""

    def write(self, text: str, /) -> object:
        """Take text."""


class _WithRequest(logging.Filter):
    """Every record, with the request it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = REQUEST.get() if record.name != ACCESS else b""
        record.request = f" [{said.decode('latin-1')}]" if said else ""
        return True


def start_log() -> None:
    """To stderr, at once; a crash in C code says where it was, and nothing printed is kept back until the process ends."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_WithRequest())
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=[handler])
    faulthandler.enable()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)


@functools.wraps(print)
def print_to_log(
    *values: object,
    sep: str | None = " ",
    end: str | None = "\n",
    file: SupportsWrite | None = None,
    flush: bool = False,
) -> None:
    """What would go to stdout is logged; what has a file of its own goes there."""
    if file is None or file is sys.stdout:
        PRINTED.info("%s", (" " if sep is None else sep).join(map(str, values)))
    else:
        _print(*values, sep=sep, end=end, file=file, flush=flush)


def log_prints() -> None:
    """From now on, `print` logs."""
    builtins.print = print_to_log
