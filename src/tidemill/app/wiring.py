"""Puts the back ends behind the ports; the only module that names them. Everything opens when it is first used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tidemill.app.assets import WorkspaceAssets
from tidemill.app.budget import CostMeter
from tidemill.app.executors import Executors
from tidemill.app.project import Project, read_project
from tidemill.app.settings import Settings
from tidemill.backends.gpus import find_gpus
from tidemill.backends.table import load
from tidemill.base.dotenv import read_dotenv
from tidemill.base.ids import JobName
from tidemill.base.places import address_of
from tidemill.record.assets import AssetStore
from tidemill.record.cache import StampMemory, StoreCache
from tidemill.record.ports import Registry, RunStore
from tidemill.record.runs import RunRecorder
from tidemill.run.models import ModelRequest, ModelVersion
from tidemill.run.ports import (
    DataAccess,
    EnvironmentProvider,
    Executor,
    LogObserver,
    RunObserver,
    RunPorts,
    SearchRequest,
    TrialSearch,
)
from tidemill.spec.load import load as load_document
from tidemill.spec.overrides import Override

REGISTRIES = "registries"


class App:
    """One open workspace."""

    def __init__(self, settings: Settings, stack: ExitStack, project: Project | None) -> None:
        self.settings = settings
        self.project = project
        self.relax_pins = False  # of environments that nobody asks for by a run: those that serve
        self._stack = stack
        self._registries: dict[str, App] = {}

    @property
    def home(self) -> Path:
        """Where state lies."""
        return self.settings.home

    @cached_property
    def store(self) -> RunStore:
        """Jobs, assets and small documents."""
        self.home.mkdir(parents=True, exist_ok=True)
        store: RunStore = self._stack.enter_context(closing(self._shared("stores", "sqlite")))
        return store

    @cached_property
    def rows(self) -> AssetStore:
        """Registered data, components and environments."""
        return AssetStore(self.store, self.artifacts, self.home)

    @cached_property
    def registry(self) -> Registry:
        """Models."""
        return open_registry(self.settings)

    @cached_property
    def assets(self) -> WorkspaceAssets:
        """What documents name."""
        return WorkspaceAssets(
            self.settings.root, self.project, self.rows, lambda: self.registry, load_document, self._registry_assets
        )

    def shared(self, registry: str) -> App:
        """A registry that is kept here: a store of assets and models of its own, without a project."""
        if registry not in self._registries:
            home = self.home / REGISTRIES / registry
            settings = replace(self.settings, root=home / "documents", home=home, store="", tracking_uri="")
            self._registries[registry] = App(settings, self._stack, None)
        return self._registries[registry]

    def _registry_assets(self, name: str) -> WorkspaceAssets | None:
        return self.shared(name).assets if self.store.get("registry", name) else None

    @cached_property
    def artifacts(self) -> Any:  # noqa: ANN401 - an `ArtifactStore` that can also collect garbage
        """Bytes by content."""
        return load("artifacts", "folder")(self.home)

    @cached_property
    def locks(self) -> Any:  # noqa: ANN401 - more than the run's port: it also knows who drives a job
        """Mutual exclusion."""
        return self._stack.enter_context(closing(self._shared("locks", "flock")))

    def _shared(self, kind: str, embedded: str) -> Any:  # noqa: ANN401
        """What several machines share if `TIDEMILL_STORE` names a server, else what is in the workspace."""
        if not self.settings.store:
            return load(kind, embedded)(self.home)
        return load(kind, self.settings.store_kind)(self.settings.store)

    @cached_property
    def executor(self) -> Executor:
        """Processes of the machine."""
        executor: Executor = self._stack.enter_context(
            closing(load("executors", "local")(self.settings.cores, str(self.home)))
        )
        return executor

    @cached_property
    def target(self) -> Any:  # noqa: ANN401 - its own small interface
        """Local endpoints."""
        return load("targets", "local")(self.home)

    def kubernetes(self, context: str = "") -> Any:  # noqa: ANN401
        """A cluster."""
        return self._stack.enter_context(closing(load("targets", "kubernetes")(context)))

    def azure(self, subscription: str, group: str, workspace: str) -> Any:  # noqa: ANN401
        """The online endpoints of an Azure ML workspace."""
        return load("targets", "azureml")(subscription, group, workspace)

    @cached_property
    def hub(self) -> Any:  # noqa: ANN401
        """The Hugging Face Hub."""
        return load("targets", "huggingface")()

    @cached_property
    def builder(self) -> Any:  # noqa: ANN401
        """Images."""
        return load("builders", "oci")(self.home)

    @cached_property
    def signer(self) -> Any:  # noqa: ANN401 - a `Signer`
        """Keys and signatures."""
        return load("signers", "pem")()

    def run_ports(
        self, observers: Sequence[RunObserver] = (), *, relax_pins: bool = False, executor: str = ""
    ) -> RunPorts:
        """Everything a run is handed; `observers` hear it after it was recorded. `executor` runs every step, if given."""
        environments = self.environments(relax_pins=relax_pins)
        executors = self.executors(environments, executor)
        store = self.store
        meter = self.meter
        return RunPorts(
            home=self.home,
            executors=executors,
            place_compute=executors.place,
            artifacts=self.artifacts,
            cache=StoreCache(store),
            environments=environments,
            data=self.data,
            locks=self.locks,
            stamps=self.run_stamps,
            observers=(RunRecorder(store), *((meter,) if meter else ()), *observers),
            log_observers=tuple(o for o in observers if isinstance(o, LogObserver)),
            models=_LateRegistrar(self),
            datasets=self.rows,
            tracker=self.tracker,
            meter=meter,
            searches=_open_search,
            gpus=find_gpus,
        )

    @cached_property
    def tracker(self) -> Any:  # noqa: ANN401 - a `Tracker` that can end what killed steps began
        """Experiment tracking inside steps."""
        return load("trackers", "mlflow")(self.home, self.settings.tracking_uri)

    def run_stamps(self, path: Path) -> StampMemory:
        """Digests of unchanged files at or below a path."""
        return StampMemory(self.store, path)

    def executors(self, environments: EnvironmentProvider, chosen: str = "") -> Executors:
        """Where steps run. `chosen` runs every step, if given."""
        computes = self.project.document.compute if self.project is not None else {}
        return Executors(lambda: self.executor, computes, self._stack, (self.home, environments), chosen)

    @cached_property
    def meter(self) -> CostMeter | None:
        """What computes cost; None for a project without prices, whose steps then pay nothing for being measured."""
        if self.project is None or not self.project.document.prices:
            return None
        return CostMeter(self.store, self.project.document.prices, self.project.document.budget)

    def environments(self, *, relax_pins: bool = False) -> Any:  # noqa: ANN401
        """Interpreters of steps and servers."""
        return load("environments", "uv")(self.home, {"relax_pins": relax_pins or self.relax_pins})

    def is_driven(self, job: str) -> bool:
        """Whether some process drives the job now."""
        return bool(self.locks.is_driven(JobName(job)))

    @property
    def data(self) -> DataAccess:
        """Bytes from outside, by path, datastore or address."""
        open_data = load("data", "workspace")
        source: DataAccess = open_data(self.home, self._datastores(), self._data_environment, self._account)
        return source

    def _account(self, datastore: str) -> str:
        """Where the document of a datastore that was created says it is."""
        return address_of(self.store.get("datastore", datastore) or {})

    def _datastores(self) -> dict[str, Path | str]:
        """Names of datastores: folders as paths, everything elsewhere as URLs."""
        if self.project is None:
            return {}
        folder, mapped = self.project.folder, self.project.document.datastores
        return {n: p if "://" in p else (folder / p).absolute() for n, p in mapped.items()}

    def _data_environment(self) -> Mapping[str, str]:
        return {**os.environ, **read_dotenv(self.settings.root / ".env")}


def open_registry(settings: Settings) -> Registry:
    """Models of a workspace, without opening anything else of it."""
    registry: Registry = load("registries", "mlflow")(settings.home, settings.tracking_uri)
    return registry


def _open_search(request: SearchRequest) -> TrialSearch:
    """A search that learns; its SDK is loaded when the first sweep wants one."""
    search: TrialSearch = load("searchers", "optuna")(request)
    return search


class _LateRegistrar:
    """Opens the registry when the first model is registered, since importing MLflow takes seconds."""

    def __init__(self, app: App) -> None:
        self._app = app

    def register(self, request: ModelRequest) -> ModelVersion:
        """As the registry."""
        return self._app.registry.register(request)


@contextmanager
def open_app(settings: Settings, *, project_overrides: Sequence[Override] = ()) -> Iterator[App]:
    """A workspace; everything it opened is closed in reverse, whatever happens."""
    with ExitStack() as stack:
        yield App(settings, stack, read_project(settings, project_overrides))
