"""`model sync`: versions from one MLflow registry to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidemill.app.wiring import App
from tidemill.backends.table import load
from tidemill.base.errors import UsageError

HERE = "."


def sync_models(  # noqa: PLR0913 - one argument for each option of the command
    app: App, source: str, target: str, *, names: Sequence[str], policy: str, dry_run: bool, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """What became of every version. `.` is the registry of this workspace."""
    ends = [app.settings.tracking_uri if end == HERE else end.rstrip("/") for end in (source, target)]
    if ends[0] == ends[1]:
        raise UsageError(
            "SRC and DST are the same registry", hint="Name two: tidemill model sync . https://mlflow.example.org"
        )
    for end in ends:
        _require_place(end)
    found = load("model_syncs", "mlflow")(app.home, *ends, policy, say).run(names, dry_run=dry_run)
    return [asdict(row) for row in found]


def _require_place(uri: str) -> None:
    """An end that can be one: MLflow would make a new folder of a word."""
    if uri and not urlsplit(uri).scheme and not Path(uri).is_dir():
        raise UsageError(f"`{uri}` is no tracking URI and no folder", hint="For example: https://mlflow.example.org")
