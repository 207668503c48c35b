"""Ends the run of a step whose process was killed before it could: MLflow would show it as running for ever."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tidemill.backends.trackers.adoption import RUN_FILE

TIMEOUT_S = 30
END = """UPDATE runs SET status = 'KILLED', end_time = ? WHERE status = 'RUNNING' AND (run_uuid = ?
         OR run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId' AND value = ?))"""


def end_abandoned(database: Path, folder: Path, ended_ms: int) -> None:
    """End what still runs of the step in `folder`, and the runs inside it; by their table, as importing MLflow takes seconds."""
    file = folder / RUN_FILE
    if not file.exists() or not database.exists():
        return
    run = json.loads(file.read_text(encoding="utf-8"))["run_id"]
    with closing(sqlite3.connect(database, timeout=TIMEOUT_S)) as connection, connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone()
        if known:
            connection.execute(END, (ended_ms, run, run))
