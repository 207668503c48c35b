"""Who said yes: appended with who, when and what digest; N people, and they expire."""

from __future__ import annotations

import getpass
import os

from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import FailedError, UsageError
from tidemill.record.ports import ModelVersion
from tidemill.release.approvals import ApprovalRule, Approvals, judge_approvals, same_person
from tidemill.spec.project import Stage

COLLECTION = "approvals"
AUTHOR = "author"


def who() -> str:
    """The person at the keyboard, or behind the workflow: `TIDEMILL_USER`, `GITHUB_ACTOR`, or who is logged in."""
    named = os.environ.get("TIDEMILL_USER", "") or os.environ.get("GITHUB_ACTOR", "")
    return " ".join(named.split()) or getpass.getuser()


def approve(app: App, stage: Stage, name: str, version: ModelVersion, person: str) -> Approvals:
    """Append one yes of `person` to that version (by digest) for the stage of that name; how many there are now.

    `UsageError` when the stage asks for none, `FailedError` for the author, whose yes would not count: nothing is recorded then.
    """
    if not stage.approvals:
        raise UsageError(f"Stage `{name}` asks for no approvals", hint="It would if it said: `approvals: 1`.")
    if same_person(person, _author(app, version)):
        raise FailedError(
            f"{person} made {version.name}:{version.version}: an author's approval does not count",
            hint="Somebody else has to approve it (people are told apart by TIDEMILL_USER, GITHUB_ACTOR or their login).",
        )
    at = iso(SystemClock().now())
    body = {
        "stage": name, "model": version.name, "version": version.version, "digest": version.digest, "by": person, "at": at,
    }  # fmt: skip
    app.store.put(COLLECTION, f"{name}:{version.digest}:{person}:{at}", body)
    return _given(app, stage, name, version)


def sign(app: App, version: ModelVersion) -> None:
    """Note who made a version, once: its author's yes will not count."""
    if AUTHOR not in version.tags:
        app.registry.set_tags(version.name, version.version, {AUTHOR: who()})


def require_approvals(app: App, stage: Stage, name: str, version: ModelVersion) -> tuple[str, ...]:
    """Who approved; `FailedError` until they are enough."""
    if not stage.approvals:
        return ()
    found = _given(app, stage, name, version)
    if not found.enough:
        missing = found.needed - len(found.by)
        raise FailedError(
            f"{name} needs {missing} more approval{'' if missing == 1 else 's'} for {version.name}:{version.version} ({found.evidence})",
            hint=f"Somebody who is not the author runs: tidemill promote --stage {name} --approve",
        )
    return found.by


def _given(app: App, stage: Stage, name: str, version: ModelVersion) -> Approvals:
    rule = ApprovalRule(name, stage.approvals, stage.approval_hours, _author(app, version))
    return judge_approvals(app.store.documents(COLLECTION).values(), rule, version.digest, SystemClock().now())


def _author(app: App, version: ModelVersion) -> str:
    return app.registry.get(version.name, version.version).tags.get(AUTHOR, "")
