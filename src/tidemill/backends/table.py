"""Which back ends there are: by name, loaded only when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tidemill.base.errors import UsageError
from tidemill.base.imports import import_late
from tidemill.base.suggest import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BACKENDS: Mapping[str, Mapping[str, str]] = {
    "executors": {
        "local": "tidemill.backends.executors.local:open_executor",
        "ray": "tidemill.backends.executors.ray:open_executor",
        "kubernetes": "tidemill.backends.executors.kubernetes:open_executor",
        "azureml": "tidemill.backends.executors.azureml:open_executor",
    },
    "stores": {
        "sqlite": "tidemill.backends.stores.sqlite:open_store",
        "postgresql": "tidemill.backends.stores.postgres:open_store",
    },
    "artifacts": {"folder": "tidemill.backends.artifacts.folder:open_artifacts"},
    "locks": {
        "flock": "tidemill.backends.locks.flock:open_locks",
        "postgresql": "tidemill.backends.locks.postgres:open_locks",
    },
    "data": {"workspace": "tidemill.backends.data.workspace:open_data"},
    "environments": {"uv": "tidemill.backends.environments.provider:open_environments"},
    "registries": {"mlflow": "tidemill.backends.registries.mlflow:open_registry"},
    "trackers": {"mlflow": "tidemill.backends.trackers.mlflow:open_tracker"},
    "searchers": {"optuna": "tidemill.backends.searchers.optuna:open_search"},
    "builders": {"oci": "tidemill.backends.builders.oci:open_builder"},
    "model_syncs": {"mlflow": "tidemill.backends.registries.sync:open_sync"},
    "signers": {"pem": "tidemill.backends.signing:open_signer"},
    "targets": {
        "local": "tidemill.backends.targets.local:open_target",
        "kubernetes": "tidemill.backends.targets.kubernetes:open_target",
        "azureml": "tidemill.backends.targets.azureml:open_target",
        "huggingface": "tidemill.backends.targets.huggingface:open_target",
    },
}


def known(kind: str) -> list[str]:
    """Names of the back ends of a kind, installed ones included."""
    return sorted({*BACKENDS.get(kind, {}), *(e.name for e in _installed(kind))})


def load(kind: str, name: str) -> Any:
    """The function that opens back end `name` of a kind (`executors`, `stores` …).

    A package may add its own under the entry point group `tidemill.<kind>`.
    """
    target = BACKENDS.get(kind, {}).get(name)
    if target is not None:
        module, _, function = target.partition(":")
        return _get(module, function)
    for entry in _installed(kind):
        if entry.name == name:
            return entry.load()
    raise UsageError(f"There is no back end `{name}` among {kind}", hint=did_you_mean(name, known(kind)))


def _installed(kind: str) -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - 12 ms, of a name that is not ours only

    return entry_points(group=f"tidemill.{kind}")


EXTRAS = {
    "lightkube": "kubernetes",
    "httpx2": "kubernetes",
    "wsproto": "kubernetes",
    "psycopg": "postgres",
    "ray": "ray",
    "cryptography": "sign",
    "optuna": "sweep",
}


def _get(module: str, function: str) -> Any:
    """A function of a module; `UsageError` naming the extra when its SDK is not installed."""
    try:
        return getattr(import_late(module), function)
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.startswith("tidemill"):
            raise
        extra = EXTRAS.get(exc.name.partition(".")[0], exc.name)
        raise UsageError(
            f"This needs `{exc.name}`, which is not installed", hint=f"pip install 'tidemill[{extra}]'"
        ) from exc
