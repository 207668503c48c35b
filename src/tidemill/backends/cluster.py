"""How every back end reaches a Kubernetes cluster, and speaks of its refusals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx2 as httpx
from lightkube import ApiError, KubeConfig
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.exceptions import ConfigError

from tidemill.base.errors import BackendError, UsageError

FIELD_MANAGER = "tidemill"


def find_cluster(context: str = "") -> SingleConfig:
    """The cluster of a kubeconfig context, or of the current one; `UsageError` when there is none."""
    try:
        config = KubeConfig.from_env()
        chosen = config.get(context_name=context or None)
    except (ConfigError, OSError) as exc:
        where = os.environ.get("KUBECONFIG", "~/.kube/config")
        raise UsageError(
            f"No usable cluster in {where}: {exc}",
            hint="Set KUBECONFIG, or `context:` of the stage or compute in tidemill.yaml.",
        ) from exc
    if chosen is None:
        raise UsageError(f"No context `{context}` in the kubeconfig", hint=f"Known: {', '.join(config.contexts)}")
    return chosen


@contextmanager
def speaking_to_cluster(what: str) -> Iterator[None]:
    """Turn client errors into ours, keeping the original as the cause."""
    try:
        yield
    except ApiError as exc:
        code = exc.status.code
        hint = "Check the role of the account in your kubeconfig." if code == HTTPStatus.FORBIDDEN else ""
        raise BackendError(f"The cluster refused {what}: HTTP {code}: {exc.status.message}", hint=hint) from exc
    except httpx.HTTPError as exc:
        raise BackendError(
            f"The cluster did not answer ({what}): {exc}", hint="Check KUBECONFIG and that the cluster runs."
        ) from exc
