"""Computes as Azure would have them: they start and stop by their schedules and when idle. Here that costs nothing."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from tidemill.app.settings import Settings
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import NotFoundError, UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.record.runs import get_job
from tidemill.spec.firings import next_firing, read_trigger

RUNNING, STOPPED = "Running", "Stopped"
USER, SCHEDULE, IDLE = "User", "Schedule", "IdleShutdown"
COMPUTE = "compute"
TYPES = ("amlcompute", "computeinstance", "kubernetes", "virtualmachine", "synapsespark")
INSTANCE = "computeinstance"
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Turn:
    """A start or a stop, and who caused it."""

    at: datetime
    state: str
    by: str


def is_type(word: str) -> bool:
    """Whether Azure ML has computes of that type."""
    return word.replace("_", "") in TYPES


def begin(row: Mapping[str, Any], kept: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A compute's row with its state: what it was in, else running from now on."""
    operation = kept.get("last_operation") or _operation(Turn(now, RUNNING, USER), "Create")
    return {**row, "state": kept.get("state", RUNNING), "last_operation": operation}


def _operation(turn: Turn, name: str = "") -> dict[str, str]:
    verb = name or ("Start" if turn.state == RUNNING else "Stop")
    return {
        "operation_name": verb,
        "operation_time": iso(turn.at),
        "operation_status": "Succeeded",
        "operation_trigger": turn.by,
    }


def settle(app: App, kept: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The compute as it is now, by its schedules and by when it was idle; a change since it was last looked at is kept."""
    row = dict(kept)
    use = _Use(app, row["name"], _since(row, now))
    while (turn := _next_turn(row, use, now)) is not None and turn.at <= now:
        row = {**row, "state": turn.state, "last_operation": _operation(turn)}
    if row != dict(kept):
        app.store.put(COMPUTE, row["name"], row)
    return {**row, **_forecast(row, turn, now)}


def _forecast(row: Mapping[str, Any], turn: Turn | None, now: datetime) -> dict[str, Any]:
    """When it stops next and why, or when it starts next."""
    if turn is None or row.get("type") != INSTANCE:
        return {}
    word = "next_stop" if turn.state == STOPPED else "next_start"
    return {word: {"at": iso(max(turn.at, now)), "because_of": turn.by}}


def _next_turn(row: Mapping[str, Any], use: _Use, now: datetime) -> Turn | None:
    """The first change of its state after the last one."""
    state, since = row.get("state", RUNNING), _since(row, now)
    planned = [t for t in _scheduled(row, since) if t.state != state]
    idle = _idle_stop(row, use, since) if state == RUNNING else None
    return min([*planned, *([idle] if idle else [])], key=lambda t: t.at, default=None)


def _since(row: Mapping[str, Any], now: datetime) -> datetime:
    text = (row.get("last_operation") or {}).get("operation_time") or row.get("created_at")
    return datetime.fromisoformat(text) if text else now


def _scheduled(row: Mapping[str, Any], since: datetime) -> Iterator[Turn]:
    """The first start and the first stop of each schedule that is enabled."""
    created = datetime.fromisoformat(row["created_at"]) if row.get("created_at") else since
    for each in (row.get("schedules") or {}).get("compute_start_stop") or ():
        data = each.get("trigger") or each.get("cron") or each.get("recurrence")
        if not data or str(each.get("state", "enabled")).casefold() != "enabled":
            continue
        at = next_firing(read_trigger(data, created), since)
        if at is not None:
            yield Turn(at, RUNNING if str(each["action"]).casefold() == "start" else STOPPED, SCHEDULE)


class _Use:
    """When jobs used a compute; looked up once, and only for one that stops when idle."""

    def __init__(self, app: App, name: str, since: datetime) -> None:
        self._app = app
        self._name = name
        self._since = since

    @cached_property
    def spans(self) -> list[tuple[datetime, datetime | None]]:
        """From when to when jobs that name the compute ran, oldest first; no end for one that still runs."""
        found = []
        for job in self._app.store.jobs(archived=True):
            ended = datetime.fromisoformat(job.ended_at) if job.ended_at else None
            recent = ended >= self._since if ended else self._app.is_driven(job.name)
            if recent and self._names_it(job.name):
                found.append((datetime.fromisoformat(job.started_at or job.created_at), ended))
        return sorted(found, key=lambda span: span[0])

    def _names_it(self, job: str) -> bool:
        view = get_job(self._app.store, job)
        names = {str(s.about.get(COMPUTE) or "").removeprefix("azureml:") for s in view.steps.values()}
        return self._name in names


def _idle_stop(row: Mapping[str, Any], use: _Use, since: datetime) -> Turn | None:
    """When nothing has used it for as long as it may be idle; none while a job runs."""
    patience = idle_time(row)
    if patience is None:
        return None
    quiet = since
    for started, ended in use.spans:
        if started > quiet + patience:
            break
        if ended is None:
            return None
        quiet = max(quiet, ended)
    return Turn(quiet + patience, STOPPED, IDLE)


def idle_time(row: Mapping[str, Any]) -> timedelta | None:
    """How long an instance may be idle: `idle_time_before_shutdown_minutes`, or `idle_time_before_shutdown: PT30M`."""
    minutes = row.get("idle_time_before_shutdown_minutes")
    if minutes:
        return timedelta(minutes=int(minutes))
    match = _DURATION.match(str(row.get("idle_time_before_shutdown") or "").strip())
    if match is None or not any(match.groups()):
        return None
    days, hours, mins, seconds = (int(g or 0) for g in match.groups())
    return timedelta(days=days, hours=hours, minutes=mins, seconds=seconds)


def find_compute(app: App, name: str) -> dict[str, Any]:
    """A compute as it is now; `NotFoundError` with a suggestion."""
    found = app.store.get(COMPUTE, name)
    if found is None:
        hint = did_you_mean(name, app.store.documents(COMPUTE)) or "Create it: tidemill compute create -f FILE"
        raise NotFoundError(f"There is no compute `{name}`", hint=hint)
    return settle(app, found, SystemClock().now())


def set_state(app: App, name: str, state: str) -> bool:
    """Start or stop a compute; whether that changed anything (starting a running one is a success)."""
    changed = bool(find_compute(app, name)["state"] != state)
    if changed:
        _keep(app, name, {"state": state, "last_operation": _operation(Turn(SystemClock().now(), state, USER))})
    return changed


def restart(app: App, name: str) -> None:
    """Its time of being idle begins anew; a stopped one cannot be restarted."""
    if find_compute(app, name)["state"] != RUNNING:
        raise UsageError(f"The compute `{name}` is {STOPPED}", hint=f"tidemill compute start -n {name}")
    turn = Turn(SystemClock().now(), RUNNING, USER)
    _keep(app, name, {"state": RUNNING, "last_operation": _operation(turn, "Restart")})


def resize(app: App, name: str, size: str) -> dict[str, Any]:
    """Note another size."""
    find_compute(app, name)
    _keep(app, name, {"size": size})
    return find_compute(app, name)


def _keep(app: App, name: str, fields: Mapping[str, Any]) -> None:
    app.store.put(COMPUTE, name, {**(app.store.get(COMPUTE, name) or {}), **fields})


def list_nodes(app: App, name: str) -> list[dict[str, Any]]:
    """The machines of a compute: the one we are on, while it runs."""
    if find_compute(app, name)["state"] != RUNNING:
        return []
    return [{"node_id": platform.node(), "node_state": "idle", "private_ip_address": "127.0.0.1", "port": None}]


def list_sizes(settings: Settings) -> list[dict[str, Any]]:
    """The machine we are on, as a size."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [{"name": "local", "v_cp_us": settings.cores, "memory_gb": round(memory, 1), "low_priority_capable": False}]
