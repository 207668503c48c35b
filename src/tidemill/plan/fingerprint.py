"""When a step can be reused: what its key is made of, and what changed since last time. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tidemill.base.hashing import TreeEntry, digest_bytes, digest_value
from tidemill.plan.graph import Literal, Step

FORMAT = "1"
SHOWN_FILES = 3
SHOWN_SETTINGS = {"instances": "instance_count"}

Parts = Mapping[str, str]
ListFiles = Callable[[str], Sequence[TreeEntry] | None]
SayEnvironment = Callable[[str], str]


def make_parts(step: Step, *, code: str, environment: str, data: Mapping[str, str]) -> dict[str, str]:
    """What decides about a step's result, by name: `data` is the content of each input that is data.

    Where a step runs, how long it may take and where its outputs go decide nothing; what it is started with does.
    """
    parts = {"format": FORMAT, "kind": str(step.kind), "command": step.command_text, "code": code}
    parts["environment"] = environment
    for name, binding in step.inputs.items():
        if isinstance(binding, Literal):
            parts[f"parameter {name}"] = binding.text
        else:
            parts[f"data {name}"] = data[name]
            parts[f"mode {name}"] = f"{binding.type} {binding.mode}"
    for name, output in step.outputs.items():
        parts[f"output {name}"] = f"{output.type} {output.mode} {output.destination or ''}".rstrip()
    for name, value in step.environment_variables.items():
        parts[f"variable {name}"] = digest_bytes(value.encode())[:16]
    settings: dict[str, object] = {"instances": step.resources.instance_count}
    if step.distribution:
        settings |= {"distribution": asdict(step.distribution)}
    parts["settings"] = json.dumps(settings, sort_keys=True, default=str)
    for name, value in step.body.items():  # may hold what must not be shown
        parts[f"setting {name}"] = digest_value(json.loads(json.dumps(value, default=str)))[:16]
    return parts


def make_key(parts: Parts) -> str:
    """The key of a step with these parts."""
    return digest_value(dict(parts))


def explain_change(
    before: Parts | None, after: Parts, list_files: ListFiles, say_environment: SayEnvironment = lambda _: ""
) -> str:
    """Why a step runs, in words; files and environments are compared with the help of the functions."""
    if before is None:
        return "it has not run before"
    changes = [
        _describe(name, before.get(name), after.get(name), list_files)
        if name != "environment"
        else _with("environment changed", say_environment(before.get(name, "")))
        for name in sorted(before.keys() | after.keys(), key=_importance)
        if before.get(name) != after.get(name)
    ]
    return "; ".join(changes) if changes else "its outputs are no longer kept"


def _with(what: str, words: str) -> str:
    return f"{what}: {words}" if words else what


def _importance(name: str) -> tuple[int, str]:
    first = name.partition(" ")[0]
    order = ("code", "command", "environment", "data", "parameter")
    return (order.index(first) if first in order else len(order), name)


def _describe(name: str, before: str | None, after: str | None, list_files: ListFiles) -> str:
    what, _, item = name.partition(" ")
    match what:
        case "code":
            return _say_files("code changed", before, after, list_files)
        case "data":
            if before is None or after is None:
                return f"input `{item}` {'added' if before is None else 'removed'}"
            return _say_files("input data changed", before, after, list_files) + f" (`{item}`)"
        case "parameter":
            return f"parameter {item}: {_say(before)} → {_say(after)}"
        case "output" | "mode":
            return f"{'output' if what == 'output' else 'input'} `{item}`: {_say(before)} → {_say(after)}"
        case "variable":
            return f"environment variable {item} changed"
        case "format":
            return "this version of Tidemill runs steps differently"
        case "settings":
            return _say_settings(before, after)
        case "setting":
            return f"setting `{item}` {'added' if before is None else 'removed' if after is None else 'changed'}"
        case _:
            return f"{what} changed"


def _say_settings(before: str | None, after: str | None) -> str:
    old, new = _flatten("", json.loads(before or "{}")), _flatten("", json.loads(after or "{}"))
    names = sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n))
    return ", ".join(f"{n}: {old.get(n, '(none)')} → {new.get(n, '(none)')}" for n in names)


def _flatten(prefix: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Each value under its dotted name; what is not set is not there."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        full = f"{prefix}{SHOWN_SETTINGS.get(name, name)}"
        if isinstance(value, Mapping):
            found |= _flatten(f"{full}.", value)
        elif value is not None:
            found[full] = str(value)
    return found


def _say(value: str | None) -> str:
    return "(none)" if value is None else value or '""'


def _say_files(what: str, before: str | None, after: str | None, list_files: ListFiles) -> str:
    old = list_files(before) if before else ()
    new = list_files(after) if after else ()
    if old is None or new is None:
        return what
    old_files = {e.path: (e.digest, e.executable) for e in old}
    new_files = {e.path: (e.digest, e.executable) for e in new}
    changed = [p for p in new_files if p in old_files and new_files[p] != old_files[p]]
    added = [p for p in new_files if p not in old_files]
    removed = [p for p in old_files if p not in new_files]
    counts = [_count(names, verb) for names, verb in ((changed, "changed"), (added, "added"), (removed, "removed"))]
    if what == "code changed" and len(changed) + len(added) + len(removed) <= SHOWN_FILES:
        marked = [*changed, *(f"{n} (new)" for n in added), *(f"{n} (gone)" for n in removed)]
        return f"{what}: {', '.join(marked)}" if marked else what
    said = ", ".join(c for c in counts if c)
    return f"{what}: {said}" if said else what


def _count(names: Sequence[str], verb: str) -> str:
    if not names:
        return ""
    return f"{len(names)} file{'s' if len(names) > 1 else ''} {verb}"
