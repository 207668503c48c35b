"""What served a stage when, and which versions are kept out of it: folds over records that are only appended. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tidemill.release.ports import Record

HOLD, LIFT = "hold", "lift"


def newest_first(releases: Iterable[Record], stage: str | None = None) -> list[Record]:
    """Releases of a stage, or of all."""
    return sorted((r for r in releases if stage in {None, r["stage"]}), key=lambda r: str(r["at"]), reverse=True)


def find_serving(releases: Iterable[Record], stage: str, at: datetime | None = None) -> Record | None:
    """What served the stage at a moment, or serves it now; None before its first release."""
    rows = newest_first(releases, stage)
    return next((r for r in rows if at is None or datetime.fromisoformat(str(r["at"])) <= at), None)


def find_previous(releases: Iterable[Record], holds: Iterable[Record], stage: str, digest: str = "") -> Record | None:
    """The newest release with other bytes than `digest` (else the newest one's) that nobody holds back; None when there is none."""
    rows = newest_first(releases, stage)
    kept_out = find_holds(holds, stage)
    present = digest or (rows[0]["digest"] if rows else "")
    return next((r for r in rows if r["digest"] != present and r["digest"] not in kept_out), None)


def find_holds(records: Iterable[Record], stage: str) -> dict[str, Record]:
    """The holds in force for a stage, by the model's digest. A lift without a digest lifts all of them."""
    in_force: dict[str, Record] = {}
    for record in sorted((r for r in records if r.get("stage") == stage), key=lambda r: str(r["at"])):
        if record["kind"] == LIFT and not record.get("digest"):
            in_force.clear()
        elif record["kind"] == LIFT:
            in_force.pop(str(record["digest"]), None)
        else:
            in_force[str(record["digest"])] = record
    return in_force
