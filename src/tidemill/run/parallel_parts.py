"""A parallel step on several machines: its mini batches dealt out to tasks, and what those say put together again."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.base.files import write_atomic
from tidemill.run.ports import Task, TaskEnd
from tidemill.run.work import StepWork

COUNTS = ("mini_batches", "completed", "failed", "items", "failed_items", "retries")
LIMITS = (("mini_batch_error_threshold", "failed", "mini batches"), ("error_threshold", "failed_items", "items"))
TOO_MANY_FAILED = 4


@dataclass(frozen=True, slots=True)
class Part:
    """One of the tasks, and where it says how it went."""

    task: Task
    summary: Path


def run_parts(work: StepWork, config: Mapping[str, Any], parts: Sequence[Part]) -> TaskEnd:
    """Run all of them at once; the first that fails ends the others. One end, one summary and one result for all."""
    running = _Running(work, parts)
    with ThreadPoolExecutor(len(parts)) as pool:
        ends = list(pool.map(running.to_end, parts))
    _join_logs(work.folder.log, parts)
    usage = _add_usage(ends)
    bad = next((e for e in ends if not e.ok and not e.canceled), None) or next((e for e in ends if not e.ok), None)
    summaries = [json.loads(p.summary.read_text(encoding="utf-8")) for p in parts if p.summary.is_file()]
    if bad is not None and not any(s["error"] for s in summaries):
        return TaskEnd(bad.exit_code, bad.canceled, bad.timed_out, bad.lost, bad.message, usage)
    summary = merge(summaries, config)
    write_atomic(Path(config["summary"]), json.dumps(summary))
    if summary["error"]:
        return TaskEnd(bad.exit_code if bad is not None else TOO_MANY_FAILED, usage=usage)
    gather(config, summary["all"])
    return TaskEnd(0, usage=usage)


class _Running:
    """The parts on their way."""

    def __init__(self, work: StepWork, parts: Sequence[Part]) -> None:
        self._work = work
        self._parts = parts
        self._lock = threading.Lock()
        self._has_started = False
        self._failed = threading.Event()

    def to_end(self, part: Part) -> TaskEnd:
        """Run one; when its machine was lost, it starts again elsewhere and goes on with what it had not completed."""
        context, tried = self._work.context, 0
        while True:
            end = (
                TaskEnd(None, canceled=True) if self._failed.is_set() else self._work.run_task(part.task, self._started)
            )
            cause = context.options.retry.cause(end, (), tried)
            if not cause or self._failed.is_set() or context.canceled.is_set():
                break
            tried += 1
            self._work.say(f"{cause}: trying again ({tried})")
        if not end.ok and not end.canceled:
            self._end_others(part)
        return end

    def _started(self, handle: str) -> None:
        """The step starts with the first of its parts."""
        with self._lock:
            first, self._has_started = not self._has_started, True
        if first:
            self._work.started(handle)

    def _end_others(self, failed: Part) -> None:
        self._failed.set()
        ports = self._work.context.ports
        executor = ports.executors[ports.place_compute(failed.task.compute)]
        for part in self._parts:
            if part is not failed:
                executor.cancel(part.task.ticket)


def merge(summaries: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of all parts, and whether too much failed in all of them together."""
    found: dict[str, Any] = {name: sum(s.get(name, 0) for s in summaries) for name in COUNTS}
    found["all"] = max(s.get("all", 0) for s in summaries)
    said = next((str(s["error"]) for s in summaries if s["error"]), None)
    for name, counted, what in LIMITS:
        if 0 <= config[name] < found[counted]:
            said = said or f"{found[counted]} {what} failed, `{name}` is {config[name]}"
    percent = 100.0 * found["failed"] / max(1, found["all"])
    if percent > config["allowed_failed_percent"]:
        said = said or f"{percent:.0f}% of the mini batches failed; {config['allowed_failed_percent']}% are allowed"
    return found | {"error": said, "last": next((s["last"] for s in summaries if s.get("last")), "")}


def gather(config: Mapping[str, Any], count: int) -> None:
    """All results in the order of the mini batches, whoever had them."""
    if not config["append_to"]:
        return
    target = Path(config["append_to"])
    target = target / config["append_name"] if target.is_dir() else target
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        for part in (Path(config["work"]) / f"result-{index}" for index in range(count)):
            if part.exists():
                out.write(part.read_bytes())


def _join_logs(log: Path, parts: Sequence[Part]) -> None:
    """What each part said, with its number before each line."""
    with log.open("a", encoding="utf-8", errors="surrogateescape") as out:
        for number, path in enumerate(p.task.log for p in parts):
            if path.exists():
                text = path.read_text(encoding="utf-8", errors="surrogateescape")
                out.writelines(f"[{number}] {line}\n" for line in text.splitlines())
                path.unlink()


def _add_usage(ends: Sequence[TaskEnd]) -> dict[str, float]:
    """Seconds add up; of memory the most that one had."""
    found: dict[str, float] = {}
    for name, value in (item for end in ends for item in end.usage.items()):
        found[name] = max(found.get(name, 0.0), value) if name.startswith("peak") else found.get(name, 0.0) + value
    return found
