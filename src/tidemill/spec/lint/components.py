"""Azure ML documents against the scripts they start, and what a schema cannot say about them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tidemill.base.files import is_plain_file
from tidemill.base.findings import Finding, Severity
from tidemill.spec.lint.files import LintFile, parse_quietly, read_yaml

SCRIPT = re.compile(r"\bpython3?\s+(?:-u\s+)?(?P<script>[\w./-]+\.py)(?P<rest>[^\n|&;]*)")
OPTION = re.compile(r"(?<!\S)(?P<name>--[A-Za-z][\w-]*)")
WEEKDAYS = re.compile(r"(?:1-5|mon-fri|1,2,3,4,5|mon,tue,wed,thu,fri)\s*[\"']?\s*$", re.IGNORECASE)
WEEKEND = {"saturday", "sunday"}
IDLE = re.compile(r"^(?:idle_time_before_shutdown|idle_time_before_shutdown_minutes):", re.MULTILINE)
BOUND = re.compile(r"\$\{\{\s*parent\.outputs\.(?P<name>model\w*)\s*\}\}")


def lint_azure(file: LintFile) -> Iterator[Finding]:
    """One document; what is not YAML is reported elsewhere."""
    data = read_yaml(file.text)
    if not isinstance(data, dict):
        return
    yield from _lint_idle(file, data)
    yield from _lint_bindings(file, data)
    steps = data.get("jobs")
    for part in (data, *(steps.values() if isinstance(steps, dict) else ())):
        if isinstance(part, dict) and isinstance(part.get("command"), str):
            yield from _lint_command(file, part["command"], part.get("code"))


def _lint_idle(file: LintFile, data: Mapping[str, Any]) -> Iterator[Finding]:
    keys = list(IDLE.finditer(file.bare))
    if len(keys) > 1:
        yield file.finding("TM-X30", "Two keys say when an idle machine stops; one of them is ignored", keys[1].start())
    schedules = data.get("schedules")
    stops = schedules.get("compute_start_stop") if isinstance(schedules, dict) else None
    mine = [s for s in stops if isinstance(s, dict) and s.get("action") == "stop"] if isinstance(stops, list) else []
    if mine and all(_only_weekdays(s) for s in mine):
        severity = Severity.INFO if keys else None
        where = file.bare.find("compute_start_stop")
        yield file.finding("TM-X30", "Nothing stops it at the weekend", where, severity=severity)


def _only_weekdays(schedule: Mapping[str, Any]) -> bool:
    trigger = schedule.get("cron") or schedule.get("recurrence") or schedule.get("trigger")
    if not isinstance(trigger, dict):
        return bool(WEEKDAYS.search(str(schedule.get("expression", ""))))
    inner = trigger.get("schedule") or trigger.get("pattern")
    days = inner.get("week_days") or inner.get("weekdays") if isinstance(inner, dict) else None
    if isinstance(days, list) and days:
        return not WEEKEND & {str(d).lower() for d in days}
    return bool(WEEKDAYS.search(str(trigger.get("expression", ""))))


def _lint_bindings(file: LintFile, data: Mapping[str, Any]) -> Iterator[Finding]:
    jobs = data.get("jobs")
    for job in jobs.values() if isinstance(jobs, dict) else ():
        outputs = job.get("outputs") if isinstance(job, dict) else None
        bound = outputs.get("registration_details_folder") if isinstance(outputs, dict) else None
        text = str(bound.get("path", "") if isinstance(bound, dict) else bound)
        found = BOUND.search(text)
        if found:
            where = max(file.bare.find(found.group(), max(file.bare.find("registration_details_folder"), 0)), 0)
            yield file.finding(
                "TM-X16", f"Output `{found['name']}` gets the registration's details, not the model", where
            )


def _lint_command(file: LintFile, command: str, code: object) -> Iterator[Finding]:
    for call in SCRIPT.finditer(command.replace("\\\n", " ").replace("\n", " ") if "\\\n" in command else command):
        folder = file.path.parent / str(code or ".")
        script = folder / call["script"]
        options = _options(script) if is_plain_file(script) else None
        if not options:
            continue
        for given in OPTION.finditer(call["rest"]):
            name = given["name"]
            if name in options or name in {"--help", "--version"}:
                continue
            longer = sorted(o for o in options if o.startswith(name))
            where = file.bare.find(name)
            if where < 0:
                continue
            if len(longer) == 1:
                yield file.finding(
                    "TM-X15",
                    f"`{name}` only works as a short form of `{longer[0]}`",
                    where,
                    hint=f"Write `{longer[0]}`.",
                )
            else:
                known = ", ".join(sorted(options))
                yield file.finding(
                    "TM-X52", f"`{script.name}` has no option `{name}`", where, hint=f"It knows {known}."
                )


def _options(script: Path) -> set[str] | None:
    """The options of its one parser, or `None` when they cannot be told for sure."""
    try:
        text = script.read_text(encoding="utf-8")
        tree = parse_quietly(text)
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError, RecursionError):
        return None
    if re.search(r"parse_known_args|add_subparsers|HfArgumentParser|parents=|allow_abbrev|sys\.argv|click|fire", text):
        return None
    names: set[str] = set()
    parsers = 0
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        parsers += name == "ArgumentParser"
        if name == "add_argument":
            words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if len(words) != len(node.args) or any(k.arg is None for k in node.keywords):
                return None
            names |= {w for w in words if w.startswith("-")}
    passed_on = re.search(r"\w+\((?:\w+,\s*)*(?:arg_?)?parser\b(?!\.)", text) is not None
    return names if parsers == 1 and not passed_on else None
