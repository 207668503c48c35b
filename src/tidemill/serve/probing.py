"""How a version's server is asked whether it lives and whether it is ready: as its deployment's document says, else as we do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STUCK_TIMEOUTS = 3
BUSY_FACTOR = 10
GRACE_S = 2.0  # a server has this long to say itself that a request took too long


@dataclass(frozen=True, slots=True)
class ReadyProbing:
    """`every_s` of 0: only until it is ready. `tolerated` failures take it out of the traffic, `wanted` successes bring it back."""

    delay_s: float = 0.0
    every_s: float = 0.0
    timeout_s: float = 5.0
    tolerated: int = 3
    wanted: int = 1


@dataclass(frozen=True, slots=True)
class Probing:
    """How often a server that serves is asked whether it lives, how long it may think, how often it may fail.

    With `delay_s`, one that says nothing so long after its start, and then for all the failures it may have, is started again;
    without, loading takes as long as it takes. `request_s` is how long a request may take.
    """

    every_s: float = 5.0
    timeout_s: float = 5.0
    tolerated: int = 3
    delay_s: float | None = None
    request_s: float | None = None
    ready: ReadyProbing = ReadyProbing()

    @property
    def start_s(self) -> float | None:
        """How long it may say nothing after its start."""
        return None if self.delay_s is None else self.delay_s + self.every_s * self.tolerated

    def silence_s(self, *, inside: bool) -> float:
        """How long a server may say nothing that is not ready or, with requests `inside`, busy."""
        idle_s = float(BUSY_FACTOR * self.tolerated)
        if not inside:
            return idle_s
        return (
            BUSY_FACTOR * self.tolerated * 6.0 if self.request_s is None else STUCK_TIMEOUTS * self.request_s + GRACE_S
        )


def read_probing(item: Mapping[str, Any]) -> Probing:
    """Of a deployment in desired.json."""
    given, usual = item.get("probe", {}), Probing()
    ready, early = given.get("ready", {}), ReadyProbing()
    return Probing(
        float(given.get("period", usual.every_s)),
        float(given.get("timeout", usual.timeout_s)),
        int(given.get("failures", usual.tolerated)),
        float(given["delay"]) if "delay" in given else None,
        float(item["request_timeout"]) if "request_timeout" in item else None,
        ReadyProbing(
            float(ready.get("delay", early.delay_s)),
            float(ready.get("period", early.every_s)),
            float(ready.get("timeout", early.timeout_s)),
            int(ready.get("failures", early.tolerated)),
            int(ready.get("successes", early.wanted)),
        ),
    )
