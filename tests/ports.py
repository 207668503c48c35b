"""Ports of tests' own: chosen, and for good reason not asked of the kernel."""

from __future__ import annotations

import random
import socket

OUT_OF_THE_WAY = range(12_000, 30_000)  # the kernel gives these to nobody who asks for any port, nor to a client's end


def free_port() -> int:
    """One nobody has, and that nobody is given by chance before the test that asked takes it."""
    for port in random.SystemRandom().sample(OUT_OF_THE_WAY, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
