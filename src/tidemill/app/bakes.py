"""The last bake of a promotion is on record while it lasts: killed in it, the next command goes on with it or undoes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidemill.app.releases import held_back
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import FailedError
from tidemill.spec.project import Stage

BAKES = "bakes"
LIMITS = ("bake_s", "max_error_rate", "max_latency_ms")
FAILED = "failed"
Keep = Callable[[Mapping[str, Any]], None]


def keep_bake(app: App, stage_name: str, stage: Stage, about: Mapping[str, Any]) -> Keep:
    """What writes down that a last bake begins, or what it came to, with all that going on takes; `about` is the version."""
    limits = {name: getattr(stage, name) for name in LIMITS}

    def keep(begun: Mapping[str, Any]) -> None:
        at = iso(SystemClock().now())
        app.store.put(BAKES, stage_name, {**about, **limits, **begun, "stage": stage_name, "at": at})

    return keep


def find_bake(app: App, stage_name: str) -> Mapping[str, Any] | None:
    """The stage's bake that nobody saw to its end."""
    found: Mapping[str, Any] | None = app.store.get(BAKES, stage_name)
    return found


def forget_bake(app: App, stage_name: str) -> None:
    """It came to its end, or something else serves now."""
    app.store.delete(BAKES, stage_name)


def fail_bake(app: App, stage_name: str, about: Mapping[str, Any], cause: FailedError) -> FailedError:
    """What is said of a version that did badly and was taken away, once it is held back and its bake is over."""
    failure = held_back(app, stage_name, about, cause)
    forget_bake(app, stage_name)
    return failure
