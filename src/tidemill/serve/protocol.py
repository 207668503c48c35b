"""uvicorn's HTTP protocol, with an answer's head and body sent together, bounds for what a client may keep open, and an ear for half of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LOG = logging.getLogger("tidemill.serve")
HEAD_LIMIT = 64 << 10  # bytes of a request's head
HEAD_S, BODY_S = 30, 60  # a head has come by then; of a body, something more
ENOUGH = 1 << 10  # bytes that are something
LINGER_S = 10  # an answer that came before the end of its request's body is read by then


class _Gathered:
    """A transport that sends what was written within one turn of the event loop at the turn's end.

    Where `is_sending` says that the client has not sent all, `close` still takes what comes: a system that closes a connection with
    something unread resets it, and the client may lose the answer that says what was wrong with its request.
    """

    __slots__ = ("_is_sending", "_loop", "_parts", "_transport", "lingers")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, is_sending: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._is_sending = is_sending
        self.lingers = False

    def write(self, data: bytes) -> None:
        if self.lingers:
            return
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def close(self) -> None:
        self.flush()
        if self.lingers or not self._is_sending() or self._transport.is_closing():
            self._transport.close()
            return
        self.lingers = True
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._loop.call_later(LINGER_S, self._transport.close)

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def flush(self) -> None:
        parts = self._parts
        if parts and not self._transport.is_closing():  # uvloop raises where nobody is left to read
            self._parts = []
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)


class GatheringProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`: applications, which want to hear when a client has hung up."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._coming = False  # a request has begun to come, and not come whole
        self._head = self._got = self._seen = self._waited = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came."""
        gathered = _Gathered(transport, self.loop, lambda: self._coming)
        super().connection_made(cast("asyncio.Transport", gathered))

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._coming = False
        super().connection_lost(exc)

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
        if self.is_idle() or cast("_Gathered", self.transport).lingers:
            self.transport.close()
        else:
            self.last_answer()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client hung up; what was answered it may still want to read."""
        cast("_Gathered", self.transport).flush()
        return None

    def data_received(self, data: bytes) -> None:
        """More of a request; a head without end is refused."""
        if cast("_Gathered", self.transport).lingers:
            return
        self._got += len(data)
        super().data_received(data)
        if self._coming and self._is_in_head():
            self._head += len(data)
            if self._head > HEAD_LIMIT:
                self._refuse(b"431 Request Header Fields Too Large", f"A head has at most {HEAD_LIMIT:,} bytes")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._coming, self._head, self._waited = True, 0, 0

    def on_message_complete(self) -> None:
        """It is there."""
        self._coming = False
        super().on_message_complete()

    def _is_in_head(self) -> bool:
        return self.cycle is None or self.cycle.scope is not self.scope

    def look(self, seconds: int) -> None:
        """Called now and then, `seconds` after the last time: hang up on a client that sends nothing, or as good as nothing."""
        if self.transport is None or (not self._coming and self._got):
            return
        paused = self.flow is not None and self.flow.read_paused
        if paused or (not self._is_in_head() and self._got - self._seen >= ENOUGH):
            self._seen, self._waited = self._got, 0
            return
        self._waited += seconds
        if self._waited < (HEAD_S if self._is_in_head() else BODY_S):
            return
        if not self._got:
            self.transport.close()
            return
        what = "head" if self._is_in_head() else "body"
        self._refuse(b"408 Request Timeout", f"The request's {what} did not come")

    def _refuse(self, status: bytes, words: str) -> None:
        """Answer and hang up, in place of the application, unless that has begun to answer."""
        if self.transport.is_closing():
            return
        LOG.warning("%s: %s; hung up", self.client[0] if self.client else "a client", words)
        if self.cycle is None or self._is_in_head() or not self.cycle.response_started:
            body = words.encode()
            head = b"HTTP/1.1 %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n" % (status, len(body))
            self.transport.write(head + b"connection: close\r\n\r\n" + body)
        self.transport.close()


class PatientProtocol(GatheringProtocol):
    """For models: a client that has sent its request and closed that half of the connection gets its answer."""

    _said_all = False

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """True keeps the other half open. TLS has no halves."""
        if self._coming or self.is_idle() or self.scheme == "https":
            return super().eof_received()
        self._said_all = True
        return True

    def on_response_complete(self) -> None:
        """After the last answer the connection has no use."""
        super().on_response_complete()
        if self._said_all and self.is_idle() and not self.pipeline:
            self.transport.close()
