"""What served which stage when: appended, never rewritten; and holds, which keep a bad version out until a person lifts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso

RELEASES = "releases"
HOLDS = "holds"


def history(app: App, stage: str | None = None) -> list[Mapping[str, Any]]:
    """Releases, newest first."""
    rows = [r for r in app.store.documents(RELEASES).values() if stage is None or r["stage"] == stage]
    return sorted(rows, key=lambda r: str(r["at"]), reverse=True)


def serving_release(app: App, stage: str) -> Mapping[str, Any] | None:
    """What serves a stage now."""
    return next(iter(history(app, stage)), None)


def record_release(app: App, release: Mapping[str, Any]) -> None:
    """Append one release."""
    at = iso(SystemClock().now())
    app.store.put(RELEASES, f"{release['stage']}:{at}", {**release, "at": at})


def hold(app: App, stage: str, release: Mapping[str, Any], reason: str) -> None:
    """Keep a version out of a stage."""
    app.store.put(
        HOLDS,
        stage,
        {"digest": release["digest"], "version": release["version"], "reason": reason, "at": iso(SystemClock().now())},
    )


def held(app: App, stage: str, digest: str) -> Mapping[str, Any] | None:
    """The hold on a version, if there is one."""
    found = app.store.get(HOLDS, stage)
    return found if found is not None and found.get("digest") == digest else None


def lift(app: App, stage: str) -> bool:
    """Let every version in again; whether one was held."""
    existed = app.store.get(HOLDS, stage) is not None
    app.store.delete(HOLDS, stage)
    return existed
