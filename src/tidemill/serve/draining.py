"""How a server stops without losing a request: it takes what was sent to it, says that the connection ends, answers, and only then hangs up."""

from __future__ import annotations

import asyncio
import time

import uvicorn

from tidemill.serve.protocol import GatheringProtocol

# Time for what is under way already: connections that wait to be accepted, requests on connections that were idle.
TAKE_S, IDLE_S = 0.1, 1.0
LOOK_S = 0.02


async def let_clients_go(server: uvicorn.Server) -> None:
    """Say with every answer that its connection ends; wait until no client has a reason to think that its own goes on."""
    state = server.server_state
    state.default_headers = [*state.default_headers, (b"connection", b"close")]
    for connection in connections(server):
        connection.last_answer()
    began = time.monotonic()
    while (waited := time.monotonic() - began) < IDLE_S:
        if waited > TAKE_S and not any(c.is_idle() for c in connections(server)):
            return
        await asyncio.sleep(LOOK_S)


def connections(server: uvicorn.Server) -> list[GatheringProtocol]:
    """Those that speak HTTP."""
    return [c for c in server.server_state.connections if isinstance(c, GatheringProtocol)]
