"""What served which stage when: appended, never rewritten; and holds, which keep a bad version out until a person lifts them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tidemill.app.approvals import who
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import FailedError, UsageError
from tidemill.release.history import (
    CODE,
    HOLD,
    LIFT,
    find_between,
    find_hold,
    find_holds,
    find_previous,
    find_serving,
    find_spans,
    newest_first,
)

RELEASES = "releases"
HOLDS = "holds"
TAKEDOWNS = "takedowns"


def history(app: App, stage: str | None = None) -> list[Mapping[str, Any]]:
    """Releases, newest first."""
    return newest_first(app.store.documents(RELEASES).values(), stage)


def timeline(app: App, stage: str | None = None) -> list[dict[str, Any]]:
    """Releases, rollbacks and takedowns of a stage, or of all, newest first, with `event`, `since` and `until`."""
    releases, ends = app.store.documents(RELEASES).values(), app.store.documents(TAKEDOWNS).values()
    stages = dict.fromkeys(str(r["stage"]) for r in [*releases, *ends] if stage in {None, r["stage"]})
    rows = [span for name in stages for span in find_spans(releases, ends, name)]
    return sorted(rows, key=lambda r: str(r["at"]), reverse=True)


def served_between(app: App, stage: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """What served the stage at some moment from `start` to `end`, oldest first; a time when nothing did has `event` down."""
    releases, ends = app.store.documents(RELEASES).values(), app.store.documents(TAKEDOWNS).values()
    return find_between(find_spans(releases, ends, stage), start, end)


def read_times(text: str) -> tuple[datetime, datetime]:
    """A moment twice, or a date's first and last second; UTC unless it says otherwise. `UsageError` for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"`{text}` is no time", hint="Write 2026-11-20 or 2026-11-20T14:00:00+01:00.") from exc
    start = found if found.tzinfo else found.replace(tzinfo=UTC)
    whole_day = "T" not in text and " " not in text
    return start, start + timedelta(days=1, microseconds=-1) if whole_day else start


def serving_release(app: App, stage: str, at: datetime | None = None) -> Mapping[str, Any] | None:
    """What serves a stage now, or served it at a moment; None where it was taken down."""
    ends = app.store.documents(TAKEDOWNS).values()
    return find_serving(app.store.documents(RELEASES).values(), stage, at, ends)


def last_release(app: App, stage: str) -> Mapping[str, Any] | None:
    """What a stage was released to last, whether or not it still stands."""
    return find_serving(app.store.documents(RELEASES).values(), stage)


def previous_release(app: App, stage: str, present: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
    """What a rollback of the stage, away from `present` or what was released last, would put back."""
    return find_previous(app.store.documents(RELEASES).values(), app.store.documents(HOLDS).values(), stage, present)


def record_release(app: App, release: Mapping[str, Any]) -> None:
    """Append one release, with when and by whom."""
    at = iso(SystemClock().now())
    app.store.put(RELEASES, f"{release['stage']}:{at}", {**release, "at": at, "by": who()})


def record_takedown(app: App, release: Mapping[str, Any]) -> None:
    """Append that what was released does not serve any more, with when and by whom."""
    at = iso(SystemClock().now())
    kept = {key: release[key] for key in ("stage", "endpoint") if key in release}
    app.store.put(TAKEDOWNS, f"{release['stage']}:{at}", {**kept, "at": at, "by": who()})


def hold(
    app: App, stage: str, release: Mapping[str, Any], reason: str, *, instead: Mapping[str, Any] | None = None
) -> None:
    """Keep a version out of a stage; those held before stay out too.

    Where the same model serves `instead`, its scoring code is what was bad: with other code the model is let in.
    """
    about = {"digest": release["digest"], "version": release["version"], "reason": reason}
    if release.get(CODE) and instead is not None and instead["digest"] == release["digest"]:
        about[CODE] = release[CODE]
    _append_hold(app, stage, {"kind": HOLD, **about})


def held_back(app: App, stage: str, release: Mapping[str, Any], cause: FailedError) -> FailedError:
    """What is said of a version that failed while it took traffic, once it is on record that it stays away."""
    hold(app, stage, release, cause.message, instead=serving_release(app, stage))
    return FailedError(
        cause.message,
        hint=f"The previous version serves again, this one is held back. Lift: tidemill rollback --lift --stage {stage}",
    )


def held(app: App, stage: str, release: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The hold on a version, if there is one."""
    return find_hold(find_holds(app.store.documents(HOLDS).values(), stage), release)


def holds(app: App, stage: str | None = None) -> list[Mapping[str, Any]]:
    """The holds in force, of one stage or of all: what was rolled back, why and by whom."""
    records = list(app.store.documents(HOLDS).values())
    stages = sorted({str(r["stage"]) for r in records if stage in {None, r["stage"]}})
    return [record for name in stages for record in find_holds(records, name).values()]


def lift(app: App, stage: str, release: Mapping[str, Any] | None = None) -> bool:
    """Let one version, or every one, in again; whether one was held."""
    in_force = find_holds(app.store.documents(HOLDS).values(), stage)
    found = find_hold(in_force, release) if release is not None else None
    if not in_force or (release is not None and found is None):
        return False
    _append_hold(app, stage, {"kind": LIFT, **{key: found[key] for key in ("digest", CODE) if found and key in found}})
    return True


def _append_hold(app: App, stage: str, record: Mapping[str, Any]) -> None:
    at = iso(SystemClock().now())
    app.store.put(HOLDS, f"{stage}:{at}", {**record, "stage": stage, "at": at, "by": who()})
