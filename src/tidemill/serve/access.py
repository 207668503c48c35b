"""The access log: a line of JSON for every request refused, and for every other where that is asked for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from tidemill.base.clock import SystemClock, iso
from tidemill.serve.http import Scope
from tidemill.serve.spans import trace_id

ACCESS = logging.getLogger("tidemill.access")
BAD = 400
PROBED = {"/healthz", "/readyz"}  # asked again and again by whoever waits for the server, who knows the answers


def log_lines() -> None:
    """The lines go to stderr as they are, without a time and level before them that would make them no JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    ACCESS.handlers, ACCESS.propagate = [handler], False


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Writes the lines. `about` tells of each who answered: model, version, deployment."""

    every: bool = False
    about: Mapping[str, str] = field(default_factory=dict)
    _clock: SystemClock = field(default_factory=SystemClock)

    def note(self, scope: Scope, status: int, size: int, seconds: float, request_id: bytes) -> None:
        """One request that was answered."""
        if not self.every and (status < BAD or scope["path"] in PROBED):
            return
        entry = {
            "at": iso(self._clock.now()), "client": (scope.get("client") or ("",))[0],
            "method": scope["method"], "path": scope["path"], "status": status, "ms": round(seconds * 1000, 3),
            "bytes": size, "request_id": request_id.decode("latin-1"), **self.about,
        }  # fmt: skip
        trace = trace_id(scope)
        if trace:
            entry["trace_id"] = trace
        ACCESS.info("%s", msgspec.json.encode(entry).decode())
