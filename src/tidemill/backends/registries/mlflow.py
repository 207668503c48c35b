"""MLflow's model registry: embedded (SQLite and a folder) by default, a server by `MLFLOW_TRACKING_URI`."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse, urlsplit
from urllib.request import getproxies, proxy_bypass

from tidemill.backends.registries.mlflow_files import find_unused
from tidemill.backends.registries.mlflow_runs import download_of_run
from tidemill.backends.registries.mlflow_tables import as_tags, read_versions
from tidemill.base.clock import iso
from tidemill.base.errors import BackendError, ConflictError, NotFoundError
from tidemill.base.files import locked, write_atomic
from tidemill.base.hashing import digest_file, digest_tree, hash_folder
from tidemill.base.imports import import_late
from tidemill.base.suggest import did_you_mean
from tidemill.record.ports import ModelRequest, ModelVersion

TAG = "tidemill."
EXPERIMENT = "tidemill-models"
LATEST = "latest"
NO_MODELS = "No model is registered here yet: tidemill up, or tidemill model create --name NAME --path PATH"
CONNECT_S = 10.0
# what MLflow would print is not what the command was asked for
QUIET = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@contextmanager
def speaking_to_mlflow(what: str) -> Iterator[None]:
    """Turn MLflow's errors into ours, keeping the original as the cause."""
    refused = import_late("mlflow.exceptions").MlflowException
    try:
        yield
    except refused as exc:
        raise BackendError(
            f"MLflow refused {what}: {exc}",
            hint="Check the tracking URI (MLFLOW_TRACKING_URI, or SRC and DST) and that the server runs.",
        ) from exc


def require_answer(uri: str) -> None:
    """`BackendError` at once where nobody listens at a server's address: MLflow would try again for minutes."""
    parts = urlsplit(uri)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or (parts.scheme in getproxies() and not proxy_bypass(host)):
        return
    try:
        socket.create_connection((host, parts.port or (443 if parts.scheme == "https" else 80)), CONNECT_S).close()
    except OSError as exc:
        raise BackendError(
            f"The MLflow server {hide_login(uri)} does not answer: {exc}", hint="Check its address and that it runs."
        ) from exc


def hide_login(uri: str) -> str:
    """An address without the password it may hold."""
    parts = urlsplit(uri)
    return uri.replace(f":{parts.password}@", ":…@") if parts.password else uri


class MlflowRegistry:
    """A `Registry`. The embedded one is read from its tables, so that only who writes pays for importing MLflow."""

    def __init__(self, home: Path, tracking_uri: str = "") -> None:
        self._home = home
        self._folder = home / "mlflow"
        self._database = self._folder / "mlflow.db"
        self._server = tracking_uri

    @property
    def tracking_uri(self) -> str:
        """What steps are given as MLFLOW_TRACKING_URI."""
        return self._server or f"sqlite:///{self._database}"

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - the SDK is imported late
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        make = import_late("mlflow.tracking").MlflowClient
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # which tells of every table it makes
        self._folder.mkdir(parents=True, exist_ok=True)
        # two processes that create the tables at once break each other
        with locked(self._folder / "create.lock"):
            if not self._server and not self._database.exists():
                self._take_template()
            require_answer(self._server)
            with speaking_to_mlflow(f"opening the registry {hide_login(self._server) or 'of this workspace'}"):
                client = make(self.tracking_uri, self.tracking_uri)
                client.search_registered_models(max_results=1)
        return client

    def _take_template(self) -> None:
        """An empty database that a step's first use of MLflow kept on this machine: creating the tables takes a second."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        template = cache / "tidemill" / f"mlflow-{metadata.version('mlflow')}.db"
        if template.exists():
            write_atomic(self._database, template.read_bytes())

    def register(self, request: ModelRequest) -> ModelVersion:
        """Keep the bytes and make a version; the same job and step asking again gets the one made before."""
        digest = digest_model(request.path)
        request = _with_origin(request)
        with locked(self._folder / "register.lock"):
            known = [v for v in self.list(request.name, archived=True) if v.digest == digest]
            same = [
                v
                for v in known
                if (v.job, v.step) == (request.job, request.step) and request.version in {None, v.version}
            ]
            if same:
                return same[0]
            if request.version is not None:
                taken = self._find(request.name, request.version)
                if taken is not None and taken.digest == digest:
                    return taken
                if taken is not None:
                    raise ConflictError(
                        f"Model `{request.name}:{request.version}` exists with other bytes",
                        hint="A version never changes; use another number, or none.",
                    )
            return self._create(request, digest)

    def _create(self, request: ModelRequest, digest: str) -> ModelVersion:
        client = self._client
        with speaking_to_mlflow(f"registering `{request.name}`"):
            if not client.search_registered_models(filter_string=f"name = '{request.name}'"):
                client.create_registered_model(request.name)
            run = client.create_run(self.experiment(), run_name=f"{request.name} {request.job or ''}".strip())
            source = self._keep(request.path, digest, run)
            for name, value in request.metrics.items():
                client.log_metric(run.info.run_id, name, value)
            client.set_terminated(run.info.run_id)
            made = client.create_model_version(
                request.name,
                source,
                run_id=run.info.run_id,
                tags=_tags(request, digest),
                description=request.description or None,
                await_creation_for=0,
            )
        return self.get(request.name, request.version or str(made.version))

    def _keep(self, path: Path, digest: str, run: Any) -> str:  # noqa: ANN401
        """Copy (or link) the model where the registry keeps it; its URI."""
        if self._server:
            if path.is_dir():
                self._client.log_artifacts(run.info.run_id, str(path), f"model/{path.name}")
                return f"{run.info.artifact_uri}/model/{path.name}"
            self._client.log_artifact(run.info.run_id, str(path), "model")
            return f"{run.info.artifact_uri}/model/{path.name}"
        target = self._folder / "models" / digest / path.name
        if not target.exists():
            part = target.with_name(f".{path.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.parent.mkdir(parents=True, exist_ok=True)
            _link_tree(path, part)
            part.replace(target)
        return target.as_uri()

    @contextmanager
    def unused_files(self, jobs: Collection[str]) -> Iterator[Sequence[Path]]:
        """Files of no version, and those that runs of `jobs` logged; nothing is registered while the body runs."""
        if self._server or not self._database.exists():
            yield ()
            return
        with locked(self._folder / "register.lock"):
            yield find_unused(self._folder, jobs)

    def client(self) -> Any:  # noqa: ANN401 - the SDK's
        """MLflow's own client, for what a `Registry` does not know."""
        return self._client

    def experiment(self) -> str:
        """Where the runs stand that hold models."""
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        artifacts = None if self._server else (self._folder / "artifacts").as_uri()
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts))

    def list(self, name: str | None = None, *, archived: bool = False) -> tuple[ModelVersion, ...]:
        """Versions, most recently created first."""
        found = [v for v in self._all() if (name is None or v.name == name) and (archived or not v.archived)]
        return tuple(sorted(found, key=lambda v: (v.created_at, _number(v.version)), reverse=True))

    def get(self, name: str, version: str) -> ModelVersion:
        """One version by number or label; its files are local afterwards."""
        found = self._find(name, version)
        if found is None:
            versions = [f"{v.name}:{v.version}" for v in self.list()]
            raise NotFoundError(
                f"No model `{name}:{version}` is registered here",
                hint=did_you_mean(f"{name}:{version}", versions) or NO_MODELS,
            )
        path = self._fetch(found)
        return replace(found, path=path, digest=found.digest or digest_model(path))

    def _find(self, name: str, version: str) -> ModelVersion | None:
        versions = self.list(name, archived=True)
        if version == LATEST:
            return next((v for v in versions if not v.archived), None)
        return next((v for v in versions if v.version == version), None) or next(
            (v for v in versions if version in v.labels), None
        )

    def set_label(self, name: str, label: str, version: str) -> None:
        """Let `label` point at `version`, and at no other."""
        number = self._find(name, version)
        with speaking_to_mlflow(f"labelling `{name}:{version}`"):
            self._client.set_registered_model_alias(name, label, self._mlflow_version(number, name, version))

    def archive(self, name: str, version: str, *, archived: bool = True) -> None:
        """Hide a version from lists, or bring it back."""
        self.set_tags(name, version, {f"{TAG}archived": str(archived).lower()})

    def set_tags(self, name: str, version: str, tags: dict[str, str]) -> None:
        """Add or replace free-text tags of a version."""
        number = self._mlflow_version(self._find(name, version), name, version)
        with speaking_to_mlflow(f"tagging `{name}:{version}`"):
            for key, value in tags.items():
                self._client.set_model_version_tag(name, number, key, value)

    def describe(self, name: str, version: str, description: str, dropped_tags: Sequence[str] = ()) -> None:
        """Replace the description of a version, and drop tags."""
        number = self._mlflow_version(self._find(name, version), name, version)
        with speaking_to_mlflow(f"describing `{name}:{version}`"):
            self._client.update_model_version(name, number, description)
            for key in dropped_tags:
                self._client.delete_model_version_tag(name, number, key)

    def delete(self, name: str, version: str) -> None:
        """Forget a version; MLflow does not give its number again."""
        number = self._mlflow_version(self._find(name, version), name, version)
        with speaking_to_mlflow(f"deleting `{name}:{version}`"):
            self._client.delete_model_version(name, number)

    def download(self, uri: str, folder: Path) -> Path:
        """Files of a run, brought below `folder`; `NotFoundError` when the run has none there."""
        with speaking_to_mlflow(f"finding `{uri}`"):
            self._client.search_experiments(max_results=1)  # opens an embedded store the way it must be opened
        return download_of_run(uri, folder, self.tracking_uri)

    def _mlflow_version(self, found: ModelVersion | None, name: str, version: str) -> str:
        if found is None:
            raise NotFoundError(f"No model `{name}:{version}` is registered here")
        return found.properties.get("mlflow_version", found.version)

    def _fetch(self, version: ModelVersion) -> Path:
        """The files of a version on this machine, verified when they came over a network."""
        source = version.properties.get("source", "")
        if urlparse(source).scheme in {"", "file"}:
            return Path(unquote(urlparse(source).path))
        # the last part of the path is the model's own name: servers and scoring scripts go by it
        target = self._home / "models" / version.name / version.version / PurePosixPath(urlparse(source).path).name
        if not target.exists():
            part = target.parent.with_name(f".{version.version}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            download_artifacts = import_late("mlflow.artifacts").download_artifacts
            with speaking_to_mlflow(f"downloading `{version.name}:{version.version}`"):
                got = Path(download_artifacts(artifact_uri=source, dst_path=str(part), tracking_uri=self.tracking_uri))
            if version.digest and digest_model(got) != version.digest:
                raise BackendError(
                    f"Model `{version.name}:{version.version}` came with other bytes than were registered",
                    hint="It may have been tampered with.",
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            got.replace(target)
            shutil.rmtree(part, ignore_errors=True)
        return target

    def _all(self) -> Sequence[ModelVersion]:
        if not self._server:
            rows = read_versions(self._database) if self._database.exists() else []
            if rows is not None:
                return [_version(row, row.aliases, as_tags(row)) for row in rows]
        with speaking_to_mlflow("listing models"):
            pointers = {m.name: dict(m.aliases) for m in _pages(self._client.search_registered_models)}
            found = list(_pages(self._client.search_model_versions))
        return [_version(v, _aliases_of(v, pointers.get(v.name, {})), dict(v.tags or {})) for v in found]


def digest_model(path: Path) -> str:
    """The digest of a model's file, or of its folder's files."""
    return digest_tree(hash_folder(path)) if path.is_dir() else digest_file(path)


def _link_tree(source: Path, target: Path) -> None:
    """Hard links where the file system allows (the content store is read-only), else copies."""
    if source.is_file():
        _link(source, target)
        return
    for folder, _, names in os.walk(source, followlinks=True):
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for name in names:
            _link(Path(folder, name), there / name)


def _link(source: Path, target: Path) -> None:
    real = source.resolve()
    read_only = not real.stat().st_mode & 0o222
    if read_only:
        try:
            target.hardlink_to(real)
        except OSError:
            shutil.copyfile(real, target)
    else:
        shutil.copyfile(real, target)


def _with_origin(request: ModelRequest) -> ModelRequest:
    """A step that registers by itself says in tags where it comes from, so that its retry gets the same version."""
    job, step = request.tags.get(f"{TAG}job"), request.tags.get(f"{TAG}step")
    return replace(request, job=request.job or job, step=request.step or step)


def _tags(request: ModelRequest, digest: str) -> dict[str, str]:
    tags = {
        f"{TAG}type": request.type,
        f"{TAG}digest": digest,
        f"{TAG}metrics": json.dumps(dict(request.metrics)),
        f"{TAG}properties": json.dumps(dict(request.properties)),
    }
    named = {"job": request.job, "step": request.step, "version": request.version}
    return {**tags, **{f"{TAG}{k}": v for k, v in named.items() if v}, **request.tags}


def _aliases_of(found: Any, pointers: Mapping[str, Any]) -> Sequence[str]:  # noqa: ANN401
    return sorted(a for a, v in pointers.items() if str(v) == str(found.version))


def _version(found: Any, aliases: Sequence[str], tags: dict[str, str]) -> ModelVersion:  # noqa: ANN401
    ours = {k.removeprefix(TAG): tags.pop(k) for k in list(tags) if k.startswith(TAG)}
    properties = {
        **json.loads(ours.get("properties", "{}")),
        "source": found.source,
        "mlflow_version": str(found.version),
    }
    created = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    return ModelVersion(
        name=found.name,
        version=ours.get("version", str(found.version)),
        type=ours.get("type", "mlflow_model"),
        path=Path(unquote(urlparse(found.source).path)),
        digest=ours.get("digest", ""),
        created_at=iso(created),
        description=found.description or "",
        job=ours.get("job"),
        step=ours.get("step"),
        metrics=json.loads(ours.get("metrics", "{}")),
        tags=tags,
        properties=properties,
        labels=tuple(aliases),
        archived=ours.get("archived") == "true",
    )


def _pages(search: Any) -> Iterator[Any]:  # noqa: ANN401
    token = None
    while True:
        page = search(max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _number(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (-1, version)


def open_registry(home: Path, tracking_uri: str = "") -> MlflowRegistry:
    """The registry of a workspace."""
    return MlflowRegistry(home, tracking_uri)
