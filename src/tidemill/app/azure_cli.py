"""What scripts around Azure ML call besides `az ml`: accepted, answered truthfully for this workspace, or refused."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.app.settings import Settings
from tidemill.base.errors import UsageError
from tidemill.base.files import write_atomic
from tidemill.base.suggest import did_you_mean

LOCAL_ID = "00000000-0000-0000-0000-000000000000"
DEFAULTS_FILE = "az.json"

# Each of these changes something in Azure that has no counterpart here; scripts call them before the `ml` commands.
NO_OPS = (
    "login",
    "logout",
    "extension",
    "role",
    "acr",
    "group",
    "resource",
    "config",
    "provider",
    "cloud",
    "feedback",
    "cache",
)


def answer(argv: Sequence[str], settings: Settings) -> Any:  # noqa: ANN401
    """The JSON value `az ARGV` answers here (`None` prints nothing); `UsageError` for what has no meaning without Azure."""
    group = argv[0] if argv else ""
    handler = _ANSWERS.get(group)
    if handler:
        return handler(argv[1:], settings)
    if group in NO_OPS:
        return _no_op(argv)
    raise UsageError(
        f"`az {shlex.join(argv[:2])}` has no meaning on this machine; Tidemill answers `az ml …` and the set-up calls around it",
        hint=did_you_mean(group, [*_ANSWERS, *NO_OPS, "ml"]),
    )


def _no_op(argv: Sequence[str]) -> Any:  # noqa: ANN401
    if list(argv[:2]) == ["group", "exists"]:
        return True
    if list(argv[:2]) in (["group", "show"], ["group", "create"]):
        name = _option(argv, "--name", "-n", "--resource-group", "-g")
        return {"name": name, "location": "local", "properties": {"provisioningState": "Succeeded"}}
    if list(argv[:2]) in (["extension", "list"], ["role", "assignment"]):
        return [{"name": "ml", "version": "2.0.0"}] if argv[0] == "extension" else []
    return None


def _account(argv: Sequence[str], settings: Settings) -> Any:  # noqa: ANN401
    verb = argv[0] if argv else ""
    account = {
        "id": LOCAL_ID,
        "name": f"tidemill:{settings.root.name}",
        "tenantId": LOCAL_ID,
        "state": "Enabled",
        "isDefault": True,
    }
    if verb == "show":
        return account
    if verb == "list":
        return [account]
    if verb in {"set", "clear"}:
        return None
    raise UsageError(
        f"`az account {verb}` has no meaning on this machine", hint=did_you_mean(verb, ["show", "list", "set", "clear"])
    )


def _configure(argv: Sequence[str], settings: Settings) -> Any:  # noqa: ANN401
    """Keep `--defaults key=value …`; `--list-defaults` shows them."""
    path = settings.home / DEFAULTS_FILE
    kept: dict[str, str] = read_defaults(settings)
    if "--list-defaults" in argv or "-l" in argv:
        return [{"name": k, "source": str(path), "value": v} for k, v in sorted(kept.items())]
    pairs = [a for a in argv if "=" in a and not a.startswith("-")]
    for pair in pairs:
        key, _, value = pair.partition("=")
        kept[key] = value
    if pairs:
        write_atomic(path, json.dumps({k: v for k, v in kept.items() if v}, indent=2) + "\n")
    return None


def read_defaults(settings: Settings) -> dict[str, str]:
    """What `az configure --defaults` was told in this workspace."""
    path = settings.home / DEFAULTS_FILE
    if not path.exists():
        return {}
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _version(argv: Sequence[str], settings: Settings) -> Any:  # noqa: ANN401
    del argv, settings
    return {"azure-cli": "2.64.0", "azure-cli-core": "2.64.0", "extensions": {"ml": "2.0.0"}}


_ANSWERS: Mapping[str, Callable[[Sequence[str], Settings], Any]] = {
    "account": _account,
    "configure": _configure,
    "version": _version,
    "--version": _version,
}


def _option(argv: Sequence[str], *names: str) -> str:
    for i, word in enumerate(argv[:-1]):
        if word in names:
            return argv[i + 1]
    return ""


def write_shim(folder: Path) -> Path:
    """Write an executable `az` into `folder` that calls this Tidemill; its path."""
    path = folder / "az"
    write_atomic(path, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tidemill az "$@"\n', mode=0o755)
    return path
