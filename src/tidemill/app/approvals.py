"""Who said yes: appended with who, when and what digest; N people, and they expire."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import FailedError
from tidemill.record.ports import ModelVersion
from tidemill.spec.project import Stage

COLLECTION = "approvals"


def who() -> str:
    """The person at the keyboard, or behind the workflow."""
    return os.environ.get("TIDEMILL_USER") or os.environ.get("GITHUB_ACTOR") or getpass.getuser()


def approve(app: App, stage: str, version: ModelVersion, person: str) -> Mapping[str, Any]:
    """Append one yes of `person` to that version (by digest) for that stage."""
    at = iso(SystemClock().now())
    record = {
        "stage": stage,
        "model": version.name,
        "version": version.version,
        "digest": version.digest,
        "by": person,
        "at": at,
    }
    app.store.put(COLLECTION, f"{stage}:{version.digest}:{person}:{at}", record)
    return record


def approvals_of(app: App, stage: str, version: ModelVersion, hours: float) -> set[str]:
    """People whose yes still counts; the author of the version is not one of them."""
    since = SystemClock().now() - timedelta(hours=hours)
    author = version.tags.get("author", "")
    rows = [
        r for r in app.store.documents(COLLECTION).values() if r["stage"] == stage and r["digest"] == version.digest
    ]
    return {str(r["by"]) for r in rows if datetime.fromisoformat(str(r["at"])) >= since and r["by"] != author}


def require_approvals(app: App, stage: Stage, name: str, version: ModelVersion) -> None:
    """`FailedError` until enough people said yes."""
    if not stage.approvals:
        return
    people = approvals_of(app, name, version, stage.approval_hours)
    if len(people) < stage.approvals:
        missing = stage.approvals - len(people)
        raise FailedError(
            f"{name} needs {missing} more approval{'' if missing == 1 else 's'} for {version.name}:{version.version} ({len(people)} of {stage.approvals})",
            hint=f"Somebody who is not the author runs: tidemill promote --stage {name} --approve",
        )
