"""What a deployment document says about its server, as the server's own command line."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.base.files import locked
from tidemill.base.hashing import digest_tree
from tidemill.run.snapshot import take_snapshot
from tidemill.spec.deployment import OnlineDeployment, Probe

TOGETHER = 2  # Azure lets twice `max_concurrent_requests_per_instance` in before it says 429
READY_PERIOD_S = 10  # Azure's, where the document has a probe without one


@dataclass(frozen=True, slots=True)
class ScoringCode:
    """The folder of a scoring script, and the script's place in it."""

    folder: Path
    script: str


def scoring_code(folder: Path, document: OnlineDeployment) -> ScoringCode | None:
    """What answers in place of the model itself, if the document says so; paths are relative to `folder`."""
    code = document.code_configuration
    if code is None:
        return None
    where = (folder / (code.code or ".")).absolute()
    return ScoringCode(where, code.scoring_script or code.entry_script or "score.py")


def keep_code(code: ScoringCode, below: Path) -> ScoringCode:
    """A copy of the code that later edits do not reach: a version answers as it did when it was released, and changed code is another."""
    found = take_snapshot(code.folder)
    kept = below / digest_tree(found.entries)[:24]
    with locked(below / "lock"):
        if not kept.exists():
            begun = kept.with_suffix(".begun")
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir()
            found.copy_to(begun)
            begun.rename(kept)
    return ScoringCode(kept, code.script)


def limit_arguments(document: OnlineDeployment, *, instances: int) -> list[str]:
    """Processes, time-out and queue of one server that stands for so many instances."""
    argv: list[str] = []
    workers = worker_count(document)
    if workers * instances > 1:
        argv += ["--workers", str(workers * instances)]
    limits = document.request_settings
    if limits is not None and limits.request_timeout_ms:
        argv += ["--timeout", str(limits.request_timeout_ms / 1000)]
    if limits is not None and limits.max_concurrent_requests_per_instance:
        argv += ["--max-queue", str(TOGETHER * limits.max_concurrent_requests_per_instance * instances)]
    return argv


def worker_count(document: OnlineDeployment) -> int:
    """`WORKER_COUNT`, as Azure's images read it: processes an instance."""
    text = str((document.environment_variables or {}).get("WORKER_COUNT", "1")).strip()
    return max(1, int(text)) if text.isdigit() else 1


def probes(document: OnlineDeployment) -> dict[str, Any]:
    """What the supervisor of a local endpoint hears of the probes and the time-out; what the document leaves out is not there."""
    said: dict[str, Any] = _numbers(document.liveness_probe)
    if document.readiness_probe is not None:
        said["ready"] = {"period": READY_PERIOD_S, **_numbers(document.readiness_probe)}
    limits = document.request_settings
    timeout_ms = limits.request_timeout_ms if limits is not None else None
    return ({"probe": said} if said else {}) | ({"request_timeout": timeout_ms / 1000} if timeout_ms else {})


def _numbers(probe: Probe | None) -> dict[str, Any]:
    found = probe or Probe()
    given = {
        "delay": found.initial_delay,
        "period": found.period,
        "timeout": found.timeout,
        "failures": found.failure_threshold,
        "successes": found.success_threshold,
    }
    return {name: value for name, value in given.items() if value is not None and (value or name == "delay")}
