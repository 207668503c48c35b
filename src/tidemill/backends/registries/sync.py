"""Model versions from one MLflow server to another: bytes, metrics, tags, aliases and where they came from.

A copy says in tags of its own which version it is a copy of, and that its bytes were read back and compared. So a second
run copies nothing, and one that was killed is carried on with, whatever it left half done.
"""

# ruff: noqa: ANN401 - MLflow is imported late, and so are the types of its answers

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.backends.registries.mlflow import TAG, digest_model, open_registry, speaking_to_mlflow
from tidemill.base.errors import BackendError, ConflictError, NotFoundError
from tidemill.base.failpoint import failpoint
from tidemill.base.imports import import_late

ORIGIN = f"{TAG}sync.origin"
VERIFIED = f"{TAG}sync.verified"
SOURCE_RUN = f"{TAG}sync.run_id"
POLICIES = ("skip", "replace", "fail")
HISTORY = 1000  # values of one metric that MLflow takes at once


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of one version."""

    model: str
    version: str
    action: str
    digest: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """One end: its client and the address artifacts are fetched by."""

    client: Any
    uri: str

    def models(self, names: Sequence[str]) -> list[Any]:
        """Registered models, those named or all."""
        with speaking_to_mlflow(f"listing models of {self.uri}"):
            found = list(_pages(self.client.search_registered_models))
        missing = [n for n in names if n not in {m.name for m in found}]
        if missing:
            raise NotFoundError(f"There is no model `{missing[0]}` at {self.uri}")
        return [m for m in found if not names or m.name in names]

    def versions(self, name: str) -> list[Any]:
        """All versions of a model, oldest first."""
        with speaking_to_mlflow(f"listing versions of `{name}`"):
            found = list(_pages(self.client.search_model_versions, filter_string=f"name = '{name}'"))
        return sorted(found, key=lambda v: int(v.version))

    def fetch(self, version: Any, folder: Path) -> Path:
        """The files of a version below `folder`."""
        download_artifacts = import_late("mlflow.artifacts").download_artifacts
        with speaking_to_mlflow(f"downloading `{version.name}:{version.version}` of {self.uri}"):
            uri = self.client.get_model_version_download_uri(version.name, version.version)
            return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self.uri))


class ModelSync:
    """Copies from `source` to `target`; safe to call again."""

    def __init__(self, source: Server, target: Server, policy: str, say: Callable[[str], None]) -> None:
        self._source = source
        self._target = target
        self._policy = policy
        self._say = say

    def run(self, names: Sequence[str], *, dry_run: bool) -> list[Synced]:
        """Every version of the models named, or of all. With policy `fail` a conflict stops it before anything is written."""
        models = self._source.models(names)
        pairs = [(m, v) for m in models for v in self._source.versions(m.name)]
        there = {m.name: self._there(m.name) for m in models}
        if self._policy == "fail":
            self._refuse_conflicts(pairs, there)
        done = [self._one(v, there[m.name], dry_run=dry_run) for m, v in pairs]
        if not dry_run:
            for model in models:
                done += self._aliases(model)
        return done

    def _there(self, name: str) -> list[Any]:
        known = {m.name for m in self._target.models(())}
        return self._target.versions(name) if name in known else []

    def _refuse_conflicts(self, pairs: Sequence[tuple[Any, Any]], there: dict[str, list[Any]]) -> None:
        clashes = [v for m, v in pairs if self._state(v, there[m.name])[0] == "conflict"]
        if clashes:
            names = ", ".join(f"{v.name}:{v.version}" for v in clashes)
            raise ConflictError(
                f"{self._target.uri} has other bytes under: {names}",
                hint="Nothing was copied. Choose: --policy skip, or --policy replace.",
            )

    def _one(self, version: Any, there: list[Any], *, dry_run: bool) -> Synced:
        state, found = self._state(version, there)
        name, number = version.name, _shown(version)
        if state == "same":
            if not dry_run:
                self._copy_tags(version, found)
            return Synced(name, number, "up to date", found.tags.get(VERIFIED, ""))
        if state == "conflict" and self._policy == "skip":
            return Synced(name, number, "skipped", note="the target has other bytes under this version")
        action = {"conflict": "replaced", "half": "finished"}.get(state, "copied")
        if dry_run:
            return Synced(name, number, f"would be {action}")
        self._say(f"{name}:{number}: copying")
        return Synced(name, number, action, self._copy(version, found))

    def _state(self, version: Any, there: Sequence[Any]) -> tuple[str, Any]:
        """`new`, `same`, `half` (a copy that was never verified) or `conflict`, and the version over there."""
        ours = next((t for t in there if t.tags.get(ORIGIN) == _origin(version)), None)
        if ours is not None:
            return ("same" if ours.tags.get(VERIFIED) else "half"), ours
        taken = next((t for t in there if _shown(t) == _shown(version)), None)
        if taken is None:
            return "new", None
        digests = [
            _noted(side) or self._digest(end, side) for end, side in ((self._source, version), (self._target, taken))
        ]
        if digests[0] != digests[1]:
            return "conflict", taken
        self._mark(taken, _origin(version), digests[1])
        return "same", taken

    def _digest(self, server: Server, version: Any) -> str:
        with tempfile.TemporaryDirectory(prefix="tidemill-sync-") as folder:
            return digest_model(server.fetch(version, Path(folder)))

    def _mark(self, version: Any, origin: str, digest: str) -> None:
        """Remember a version that was there already and is the same; its tags in hand follow."""
        version.tags.update({ORIGIN: origin, VERIFIED: digest})

    def _copy(self, version: Any, instead: Any) -> str:
        """Bytes there, a version over them, read back; its digest. What stood `instead` goes only when the bytes are here."""
        with tempfile.TemporaryDirectory(prefix="tidemill-sync-") as folder:
            path = self._source.fetch(version, Path(folder, "from"))
            digest = digest_model(path)
            if _noted(version) not in {"", digest}:
                raise BackendError(
                    f"`{version.name}:{version.version}` of {self._source.uri} is not what was registered: {digest[:12]}, noted {_noted(version)[:12]}",
                    hint="It may have been tampered with; it is not copied.",
                )
            if instead is not None:
                with speaking_to_mlflow(f"replacing `{version.name}:{instead.version}`"):
                    self._target.client.delete_model_version(version.name, instead.version)
            made = self._create(version, path)
            failpoint("sync-copied")
            back = digest_model(self._target.fetch(made, Path(folder, "back")))
            if back != digest:
                raise BackendError(
                    f"`{version.name}:{made.version}` arrived at {self._target.uri} with other bytes ({back[:12]}, sent {digest[:12]})",
                    hint="Run it again: the version is copied anew.",
                )
            with speaking_to_mlflow("noting that the copy is good"):
                self._target.client.set_model_version_tag(version.name, made.version, VERIFIED, digest)
            return digest

    def _create(self, version: Any, path: Path) -> Any:
        client = self._target.client
        with speaking_to_mlflow(f"writing `{version.name}` to {self._target.uri}"):
            if version.name not in {m.name for m in _pages(client.search_registered_models)}:
                about = self._source.client.get_registered_model(version.name)
                client.create_registered_model(version.name, dict(about.tags or {}), about.description or None)
            run = self._run_for(version)
            (client.log_artifacts if path.is_dir() else client.log_artifact)(
                run.info.run_id, str(path), f"model/{path.name}" if path.is_dir() else "model"
            )
            failpoint("sync-uploaded")
            client.set_terminated(run.info.run_id)
            tags = {**dict(version.tags or {}), ORIGIN: _origin(version), f"{TAG}version": _shown(version)}
            tags |= {SOURCE_RUN: version.run_id} if version.run_id else {}
            return client.create_model_version(
                version.name,
                f"{run.info.artifact_uri}/model/{path.name}",
                run_id=run.info.run_id,
                tags={k: v for k, v in tags.items() if k != VERIFIED},
                description=version.description or None,
                await_creation_for=0,
            )

    def _run_for(self, version: Any) -> Any:
        """A run over there with the metrics, parameters and tags of the run that made the version."""
        client, experiment = self._target.client, open_registry(Path(), self._target.uri).experiment()
        for left in client.search_runs(
            [experiment], f"tags.`{ORIGIN}` = '{_origin(version)}' and attributes.status = 'RUNNING'"
        ):
            client.delete_run(left.info.run_id)  # a copy that was killed had begun it
        source = self._source_run(version)
        tags = {k: v for k, v in (source.data.tags if source else {}).items() if not k.startswith("mlflow.")}
        tags |= {ORIGIN: _origin(version), SOURCE_RUN: version.run_id or ""}
        name = source.info.run_name if source else f"{version.name} {version.version}"
        run = client.create_run(experiment, run_name=name, tags=tags)
        if source is not None:
            param = import_late("mlflow.entities").Param
            client.log_batch(run.info.run_id, params=[param(k, v) for k, v in source.data.params.items()])
            for key in source.data.metrics:
                values = self._source.client.get_metric_history(version.run_id, key)[-HISTORY:]
                client.log_batch(run.info.run_id, metrics=values)
        return run

    def _source_run(self, version: Any) -> Any:
        """The run that made the version; None when it is gone: then the copy has no more lineage than the original."""
        if not version.run_id:
            return None
        refused = import_late("mlflow.exceptions").MlflowException
        try:
            return self._source.client.get_run(version.run_id)
        except refused as exc:
            if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _copy_tags(self, version: Any, copy: Any) -> None:
        """Tags that came to the source later; none is taken away."""
        wanted = {k: v for k, v in dict(version.tags or {}).items() if not k.startswith(f"{TAG}sync.")}
        wanted |= {ORIGIN: _origin(version), VERIFIED: copy.tags[VERIFIED]}
        with speaking_to_mlflow(f"tagging `{version.name}:{copy.version}`"):
            there = self._target.client.get_model_version(version.name, copy.version).tags
            for key, value in wanted.items():
                if there.get(key) != value:
                    self._target.client.set_model_version_tag(version.name, copy.version, key, value)

    def _aliases(self, model: Any) -> list[Synced]:
        """Pointers as in the source; with policy `skip`, one that points at a version of the target's own stays."""
        copies = {t.tags.get(ORIGIN): t.version for t in self._there(model.name)}
        own = {t.version for t in self._there(model.name) if ORIGIN not in t.tags}
        with speaking_to_mlflow(f"reading aliases of `{model.name}`"):
            now = dict(self._target.client.get_registered_model(model.name).aliases) if copies else {}
        done = []
        origins = {v.version: _origin(v) for v in self._source.versions(model.name)}
        for alias, number in dict(model.aliases).items():
            wanted = copies.get(origins.get(str(number), ""))
            if wanted is None or str(now.get(alias)) == wanted:
                continue
            if self._policy == "skip" and str(now.get(alias, "")) in own:
                done.append(
                    Synced(model.name, f"@{alias}", "skipped", note="it points at a version of the target's own")
                )
                continue
            with speaking_to_mlflow(f"moving the alias `{alias}`"):
                self._target.client.set_registered_model_alias(model.name, alias, wanted)
            done.append(Synced(model.name, f"@{alias}", f"points at {wanted}"))
        return done


def _origin(version: Any) -> str:
    """What tells a version from every other of its server, even after one was deleted and its number given again."""
    return f"{version.name}/{version.version}/{version.creation_timestamp}"


def _shown(version: Any) -> str:
    """The number people know it by."""
    return str((version.tags or {}).get(f"{TAG}version", version.version))


def _noted(version: Any) -> str:
    return str((version.tags or {}).get(f"{TAG}digest", ""))


def _pages(search: Any, **how: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(max_results=1000, page_token=token, **how)
        yield from page
        token = page.token
        if not token:
            return


def open_sync(home: Path, source: str, target: str, policy: str, say: Callable[[str], None]) -> ModelSync:
    """Between two tracking URIs; an empty one is the workspace's own registry."""
    ends = [open_registry(home, uri) for uri in (source, target)]
    servers = [Server(r.client(), r.tracking_uri) for r in ends]
    return ModelSync(servers[0], servers[1], policy, say)
