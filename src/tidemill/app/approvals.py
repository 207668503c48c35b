"""Who said yes: appended with who, when and what digest; N people, and they expire."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import Any

from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import FailedError
from tidemill.record.ports import ModelVersion
from tidemill.release.approvals import ApprovalRule, judge_approvals
from tidemill.spec.project import Stage

COLLECTION = "approvals"
AUTHOR = "author"


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


def sign(app: App, version: ModelVersion) -> None:
    """Note who made a version, once: its author's yes will not count."""
    if AUTHOR not in version.tags:
        app.registry.set_tags(version.name, version.version, {AUTHOR: who()})


def require_approvals(app: App, stage: Stage, name: str, version: ModelVersion) -> tuple[str, ...]:
    """Who approved; `FailedError` until they are enough."""
    if not stage.approvals:
        return ()
    author = app.registry.get(version.name, version.version).tags.get(AUTHOR, "")
    rule = ApprovalRule(name, stage.approvals, stage.approval_hours, author)
    found = judge_approvals(app.store.documents(COLLECTION).values(), rule, version.digest, SystemClock().now())
    if not found.enough:
        missing = found.needed - len(found.by)
        raise FailedError(
            f"{name} needs {missing} more approval{'' if missing == 1 else 's'} for {version.name}:{version.version} ({found.evidence})",
            hint=f"Somebody who is not the author runs: tidemill promote --stage {name} --approve",
        )
    return found.by
