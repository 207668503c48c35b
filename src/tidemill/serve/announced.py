"""uvicorn's server, as whoever keeps it wants it: it says when it is ready and that it lives, and ends without losing a request."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from types import FrameType

import uvicorn

from tidemill.serve.draining import connections, let_clients_go
from tidemill.serve.metrics import Metrics
from tidemill.serve.sockets import refuse_new
from tidemill.serve.tls import Certificate
from tidemill.serve.workers import BEAT, BEAT_FASTER_LATER

TICKS_A_BEAT, TICKS_A_LOOK = 5, 10  # of a tenth of a second


class AnnouncedServer(uvicorn.Server):
    """Says that it is ready when the port is open, not before."""

    def __init__(
        self,
        config: uvicorn.Config,
        words: str,
        beats: int | None,
        certificate: Certificate | None,
        metrics: Metrics,
        *,
        faster_later: bool,
    ) -> None:
        super().__init__(config)
        self._certificate = certificate
        self._metrics = metrics
        self._words = words
        self._beats = beats
        self._beat = BEAT_FASTER_LATER if faster_later else BEAT

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port."""
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(self._words)
            sys.stdout.flush()

    async def on_tick(self, counter: int) -> bool:
        """Say that the event loop turns; end when nobody is there to hear it."""
        if self._certificate is not None and self.config.ssl is not None and counter % TICKS_A_LOOK == 0:
            self._certificate.renew(self.config.ssl)
        if counter % TICKS_A_LOOK == 0:
            for each in connections(self):
                each.look(TICKS_A_LOOK // 10)
        if counter % TICKS_A_BEAT == 0:
            self._metrics.keep()
        if self._beats is not None and counter % TICKS_A_BEAT == 0:
            try:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._beats, self._beat)
            except BrokenPipeError:
                self.should_exit = True
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain; when told to stop a second time, do not. The exit code is then ours: uvicorn would die of the signal once it has drained."""
        del sig, frame
        self.force_exit, self.should_exit = self.should_exit, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what came."""
        for each in sockets or [] if self._beats is None else []:  # a keeper's sockets are the keeper's to close
            refuse_new(each)
        await let_clients_go(self)
        await super().shutdown(sockets)
        self._metrics.keep()
