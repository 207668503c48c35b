"""uvicorn's HTTP protocol, with an answer's head and body sent together: one system call and one packet instead of two."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class _Gathered:
    """A transport that sends what was written within one turn of the event loop at the turn's end."""

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts = self._parts
        if parts:
            self._parts = []
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)


class GatheringProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came."""
        super().connection_made(cast("asyncio.Transport", _Gathered(transport, self.loop)))

    def is_idle(self) -> bool:
        """Whether nothing of a request has come that is not answered."""
        return self.scope is None or (
            self.cycle is not None and self.cycle.scope is self.scope and self.cycle.response_complete
        )

    def last_answer(self) -> None:
        """The connection ends with the answer to what came last."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Hang up, unless a request has begun to come: that is answered first."""
        if self.is_idle():
            self.transport.close()
        else:
            self.last_answer()
