"""What served a stage when, and which versions are kept out of it: folds over records that are only appended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tidemill.release.ports import Record

HOLD, LIFT = "hold", "lift"
CODE = "code"  # in a release: digest of the scoring code; in a hold: the model is held with that code only
RELEASE, ROLLBACK, DOWN = "release", "rollback", "down"


def newest_first(releases: Iterable[Record], stage: str | None = None) -> list[Record]:
    """Releases of a stage, or of all."""
    return sorted((r for r in releases if stage in {None, r["stage"]}), key=lambda r: str(r["at"]), reverse=True)


def find_spans(releases: Iterable[Record], ends: Iterable[Record], stage: str) -> list[dict[str, Any]]:
    """What happened to the stage, oldest first, each with `event`, `since` and `until` (empty where it lasts); `ends` are takedowns."""
    told = [{"event": RELEASE, **r} for r in releases] + [{**r, "event": DOWN} for r in ends]
    rows = sorted((r for r in told if r["stage"] == stage), key=lambda r: str(r["at"]))
    until = [*(str(r["at"]) for r in rows[1:]), ""][: len(rows)]
    return [{**row, "since": row["at"], "until": end} for row, end in zip(rows, until, strict=True)]


def find_between(spans: Iterable[dict[str, Any]], start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Those that lasted at some moment from `start` to `end`, or at that one moment."""
    return [s for s in spans if _moment(s["since"]) <= end and (not s["until"] or _moment(s["until"]) > start)]


def _moment(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def find_serving(
    releases: Iterable[Record], stage: str, at: datetime | None = None, ends: Iterable[Record] = ()
) -> Record | None:
    """What served the stage at a moment, or serves it now; None before its first release and after it was taken down."""
    spans = find_spans(releases, ends, stage)
    found = [s for s in spans if at is None or _moment(s["since"]) <= at][-1:]
    return found[0] if found and found[0]["event"] != DOWN else None


def same_bytes(one: Record, other: Record) -> bool:
    """Whether two releases are of the same model and, where one answers for it, the same scoring code."""
    return bool(one["digest"] == other["digest"]) and one.get(CODE, "") == other.get(CODE, "")


def find_previous(
    releases: Iterable[Record], holds: Iterable[Record], stage: str, present: Record | None = None
) -> Record | None:
    """The newest release with other bytes than `present` (else the newest one) that nobody holds back; None when there is none."""
    rows = newest_first(releases, stage)
    kept_out = find_holds(holds, stage)
    away = present or next(iter(rows), None)
    return next((r for r in rows if away and not same_bytes(r, away) and find_hold(kept_out, r) is None), None)


def find_hold(in_force: Mapping[str, Record], release: Record) -> Record | None:
    """The hold on a release: on its model, or on its model with its scoring code."""
    return in_force.get(str(release["digest"])) or in_force.get(_held(release))


def _held(record: Record) -> str:
    return f"{record['digest']}+{record[CODE]}" if record.get(CODE) else str(record["digest"])


def find_holds(records: Iterable[Record], stage: str) -> dict[str, Record]:
    """The holds in force for a stage, by what they hold. A lift without a digest lifts all of them."""
    in_force: dict[str, Record] = {}
    for record in sorted((r for r in records if r.get("stage") == stage), key=lambda r: str(r["at"])):
        if record["kind"] == LIFT and not record.get("digest"):
            in_force.clear()
        elif record["kind"] == LIFT:
            in_force.pop(_held(record), None)
        else:
            in_force[_held(record)] = record
    return in_force
