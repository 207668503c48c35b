"""Whether a Ray cluster answers at an address, found out in a moment: Ray itself tries for a quarter of an hour, deaf to Ctrl-C."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path

from tidemill.base.errors import BackendError

CONNECT_S = 5.0
HINT = "Start one with `ray start --head`, or leave out `address` and one is started here."
SETTINGS = 4
EMPTY_SETTINGS = bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EMPTY_SETTINGS
"""The opening of HTTP/2, which Ray speaks: the other side answers with settings of its own."""


def require_cluster(address: str) -> None:
    """`BackendError` for an address where no Ray cluster answers; nothing for one that only Ray can judge."""
    found, said = _resolve(address)
    host, _, port = found.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S) as line:
            if os.environ.get("RAY_USE_TLS", "0") == "0" and not _speaks_http2(line):
                raise BackendError(f"What answers at {said} is no Ray cluster", hint=HINT)
    except OSError as exc:
        raise BackendError(f"No Ray cluster answers at {said}: {exc.strerror or exc}", hint=HINT) from exc


def _resolve(address: str) -> tuple[str, str]:
    """The address behind `auto`, in Ray's own order, and how to speak of it."""
    if address != "auto":
        return address, f"`{address}`"
    if named := os.environ.get("RAY_ADDRESS"):
        return named, f"`{named}` (RAY_ADDRESS)"
    found = _started_here()
    return found, f"`{found}`, where the last one of this machine was started"


def _started_here() -> str:
    """Where `ray start --head` last started one; it is still written there when that one was killed."""
    folder = os.environ.get("RAY_TMPDIR") or (os.environ.get("TMPDIR") if sys.platform == "linux" else None)
    folder = folder or ("/tmp" if os.name == "posix" else tempfile.gettempdir())  # noqa: S108 - Ray's own choice
    try:
        return Path(folder, "ray", "ray_current_cluster").read_text(encoding="utf-8").strip()
    except OSError:
        return ""  # Ray looks at the processes of this machine


def _speaks_http2(line: socket.socket) -> bool:
    line.sendall(HELLO)
    head = b""
    while len(head) < len(EMPTY_SETTINGS):
        more = line.recv(16)
        if not more:
            return False
        head += more
    return head[3] == SETTINGS
