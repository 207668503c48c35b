"""The keys of endpoints on a cluster: in a Secret made once, kept over versions and rollbacks, gone with the endpoint."""

from __future__ import annotations

import base64
import secrets
from http import HTTPStatus
from typing import Any

from lightkube import ApiError, Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Secret

from tidemill.backends.cluster import speaking_to_cluster
from tidemill.base.errors import NotFoundError, UsageError
from tidemill.release.keypair import SECONDARY, renewed
from tidemill.release.labels import ENDPOINT_LABEL, MANAGED, PRIMARY_KEY, RENEWED_ANNOTATION, SECONDARY_KEY, keys_name
from tidemill.release.workload import Workload

COOKIE = "tidemill-token"


class Keys:
    """The Secrets with keys in one cluster. Safe to repeat."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str], str] = {}

    def ensure(self, workload: Workload) -> None:
        """Make the endpoint's keys if there are none; one that somebody else made stays as it is."""
        if not workload.token_secret or self._get(workload.namespace, workload.token_secret) is not None:
            return
        labels = {**MANAGED, ENDPOINT_LABEL: workload.endpoint}
        about = ObjectMeta(name=workload.token_secret, namespace=workload.namespace, labels=labels)
        words = {PRIMARY_KEY: secrets.token_urlsafe(32), SECONDARY_KEY: secrets.token_urlsafe(32)}
        with speaking_to_cluster(f"making the Secret `{workload.token_secret}`"):
            try:
                self._client.create(Secret(metadata=about, stringData=words, type="Opaque"))
            except ApiError as exc:
                if exc.status.code == HTTPStatus.FORBIDDEN:
                    raise _not_allowed(workload.namespace, workload.token_secret) from exc
                if exc.status.code != HTTPStatus.CONFLICT:
                    raise

    def headers(self, workload: Workload) -> dict[str, str]:
        """What lets a request in. The API server keeps `Authorization` for itself, so that the key comes as the page's cookie does.

        It is the one that the last renewal left: pods know it before they have read the new one, and after.
        """
        if not workload.token_secret:
            return {}
        place = (workload.namespace, workload.token_secret)
        if place not in self._known:
            first, second = self.read(workload.namespace, workload.endpoint, workload.token_secret)
            self._known[place] = first if not second or self._is_second_new(*place) else second
        return {"cookie": f"{COOKIE}={self._known[place]}"}

    def read(self, namespace: str, endpoint: str, name: str = "") -> tuple[str, str]:
        """Both keys, the second empty where a Secret made by hand has one; `NotFoundError` where there are none."""
        chosen = name or keys_name(endpoint)
        found = self._get(namespace, chosen)
        if found is None:
            raise NotFoundError(
                f"There is no Secret `{chosen}` in the namespace `{namespace}`", hint="tidemill up makes it."
            )
        words = {k: base64.b64decode(v).decode().strip() for k, v in (found.data or {}).items()}
        if not words.get(PRIMARY_KEY):
            raise UsageError(
                f"The Secret `{chosen}` has no `{PRIMARY_KEY}`",
                hint=f"It has: {', '.join(sorted(words)) or 'nothing'}.",
            )
        return words[PRIMARY_KEY], words.get(SECONDARY_KEY, "")

    def renew(self, namespace: str, endpoint: str, which: str) -> tuple[str, str]:
        """New keys, as `release.keypair` says; pods read them anew within about a minute."""
        keys = renewed(*self.read(namespace, endpoint), which)
        change = {
            "stringData": dict(zip((PRIMARY_KEY, SECONDARY_KEY), keys, strict=True)),
            "metadata": {"annotations": {RENEWED_ANNOTATION: which}},
        }
        with speaking_to_cluster(f"changing the Secret `{keys_name(endpoint)}`"):
            self._client.patch(Secret, keys_name(endpoint), change, namespace=namespace)
        self._known.clear()
        return keys

    def _is_second_new(self, namespace: str, name: str) -> bool:
        found = self._get(namespace, name)
        about = found.metadata.annotations if found is not None and found.metadata is not None else None
        return (about or {}).get(RENEWED_ANNOTATION) == SECONDARY

    def _get(self, namespace: str, name: str) -> Any:  # noqa: ANN401 - the client's model has optional everything
        with speaking_to_cluster(f"reading the Secret `{name}`"):
            try:
                return self._client.get(Secret, name, namespace=namespace)
            except ApiError as exc:
                if exc.status.code == HTTPStatus.FORBIDDEN:
                    raise _not_allowed(namespace, name) from exc
                if exc.status.code != HTTPStatus.NOT_FOUND:
                    raise
                return None


def _not_allowed(namespace: str, name: str) -> UsageError:
    return UsageError(
        f"This account may not read or make the Secret `{name}` in `{namespace}`, which holds the endpoint's keys",
        hint="An administrator applies `tidemill render --rbac`; or the stage says `auth: none`.",
    )
