"""Where the project and its state are, and which back ends the user named."""

from __future__ import annotations

import os
import tempfile
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.base.errors import UsageError
from tidemill.base.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

PROJECT_FILE = "tidemill.yaml"
ROOT_MARKS = (PROJECT_FILE, ".tidemill", ".git")
WEAK_MARKS = (".github", ".gitignore", ".amlignore", "pyproject.toml")  # a copy without its history


@frozen
class Settings:
    """Values only; nothing is opened here.

    `home` is the state folder (`TIDEMILL_HOME`, else `.tidemill` beside the project file). `store` is empty for
    the embedded SQLite or a `postgresql://` URL (`TIDEMILL_STORE`). `tracking_uri` is `MLFLOW_TRACKING_URI`.
    """

    root: Path
    home: Path
    store: str = ""
    tracking_uri: str = ""
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)

    @property
    def store_kind(self) -> str:
        """The back end that `store` names; `UsageError` when it names none, without a word of what it holds."""
        if self.store.partition("://")[0] in {"postgresql", "postgres"}:
            return "postgresql"
        raise UsageError(
            "TIDEMILL_STORE is not an address Tidemill knows", hint="postgresql://USER:PASSWORD@HOST:5432/DATABASE"
        )

    @property
    def project_file(self) -> Path:
        """Where `tidemill.yaml` is, or would be."""
        return self.root / PROJECT_FILE


def read_settings(near: Path | None = None) -> Settings:
    """Settings for the project that holds `near` (a file or folder; else the current folder)."""
    root = find_root(near)
    home = os.environ.get("TIDEMILL_HOME")
    return Settings(
        root=root,
        home=Path(home).absolute() if home else root / ".tidemill",
        store=os.environ.get("TIDEMILL_STORE", ""),
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", ""),
        cores=int(os.environ.get("TIDEMILL_CORES", "0")) or os.cpu_count() or 1,
    )


def find_root(near: Path | None = None) -> Path:
    """The project's folder: nearest `tidemill.yaml` above `near`, else any mark above the current folder, else that."""
    here = Path.cwd()
    if near is not None:
        start = near.absolute()
        found = _nearest(start if start.is_dir() else start.parent, (PROJECT_FILE,))
        if found:
            return found
    return _nearest(here, ROOT_MARKS) or here


def find_repository(path: Path) -> Path:
    """The repository a file or folder belongs to, wherever this is called from: the nearest mark above it, else its folder."""
    start = path.absolute()
    start = start if start.is_dir() else start.parent
    shared = {
        Path(start.anchor),
        Path.home(),
        Path(tempfile.gettempdir()),
    }  # whatever lies there, they are no repository
    for marks in ((PROJECT_FILE,), ROOT_MARKS, WEAK_MARKS):
        found = _nearest(start, marks)
        if found and (found not in shared or (found / PROJECT_FILE).exists()):
            return found
    return start


def _nearest(start: Path, marks: Iterable[str]) -> Path | None:
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in marks):
            return folder
    return None
