"""Namespaces that a preview lives and dies with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from lightkube import ApiError, Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace

from tidemill.base.clock import Clock
from tidemill.base.errors import ConflictError, FailedError
from tidemill.release.labels import MANAGED, RESTRICTED_PODS

# Another field manager than the deployments': applying those must not take the preview's labels away.
FIELD_MANAGER = "tidemill-preview"
POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class NamespaceState:
    """One namespace as the cluster has it."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ending: bool


class Namespaces:
    """The namespaces of a cluster that carry a label of ours."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def mark(self, name: str, labels: Mapping[str, str], annotations: Mapping[str, str], *, owner: str) -> None:
        """Make the namespace, or mark it again; `ConflictError` when it is there without the label `owner`."""
        found = self._get(name)
        if found is not None and owner not in found.labels:
            raise ConflictError(
                f"The namespace `{name}` exists and is not a preview's", hint="Choose another ID, or delete it by hand."
            )
        wanted = Namespace(
            metadata=ObjectMeta(
                name=name, labels={**MANAGED, **RESTRICTED_PODS, **labels}, annotations=dict(annotations)
            )
        )
        self._client.apply(wanted, field_manager=FIELD_MANAGER, force=True)

    def find(self, label: str, value: str) -> list[NamespaceState]:
        """Namespaces with that label, by name."""
        found = self._client.list(Namespace, labels={label: value})
        return sorted((_state(n) for n in found), key=lambda s: s.name)

    def drop(self, name: str, *, timeout_s: float) -> None:
        """Delete it and wait until nothing of it is left."""
        deadline = self._clock.monotonic() + timeout_s
        try:
            self._client.delete(Namespace, name)
        except ApiError as exc:
            if exc.status.code != HTTPStatus.NOT_FOUND:
                raise
        while self._get(name) is not None:
            if self._clock.monotonic() > deadline:
                raise FailedError(
                    f"The namespace `{name}` is still ending after {timeout_s:g} s",
                    hint=f"Look at: kubectl get namespace {name} -o yaml",
                )
            self._clock.sleep(POLL_S)

    def _get(self, name: str) -> NamespaceState | None:
        try:
            return _state(self._client.get(Namespace, name))
        except ApiError as exc:
            if exc.status.code == HTTPStatus.NOT_FOUND:
                return None
            raise


def _state(found: Namespace) -> NamespaceState:
    meta = found.metadata or ObjectMeta()
    return NamespaceState(
        meta.name or "", meta.labels or {}, meta.annotations or {}, ending=meta.deletionTimestamp is not None
    )
