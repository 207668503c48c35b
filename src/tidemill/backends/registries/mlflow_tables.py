"""Reads MLflow's own tables: importing MLflow takes over a second, and listing models should not."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

VERSIONS = """SELECT name, version, creation_time, coalesce(description, ''), coalesce(source, ''),
              coalesce(storage_location, ''), coalesce(run_id, '') FROM model_versions
              WHERE current_stage != 'Deleted_Internal'"""
OF_A_RUN = "tidemill.job", "tidemill.step"


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version as MLflow keeps it; `aliases` are those that point at it, `run_*` what its run knows."""

    name: str
    version: str
    creation_timestamp: int
    description: str
    source: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...] = ()
    run_metrics: Mapping[str, float] = field(default_factory=dict)
    run_tags: Mapping[str, str] = field(default_factory=dict)


def read_versions(database: Path) -> list[VersionRow] | None:
    """Every version in the database; None where its tables are not the ones known here."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            return _read(connection)
    except sqlite3.OperationalError:
        return None


def _read(connection: sqlite3.Connection) -> list[VersionRow]:
    tags: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    for name, version, key, value in connection.execute("SELECT name, version, key, value FROM model_version_tags"):
        tags[name, version][key] = value
    aliases: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, version, alias in connection.execute("SELECT name, version, alias FROM registered_model_aliases"):
        aliases[name, version].append(alias)
    rows = connection.execute(VERSIONS).fetchall()
    return [
        VersionRow(
            name,
            str(version),
            created,
            description,
            storage or source,
            tags[name, version],
            tuple(sorted(aliases[name, version])),
            *_of_run(connection, run if "tidemill.digest" not in tags[name, version] else ""),
        )
        for name, version, created, description, source, storage, run in rows
    ]


def _of_run(connection: sqlite3.Connection, run: str) -> tuple[dict[str, float], dict[str, str]]:
    """Metrics and origin of a version that was registered by MLflow's own functions inside a step."""
    if not run:
        return {}, {}
    metrics = dict(
        connection.execute("SELECT key, value FROM latest_metrics WHERE run_uuid = ? AND NOT is_nan", (run,))
    )
    found = connection.execute("SELECT key, value FROM tags WHERE run_uuid = ? AND key IN (?, ?)", (run, *OF_A_RUN))
    return metrics, dict(found)


def as_tags(row: VersionRow) -> dict[str, str]:
    """The version's tags, what only its run knows among them."""
    metrics = {"tidemill.metrics": json.dumps(dict(row.run_metrics))} if row.run_metrics else {}
    return {**metrics, **row.run_tags, **row.tags}
