"""Ends the run of a step whose process was killed before it could: MLflow would show it as running for ever."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tidemill.backends.trackers.adoption import RUN_FILE
from tidemill.backends.trackers.servers import end_runs, without_login

TIMEOUT_S = 30
SQLITE = "sqlite:///"
END = """WITH RECURSIVE inside(id) AS (SELECT ? UNION SELECT run_uuid FROM tags JOIN inside ON value = id
                                       WHERE key = 'mlflow.parentRunId')
         UPDATE runs SET status = 'KILLED', end_time = ? WHERE status = 'RUNNING' AND run_uuid IN inside"""


def end_abandoned(uri: str, folder: Path, ended_ms: int) -> None:
    """End what still runs of the step in `folder`, and the runs inside it; `BackendError` where a server cannot be asked."""
    file = folder / RUN_FILE
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if not text:
        return
    run = json.loads(text)
    if run.get("server", without_login(uri)) != without_login(uri):
        uri = run["server"]
    if not uri.startswith(SQLITE):
        end_runs(uri, run["run_id"], run["experiment_id"], ended_ms)
        return
    database = Path(uri.removeprefix(SQLITE))
    # an MLflow that could not use the workspace's database has one of its own beside it
    for each in (database, *database.parent.glob(f"{database.stem}-*{database.suffix}")):
        if each.exists():
            _end_in(each, run["run_id"], ended_ms)


def _end_in(database: Path, run: str, ended_ms: int) -> None:
    """By its tables: importing MLflow takes seconds."""
    with closing(sqlite3.connect(database, timeout=TIMEOUT_S)) as connection, connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone()
        if known:
            connection.execute(END, (run, ended_ms))
