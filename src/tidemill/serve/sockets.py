"""The sockets servers listen at: bound before anything is loaded, shared by several processes, left without losing who waits."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import resource
import socket
import struct
import sys

from tidemill.base.errors import BackendError

BACKLOG = 2048
MANY = 65536
SO_ATTACH_FILTER = 26
DROP_ALL = struct.pack("HBBI", 6, 0, 0, 0)  # the one instruction `ret 0` of a packet filter


def bind(host: str, port: int, *, shared: bool) -> socket.socket | None:
    """A socket on the port, not listening yet; `None`, and why on stderr, when there is none to be had."""
    name = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((name, port))
        if shared:  # only now: a server started twice must not share its port with itself
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as exc:
        listener.close()
        sys.stderr.write(f"error: port {port} on {host}: {exc.strerror}\n\nhint: {_hint(exc)}\n")
        return None
    return listener


def listen(listener: socket.socket) -> None:
    """Open the port; `BackendError` when another server that was started at the same time was sooner. uvloop would not tell."""
    try:
        listener.listen(BACKLOG)
    except OSError as exc:
        place = f"port {listener.getsockname()[1]} on {listener.getsockname()[0]}"
        raise BackendError(f"{place}: {exc.strerror}", hint=_hint(exc)) from exc


def allow_many() -> None:
    """As many open connections as the system lets this process have; what it starts with is often a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY if hard == resource.RLIM_INFINITY else min(MANY, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _hint(exc: OSError) -> str:
    if isinstance(exc, socket.gaierror) or exc.errno == errno.EADDRNOTAVAIL:
        return "--host takes an address or a name of this machine, such as 127.0.0.1 or ::1; 0.0.0.0 is all of IPv4, :: all."
    if exc.errno == errno.EACCES:
        return "Ports below 1024 take a right of their own; give another --port, or 0 for any free one."
    return "Give another --port, or 0 for any free one."


def written(host: str) -> str:
    """A host as it stands in a URL."""
    name = host.strip("[]")
    return f"[{name}]" if ":" in name else name


def share(listener: socket.socket, count: int) -> list[socket.socket]:
    """Sockets on the same port. A worker's gets connections from when the worker listens, and keeps them when it ends."""
    made = []
    for _ in range(count):
        made.append(socket.socket(listener.family, listener.type))
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            made[-1].setsockopt(socket.SOL_SOCKET, option, 1)
        made[-1].bind(listener.getsockname())
    return made


def refuse_new(listener: socket.socket) -> None:
    """No connection is begun at this socket any more, those that wait at it stay. Closing it alone would reset them.

    A client that comes now is refused when the socket is closed. Elsewhere than on Linux nothing is done.
    """
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    program = struct.pack("@HP", 1, ctypes.addressof(code))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
