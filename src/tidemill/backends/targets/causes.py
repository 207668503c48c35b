"""Why a version's pods end or do not come, from what the cluster says of them. Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

OUT_OF_MEMORY = "OOMKilled"
SIGNALLED = 128


def how_it_ended(status: Any) -> str:  # noqa: ANN401 - the client's model has optional everything
    """The end of a container's present or last life: `OOMKilled, exit code 137 (SIGKILL)`; empty while it has had none."""
    for state in (status.state, status.lastState):
        ended = state.terminated if state else None
        if ended is not None and (ended.exitCode or ended.reason not in {None, "Completed"}):
            reason = "" if ended.reason in {None, "Error"} else f"{ended.reason}, "
            words = f"{reason}exit code {ended.exitCode}{_signal(ended.exitCode, ended.signal)}"
            return f"{words}: {ended.message.strip()}" if ended.message else words
    return ""


def _signal(code: int, number: int | None) -> str:
    number = number or (code - SIGNALLED if code > SIGNALLED else 0)
    try:
        return f" ({signal.Signals(number).name})" if number else ""
    except ValueError:
        return ""


def memory_hint(causes: str, limit: str) -> str:
    """What to do about a container that wanted more memory than it may have; empty for any other cause."""
    return f". Its memory limit is {limit}: raise `memory`." if OUT_OF_MEMORY in causes else ""


def container_words(pod: Any, statuses: Iterable[Any]) -> list[str]:  # noqa: ANN401
    """Of each container that does not run as it should: what it waits for, how it ended; of the pod itself, why it has no node."""
    conditions = (pod.status.conditions or []) if pod.status else []
    placed = [c for c in conditions if c.type == "PodScheduled" and c.status == "False" and c.message]
    found = [f"no node takes it: {c.message}" for c in placed]
    for status in statuses:
        waiting = status.state.waiting if status.state else None
        words = [f"{waiting.reason}: {waiting.message or ''}".rstrip(": ")] if waiting and waiting.reason else []
        ended = how_it_ended(status)
        words += [f"ended {status.restartCount + (waiting is None)} times, last: {ended}"] if ended else []
        found += [f"container {status.name}: {'; '.join(words)}"] if words else []
    return found


def events_of(events: Iterable[Any], name: str, pods: Sequence[Any]) -> list[str]:
    """Warnings about these pods and what makes them, oldest first; not that a pod waited for a node it has by now."""
    there = {p.metadata.name: p for p in pods}
    since = min((p.metadata.creationTimestamp for p in pods if p.metadata.creationTimestamp), default=None)
    mine = []
    for event in events:
        about = event.involvedObject
        pod = there.get(about.name or "")
        if pod is None and not _makes(about, name, since, _time(event)):
            continue
        if pod is not None and event.reason == "FailedScheduling" and pod.spec and pod.spec.nodeName:
            continue
        mine.append(event)
    mine.sort(key=lambda e: (_time(e) is not None, _time(e)))
    return list(dict.fromkeys(f"event {e.reason}: {e.message}" for e in mine))


def _makes(about: Any, name: str, since: datetime | None, when: datetime | None) -> bool:  # noqa: ANN401
    """Whether the object is the version's Deployment or ReplicaSet, and the event no older than its present pods."""
    own = about.kind == "Deployment" and about.name == name
    head, _, tail = (about.name or "").rpartition("-")
    own = own or (about.kind == "ReplicaSet" and head == name and tail.isalnum())
    return own and (since is None or when is None or when >= since)


def _time(event: Any) -> datetime | None:  # noqa: ANN401
    found: datetime | None = event.lastTimestamp or event.eventTime or event.metadata.creationTimestamp
    return found
