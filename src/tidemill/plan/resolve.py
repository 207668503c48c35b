"""References become things: components, environments, code, data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidemill.base.files import is_folder, is_plain_file, is_there
from tidemill.base.suggest import did_you_mean, is_slip
from tidemill.plan.graph import MODEL_TYPES, DataRef, EnvironmentRef, Resources
from tidemill.plan.ports import AssetLookup
from tidemill.plan.problems import Problems
from tidemill.plan.scope import Place
from tidemill.spec.environment import Environment
from tidemill.spec.kinds import COMPONENTS, Kind
from tidemill.spec.load import Loaded, load
from tidemill.spec.references import AssetRef, ExpressionRef, FileRef, UrlRef, is_register_model, parse_reference

REGISTER_MODEL = "register_model"
ReadDocument = Callable[[Path], Loaded | None]


def read_document(path: Path) -> Loaded | None:
    """A document by its file; None if there is none."""
    return load(path) if is_plain_file(path) else None


class Resolver:
    """Looks things up once, however many steps name them, and notes what cannot be found."""

    def __init__(self, assets: AssetLookup, problems: Problems, read: ReadDocument = read_document) -> None:
        self._assets = assets
        self._read = read
        self._problems = problems
        self._files: dict[Path, Loaded | None] = {}
        self._components: dict[tuple[Path, str], Loaded | str | None] = {}
        self._environments: dict[tuple[Path, str], EnvironmentRef] = {}
        self._data: dict[tuple[Path, str, str], DataRef | None] = {}
        self._code: dict[tuple[Path, str], Path | None] = {}

    def reserve(self, compute: str | None) -> Resources:
        """What a step on that compute reserves by default."""
        return self._assets.reserve(compute)

    def component(self, text: str, place: Place) -> Loaded | str | None:
        """The document of a component; `register_model` for the built-in; None if it was not found (and noted)."""
        key = (place.folder, text)
        if key not in self._components:
            self._components[key] = self._find_component(text, place)
        return self._components[key]

    def _lookups(self, ref: AssetRef) -> list[AssetLookup]:
        """Where to look: the registry it names, if that is kept here, then this workspace, which may stand for it."""
        shared = self._assets.of_registry(ref.registry) if ref.registry else None
        return [shared, self._assets] if shared is not None else [self._assets]

    def _find_component(self, text: str, place: Place) -> Loaded | str | None:
        ref = parse_reference(text)
        if is_register_model(ref):
            return REGISTER_MODEL
        match ref:
            case FileRef():
                return self._component_file(_absolute(ref, place), place)
            case AssetRef():
                places = self._lookups(ref)
                found = next((c for a in places if (c := a.find_component(ref.name, ref.version, ref.label))), None)
                if found is None:
                    known = self._assets.known("component")
                    self._problems.error(
                        "TM-R107",
                        f"There is no component `{ref}`" + (f" of registry {ref.registry}" if ref.registry else ""),
                        place.at("component"),
                        hint=did_you_mean(str(ref), known) or "Create it: tidemill component create -f FILE",
                        path=place.dotted("component"),
                    )
                return self._usable(found, place) if found else None
            case _:
                self._problems.error("TM-R104", f"`{text}` names no component", place.at("component"))
                return None

    def _component_file(self, path: Path, place: Place) -> Loaded | None:
        if path not in self._files:
            self._files[path] = self._read(path)
        found = self._files[path]
        if found is None:
            near = sorted(p.name for p in path.parent.glob("*.y*ml")) if is_folder(path.parent) else []
            self._problems.error(
                "TM-R101",
                f"The component file `{path}` is not there",
                place.at("component"),
                hint=did_you_mean(path.name, near) or "The path is relative to the file that names it.",
                path=place.dotted("component"),
            )
            return None
        return self._usable(found, place)

    def _usable(self, found: Loaded, place: Place) -> Loaded | None:
        self._problems.extend([f for f in found.findings if f.at.file])
        if found.kind not in COMPONENTS and found.kind not in {Kind.COMMAND_JOB, Kind.PIPELINE_JOB}:
            self._problems.error("TM-R103", f"`{found.path}` is not a component", place.at("component"))
            return None
        return found if found.valid else None

    def environment(self, value: str | Environment | None, place: Place) -> EnvironmentRef:
        """What a step runs in; one that names only an image, or that is not known here, runs on the host."""
        if value is None:
            return EnvironmentRef(None, None, None, place.folder, "host", "host")
        if isinstance(value, Environment):
            return environment_of(value, place.folder, value.name or "inline")
        key = (place.folder, value)
        if key not in self._environments:
            self._environments[key] = self._find_environment(value, place)
        return self._environments[key]

    def _find_environment(self, text: str, place: Place) -> EnvironmentRef:
        ref = parse_reference(text)
        if isinstance(ref, FileRef):
            path = _absolute(ref, place)
            found = self._read(path)
            if found is not None and isinstance(found.document, Environment):
                return environment_of(found.document, path.parent, found.document.name or path.stem)
            self._problems.error(
                "TM-R101", f"The environment file `{path}` cannot be used", place.at("environment"), path=place.dotted()
            )
            return EnvironmentRef(text, None, None, place.folder, "host", text)
        if isinstance(ref, AssetRef):
            places = self._lookups(ref)
            known = next((e for a in places if (e := a.find_environment(ref.name, ref.version, ref.label))), None)
            if known is not None:
                return known
            label = f"{ref.registry}/{ref}" if ref.registry else str(ref)
            names = {name.partition(":")[0] for name in self._assets.known("environment")}
            near = [] if ref.registry else sorted(n for n in names if is_slip(ref.name, n))
            self._problems.warn(
                "TM-E101",
                f"Environment `{label}` has no package list here: its steps run in this Python",
                place.at("environment"),
                hint=f"Did you mean `{near[0]}`?"
                if near
                else f"Map it in tidemill.yaml (`environments: {{{ref.name}: {{conda_file: …}}}}`) to build it.",
            )
            return EnvironmentRef(ref.name, ref.version or ref.label, None, place.folder, "host", label)
        return EnvironmentRef(text, None, None, place.folder, "host", text)

    def code(self, text: str | None, place: Place) -> Path | None:
        """The folder or file of a code snapshot."""
        if text is None:
            return None
        key = (place.folder, text)
        if key not in self._code:
            self._code[key] = self._find_code(text, place)
        return self._code[key]

    def _find_code(self, text: str, place: Place) -> Path | None:
        ref = parse_reference(text)
        if not isinstance(ref, FileRef):
            self._problems.error(
                "TM-R104", f"Code `{text}` is not on this machine", place.at("code"), hint="Use a local folder."
            )
            return None
        path = _absolute(ref, place)
        if not is_there(path):
            self._problems.error(
                "TM-R101",
                f"The code `{text}` is not there",
                place.at("code"),
                hint="The path is relative to the file that names it.",
                path=place.dotted("code"),
            )
            return None
        return path

    def data(self, text: str, kind: str, place: Place) -> DataRef | None:
        """Where data is; an asset that is neither mapped nor registered is noted with the command that maps it."""
        key = (place.folder, text, kind)
        if key not in self._data:
            self._data[key] = self._find_data(text, kind, place)
        return self._data[key]

    def _find_data(self, text: str, kind: str, place: Place) -> DataRef | None:
        ref = parse_reference(text)
        match ref:
            case FileRef():
                path = _absolute(ref, place)
                if not is_there(path):
                    self._problems.missing(
                        f"The data `{text}` is not there",
                        place.at("path"),
                        hint=f"Looked for {path}. The path is relative to the file that names it.",
                        path=place.dotted("path"),
                    )
                    return None
                return DataRef(str(path), kind)
            case UrlRef():
                return DataRef(ref.url, kind)
            case AssetRef():
                return self._find_asset(ref, kind, place)
            case ExpressionRef():
                return None

    def _find_asset(self, ref: AssetRef, kind: str, place: Place) -> DataRef | None:
        finds = [a.find_model if kind in MODEL_TYPES else a.find_data for a in self._lookups(ref)]
        found = next((d for find in finds if (d := find(ref.name, ref.version, ref.label))), None)
        if found is None:
            which = "model" if kind in MODEL_TYPES else "data"
            version = f" --version {ref.version}" if ref.version else ""
            closest = did_you_mean(str(ref), self._assets.known(which)).removeprefix("Known:")
            suggestion = f". {closest}" if closest.startswith("Did") else ""
            self._problems.error(
                "TM-R106",
                f"There is no {which} asset `azureml:{ref}` here",
                place.at("path"),
                hint=f"Map it: tidemill {which} create --name {ref.name}{version} --path PATH{suggestion}",
                path=place.dotted("path"),
            )
            return None
        if found.is_local and not is_there(Path(found.uri)):
            self._problems.missing(
                f"The files of data asset `azureml:{ref}` are not there",
                place.at("path"),
                hint=f"Looked for {found.uri}. Put them there, or map the asset elsewhere in tidemill.yaml (`data: {{{ref.name}: PATH}}`).",
                path=place.dotted("path"),
            )
            return None
        return DataRef(found.uri, kind if kind not in {"", "uri_folder"} else found.type, found.digest, found.asset)


def _absolute(ref: FileRef, place: Place) -> Path:
    """The file meant, without `..`, so that the same file is known by one name."""
    return Path(os.path.normpath(ref.resolve(place.folder)))


def environment_of(document: Any, folder: Path, label: str) -> EnvironmentRef:  # noqa: ANN401 - an Environment
    """An environment by its document: a venv if it lists packages, else the host."""
    kind = "venv" if document.conda_file is not None or document.build is not None else "host"
    return EnvironmentRef(document.name, document.version, document, folder, kind, label)
