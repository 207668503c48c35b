"""The connections of a router's clients: what each is about, and how they end without a request lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterable

from tidemill.serve.router_http import Head
from tidemill.serve.sockets import refuse_new

# Time for what is under way already: connections that wait to be accepted, requests on connections that were idle.
TAKE_S, IDLE_S, DRAIN_S, LOOK_S = 0.1, 1.0, 30.0, 0.02


class Clients:
    """Every connection, with the request on it that is not answered yet."""

    def __init__(self) -> None:
        self._asking: dict[asyncio.StreamWriter, Head | None] = {}
        self._leaving = False

    def waits(self, writer: asyncio.StreamWriter) -> None:
        """Nothing is asked on this connection now."""
        self._asking[writer] = None

    def asks(self, writer: asyncio.StreamWriter, head: Head) -> None:
        """A request has come on it."""
        self._asking[writer] = head
        if self._leaving:
            head.end_connection()

    def left(self, writer: asyncio.StreamWriter) -> None:
        """The connection is closed."""
        self._asking.pop(writer, None)

    async def let_go(self, listeners: Iterable[socket.socket]) -> None:
        """No new connection; every answer is the last on its own; who asks nothing for a while is hung up on; those who ask are answered."""
        for each in listeners:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(each.fileno())) as own:
                refuse_new(own)
        self._leaving = True
        for head in self._asking.values():
            if head is not None:
                head.end_connection()
        began = time.monotonic()
        while (waited := time.monotonic() - began) < IDLE_S and (waited < TAKE_S or None in self._asking.values()):  # noqa: ASYNC110 - connections come and go
            await asyncio.sleep(LOOK_S)
        for writer in [w for w, head in self._asking.items() if head is None]:
            writer.close()
        while any(self._asking.values()) and time.monotonic() - began < DRAIN_S:  # noqa: ASYNC110 - connections come and go
            await asyncio.sleep(LOOK_S)

    async def hang_up(self) -> None:
        """Close all connections."""
        for writer in list(self._asking):
            await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait until it is."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
