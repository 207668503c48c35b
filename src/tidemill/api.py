"""What a notebook uses: the same documents and checks as the command line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tidemill.app.check import check
from tidemill.base.findings import Finding
from tidemill.spec.kinds import COMPONENTS, JOBS, Kind
from tidemill.spec.load import Loaded, load_valid
from tidemill.spec.overrides import Override


def validate(path: str | Path) -> tuple[Finding, ...]:
    """Everything `tidemill check` says of a file or folder, in order; empty when there is nothing to say."""
    return tuple(f for report in check([Path(path)]) for f in report.findings)


def load_job(path: str | Path, *, set: Mapping[str, Any] | None = None) -> Loaded:  # noqa: A002 - the flag's name
    """A job document of any kind; `SpecError` with every finding when it is not valid. `set` maps dotted paths to values."""
    return _load(path, JOBS, set)


def load_component(path: str | Path, *, set: Mapping[str, Any] | None = None) -> Loaded:  # noqa: A002
    """A component of any kind; errors as `load_job`."""
    return _load(path, COMPONENTS, set)


def load_environment(path: str | Path) -> Loaded:
    """An environment; errors as `load_job`."""
    return _load(path, (Kind.ENVIRONMENT,), None)


def load_data(path: str | Path) -> Loaded:
    """A data asset; errors as `load_job`."""
    return _load(path, (Kind.DATA, Kind.DATA_IMPORT), None)


def load_model(path: str | Path) -> Loaded:
    """A model; errors as `load_job`."""
    return _load(path, (Kind.MODEL,), None)


def load_online_endpoint(path: str | Path) -> Loaded:
    """An online endpoint; errors as `load_job`."""
    return _load(path, (Kind.ONLINE_ENDPOINT,), None)


def load_online_deployment(path: str | Path) -> Loaded:
    """An online deployment; errors as `load_job`."""
    return _load(path, (Kind.ONLINE_DEPLOYMENT,), None)


def load_schedule(path: str | Path) -> Loaded:
    """A schedule with jobs, imports or monitors; errors as `load_job`."""
    return _load(path, (Kind.SCHEDULE,), None)


def _load(path: str | Path, kinds: Collection[Kind], changes: Mapping[str, Any] | None) -> Loaded:
    overrides = [Override(tuple(name.split(".")), value, f"{name}={value}") for name, value in (changes or {}).items()]
    return load_valid(Path(path), overrides=overrides, expect=kinds)
