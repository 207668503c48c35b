"""What a server is told when it starts; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB, GIB = 1 << 20, 1 << 30
LOOPBACK_NAMES = {"127.0.0.1", "localhost", "[::1]", "::1"}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Bounds of a server. `tokens` is a file with one token a line; `guard_host` refuses foreign Host headers; errors are always logged, `access_log` logs the rest too.

    With `end_when_hung`, whoever started this process starts another when one call of the model does not return.
    """

    max_body: int = 16 * MIB
    max_queue: int = 256
    timeout_s: float = 60.0
    tokens: Path | None = None
    guard_host: bool = True
    access_log: bool = False
    end_when_hung: bool = False
    traced: bool = False
    deployment: str = ""
