"""Finds what documents name: the project file's mappings first, then the repository, then what is registered here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from tidemill.app.project import Project, empty_project
from tidemill.base.errors import NotFoundError
from tidemill.plan.graph import DataRef, EnvironmentRef, Resources
from tidemill.record.ports import Registry
from tidemill.spec.environment import Environment
from tidemill.spec.kinds import COMPONENTS, Kind
from tidemill.spec.load import Loaded, load_source
from tidemill.spec.project import EnvironmentMapping
from tidemill.spec.references import FileRef, UrlRef, parse_reference
from tidemill.spec.repository import Repository, scan
from tidemill.spec.source import parse_source


def body_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """A document without its version, so that content decides whether it is the same."""
    return {str(k): v for k, v in data.items() if k not in {"version", "$schema"}}


class RegisteredAsset(Protocol):
    """A row of the asset store, as far as resolving needs it."""

    @property
    def version(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


class AssetRows(Protocol):
    """What was registered with `tidemill data|component|environment create`."""

    def find(self, kind: str, name: str, version: str | None, label: str | None) -> RegisteredAsset | None: ...
    def names(self, kind: str) -> Sequence[str]: ...


class WorkspaceAssets:
    """An `AssetLookup` for one project."""

    def __init__(
        self,
        root: Path,
        project: Project | None,
        rows: AssetRows,
        registry: Callable[[], Registry],
        load_document: Callable[[Path], Loaded],
        registries: Callable[[str], WorkspaceAssets | None] = lambda _: None,
    ) -> None:
        self._root = root
        self._project = project or empty_project(root)
        self._rows = rows
        self._registry = registry
        self._load = load_document
        self._registries = registries

    @cached_property
    def repository(self) -> Repository:
        """Every named document of the repository; read when something is not mapped."""
        return scan(self._root)

    def find_data(self, name: str, version: str | None, label: str | None) -> DataRef | None:
        """A mapping of the project, a data document, or a registered asset."""
        mapped = self._mapped_data(name, version)
        if mapped is not None:
            return mapped
        row = self._rows.find("data", name, version, label)
        if row is not None:
            digest = None if "://" in row.path else row.digest or None
            return DataRef(row.path, row.type, digest, f"{name}:{row.version}")
        document = self.repository.find((Kind.DATA,), name, version)
        if document is None or document.document is None:
            return None
        ref = parse_reference(document.document.path)
        path = (
            str(ref.resolve(document.path.parent))
            if isinstance(ref, FileRef)
            else ref.url
            if isinstance(ref, UrlRef)
            else document.document.path
        )
        return DataRef(path, document.document.type, None, f"{name}:{document.document.version or '1'}")

    def _mapped_data(self, name: str, version: str | None) -> DataRef | None:
        data = self._project.document.data
        key = f"{name}:{version}"
        target = data.get(key, data.get(name))
        if target is None:
            return None
        if "://" in target:
            return DataRef(target, "uri_folder", None, key if version else name)
        path = (self._project.folder / target).absolute()
        return DataRef(str(path), "uri_file" if path.is_file() else "uri_folder", None, key if version else name)

    def find_component(self, name: str, version: str | None, label: str | None) -> Loaded | None:
        """A component of the repository, else a registered one."""
        found = self.repository.find(COMPONENTS, name, version)
        if found is not None:
            return found
        row = self._rows.find("component", name, version, label)
        return self._as_kept(row) if row is not None else None

    def _as_kept(self, row: RegisteredAsset) -> Loaded:
        """The document as it was registered: its file may have changed since, or was overridden by `--set`."""
        now = self._load(Path(row.path))
        if now.data is not None and body_of(now.data) == dict(row.body):
            return now
        return load_source(parse_source(Path(row.path), json.dumps({**row.body, "version": row.version})))

    def find_environment(self, name: str, version: str | None, label: str | None) -> EnvironmentRef | None:
        """How the project maps the environment, and its document if there is one."""
        mapping = self._mapping(name, version)
        document = self._environment_document(name, version, label)
        if mapping is None and document is None:
            return None
        found = document.document if document is not None else None
        folder = document.path.absolute().parent if document is not None else self._project.folder
        if mapping is not None and (mapping.conda_file or mapping.requirements or mapping.image):
            found, folder = _mapped_environment(mapping, found, folder, self._project.folder)
        return make_environment_ref(name, version, found, folder, mapping)

    def _environment_document(self, name: str, version: str | None, label: str | None) -> Loaded | None:
        found = self.repository.find((Kind.ENVIRONMENT,), name, version)
        if found is None:
            row = self._rows.find("environment", name, version, label)
            found = self._as_kept(row) if row is not None else None
        return found if found is not None and found.document is not None else None

    def _mapping(self, name: str, version: str | None) -> EnvironmentMapping | None:
        environments = self._project.document.environments
        return environments.get(f"{name}:{version}", environments.get(name))

    def find_model(self, name: str, version: str | None, label: str | None) -> DataRef | None:
        """A registered model's files."""
        try:
            found = self._registry().get(name, version or label or "latest")
        except NotFoundError:
            return None
        return DataRef(str(found.path), found.type, found.digest, f"{name}:{found.version}")

    def of_registry(self, name: str) -> WorkspaceAssets | None:
        """The assets of a registry that is kept here."""
        return self._registries(name)

    def reserve(self, compute: str | None) -> Resources:
        """As the project maps the compute."""
        mapping = self._project.document.compute.get(compute or "")
        if mapping is None:
            return Resources()
        return Resources(cpus=mapping.cpus or 1.0, gpus=float(mapping.gpus or 0), memory=mapping.memory or "")

    def known(self, kind: str) -> list[str]:
        """What there is of a kind, for suggestions."""
        by_kind: dict[str, tuple[Kind, ...]] = {
            "data": (Kind.DATA,),
            "component": COMPONENTS,
            "environment": (Kind.ENVIRONMENT,),
            "model": (Kind.MODEL,),
        }
        document = self._project.document
        mapped: list[str] = {"data": list(document.data), "environment": list(document.environments)}.get(kind, [])
        return sorted({*self.repository.names(by_kind[kind]), *mapped, *self._rows.names(kind)})


def make_environment_ref(
    name: str | None, version: str | None, document: object, folder: Path, mapping: EnvironmentMapping | None
) -> EnvironmentRef:
    """The project's wish, else a venv when there is a package list to build it from, else the host."""
    has_packages = document is not None and (
        getattr(document, "conda_file", None) is not None or getattr(document, "build", None) is not None
    )
    kind = (
        _wished_kind(mapping, has_packages=has_packages) if mapping is not None else "venv" if has_packages else "host"
    )
    pins = mapping.pins if mapping is not None else "strict"
    label = f"{name}:{version}" if version else name or "inline"
    return EnvironmentRef(name, version, document, folder, kind, label, pins)


def _wished_kind(mapping: EnvironmentMapping, *, has_packages: bool) -> str:
    """What the mapping says; one that names an image and no packages means the image."""
    if "python" in mapping.model_fields_set:
        return mapping.python
    return "container" if mapping.image and not has_packages else "venv"


def _mapped_environment(
    mapping: EnvironmentMapping, document: object, folder: Path, project_folder: Path
) -> tuple[Environment, Path]:
    """The document that a mapping's own image and packages make, and the folder its paths are relative to.

    What the mapping does not say stays as the environment's document has it.
    """
    image = mapping.image or getattr(document, "image", None)
    if mapping.requirements:
        listed = {"dependencies": [{"pip": [f"-r {project_folder / mapping.requirements}"]}]}
        return Environment(image=image, conda_file=listed), project_folder
    if mapping.conda_file:
        return Environment(image=image, conda_file=mapping.conda_file), project_folder
    return Environment(image=image, conda_file=getattr(document, "conda_file", None)), folder
