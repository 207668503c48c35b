"""`serve`: the inference server alone, for a registered model or a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tidemill.app.wiring import App
from tidemill.base import proc
from tidemill.base.errors import UsageError


def serve(app: App, model: str, arguments: Sequence[str], *, allow_pickle: bool) -> int:
    """Run the server in the foreground until it is stopped; its exit code."""
    path = Path(model)
    argv = [sys.executable, "-m", "tidemill.serve"]
    if path.exists():
        argv += ["--model", str(path), "--name", path.name, *(["--allow-pickle"] if allow_pickle else [])]
    else:
        name, version = split_model(model)
        found = app.registry.get(name, version)
        argv += [
            "--model",
            str(found.path),
            "--name",
            found.name,
            "--version",
            found.version,
            "--model-digest",
            found.digest,
            "--allow-pickle",
        ]
    return proc.replace_by([*argv, *arguments])


def split_model(text: str) -> tuple[str, str]:
    """`name`, `name:version`, `name@label`, with or without `azureml:`."""
    rest = text.removeprefix("azureml:")
    name, at, label = rest.partition("@")
    if at:
        return name, label
    name, colon, version = rest.partition(":")
    if not name:
        raise UsageError(f"`{text}` names no model", hint="NAME, NAME:VERSION, NAME@LABEL, or a folder.")
    return name, version if colon else "latest"
