"""Which of the embedded MLflow's files nothing needs: read from its tables, as importing MLflow takes over a second."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

RUNS = """SELECT runs.run_uuid, runs.artifact_uri, job.value, parent.value FROM runs
          LEFT JOIN tags job ON job.run_uuid = runs.run_uuid AND job.key = 'tidemill.job'
          LEFT JOIN tags parent ON parent.run_uuid = runs.run_uuid AND parent.key = 'mlflow.parentRunId'"""
LOGGED = "SELECT model_id, artifact_location, coalesce(source_run_id, '') FROM logged_models"
USED = """SELECT coalesce(run_id, ''), coalesce(source, ''), coalesce(storage_location, '') FROM model_versions
          WHERE current_stage != 'Deleted_Internal'"""


def find_unused(folder: Path, jobs: Collection[str]) -> tuple[Path, ...]:
    """What the runs of `jobs` logged and no version was made of, and the models of versions that were deleted."""
    database = folder / "mlflow.db"
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            runs = connection.execute(RUNS).fetchall()
            logged = connection.execute(LOGGED).fetchall()
            used = connection.execute(USED).fetchall()
    except sqlite3.OperationalError:
        return ()  # not the tables known here: nobody can tell
    needed = {run for run, *_ in used}
    texts = [unquote(text) for _, *places in used for text in places]
    gone = _runs_of(jobs, runs) - needed
    found = [_place(uri) for run, uri, *_ in runs if run in gone]
    found += [_place(uri) for model, uri, run in logged if run in gone and not any(model in text for text in texts)]
    inside = [p for p in found if p is not None and folder in p.parents and not any(str(p) in text for text in texts)]
    models = [p for p in (folder / "models").glob("*") if not any(p.name in text for text in texts)]
    return tuple(p for p in (*inside, *models) if p.exists())


def _runs_of(jobs: Collection[str], runs: Collection[tuple[str, str, str | None, str | None]]) -> set[str]:
    """The runs of the jobs' steps, and the runs inside those."""
    found = {run for run, _, job, _ in runs if job in jobs}
    while more := {run for run, _, _, parent in runs if parent in found} - found:
        found |= more
    return found


def _place(uri: str) -> Path | None:
    """The folder of a run or a logged model, which holds a folder `artifacts`."""
    path = Path(unquote(urlparse(uri).path))
    return path.parent if uri.startswith("file:") and path.name == "artifacts" else None
