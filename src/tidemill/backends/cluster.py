"""How every back end reaches a Kubernetes cluster, and speaks of its refusals."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx2 as httpx
from lightkube import ApiError, KubeConfig
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.decoders import decode_list
from lightkube.core.exceptions import ConfigError
from lightkube.models.meta_v1 import Status

from tidemill.base.errors import BackendError, UsageError

FIELD_MANAGER = "tidemill"
HOPELESS = frozenset(
    ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError")
)
"""Why a pod waits for what will not come by itself."""
HINTS: dict[int | None, str] = {
    HTTPStatus.UNAUTHORIZED: "The login in your kubeconfig is not taken, or not any more: renew it.",
    HTTPStatus.FORBIDDEN: "The account in your kubeconfig may not do this. An administrator makes one that may with: "
    "tidemill render --rbac --stage NAME | kubectl apply -f -",
}
_LEARNING = threading.Lock()


def find_cluster(context: str = "") -> SingleConfig:
    """The cluster of a kubeconfig context, or of the current one; `UsageError` when there is none."""
    try:
        config = KubeConfig.from_env()
        chosen = config.get(context_name=context or None)
    except (ConfigError, OSError) as exc:
        where = os.environ.get("KUBECONFIG", "~/.kube/config")
        raise UsageError(
            f"No usable cluster in {where}: {exc}",
            hint=f"Set KUBECONFIG, or `context:` of the stage or compute in tidemill.yaml.{_known_contexts()}",
        ) from exc
    if chosen is None:
        raise UsageError(
            f"No context `{context}` in the kubeconfig", hint=f"Set `context:` in tidemill.yaml.{_known_contexts()}"
        )
    return chosen


def _known_contexts() -> str:
    """The contexts there are, in words; nothing where there is no kubeconfig."""
    try:
        known = list(KubeConfig.from_env().contexts)
    except (ConfigError, OSError):
        return ""
    return f" Contexts there: {', '.join(known)}." if known else ""


def learn_kinds(*kinds: type[Any]) -> None:
    """Have the client's library work out its types now: two threads that do so at once crash the interpreter."""
    with _LEARNING:
        Status.from_dict({})
        for kind in kinds:
            kind.from_dict({})
            decode_list(b'{"items": []}', kind)


@contextmanager
def speaking_to_cluster(what: str) -> Iterator[None]:
    """Turn client errors into ours, keeping the original as the cause."""
    try:
        yield
    except ApiError as exc:
        code = exc.status.code
        hint = HINTS.get(code, "")
        raise BackendError(f"The cluster refused {what}: HTTP {code}: {exc.status.message}", hint=hint) from exc
    except httpx.HTTPError as exc:
        raise BackendError(
            f"The cluster did not answer ({what}): {exc}", hint="Check KUBECONFIG and that the cluster runs."
        ) from exc
