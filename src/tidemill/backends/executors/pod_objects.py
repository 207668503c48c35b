"""The Kubernetes objects of one step: a Job of one pod. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.base.hashing import digest_value
from tidemill.plan.graph import Resources

Object = dict[str, Any]
LABEL_JOB = "tidemill.io/job"
LABEL_STEP = "tidemill.io/step"
MANAGED = {"app.kubernetes.io/managed-by": "tidemill"}
AGENT = "/tidemill-agent"
MEET = "/tidemill"
NOBODY = 65532
KEEP_S = 3600
_UNIT = re.compile(r"^([0-9.]+)\s*([kmgt]?)i?b?$", re.IGNORECASE)
_NOT_A_LABEL = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class PodRequest:
    """What a step's pod is made of; `folders` are where what travels will lie, writable and empty at first."""

    name: str
    namespace: str
    job: str
    step: str
    image: str
    agent: str
    folders: tuple[str, ...]
    resources: Resources
    pull_secret: str = ""


def make_job(request: PodRequest) -> Object:
    """A Job that never starts a second pod: whether to try again is the run's to decide."""
    labels = {**MANAGED, LABEL_JOB: as_label(request.job), LABEL_STEP: as_label(request.step)}
    template = {"metadata": {"labels": labels}, "spec": _pod(request)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": request.name, "namespace": request.namespace, "labels": labels},
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": KEEP_S, "template": template},
    }


def make_agent(namespace: str, files: Sequence[Path]) -> Object:
    """The ConfigMap with the program of the pods; its name is its content's, so that versions do not meet."""
    content = {p.name: p.read_text(encoding="utf-8") for p in files}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"tidemill-agent-{digest_value(content)[:12]}",
            "namespace": namespace,
            "labels": dict(MANAGED),
        },
        "data": content,
    }


def _pod(request: PodRequest) -> Object:
    volumes: list[Object] = [
        {"name": "agent", "configMap": {"name": request.agent}},
        {"name": "meet", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts: list[Object] = [
        {"name": "agent", "mountPath": AGENT, "readOnly": True},
        {"name": "meet", "mountPath": MEET},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - inside the pod
    ]
    for number, folder in enumerate(request.folders):
        volumes.append({"name": f"folder-{number}", "emptyDir": {}})
        mounts.append({"name": f"folder-{number}", "mountPath": folder})
    if request.resources.shm_size:
        size = as_quantity(request.resources.shm_size)
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    container = {
        "name": "step",
        "image": request.image,
        "command": ["python3", "-u", f"{AGENT}/pod_agent.py", "serve"],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "PYTHONUNBUFFERED", "value": "1"}],  # noqa: S108
        "resources": _resources(request.resources),
        "volumeMounts": mounts,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "fsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    return pod | ({"imagePullSecrets": [{"name": request.pull_secret}]} if request.pull_secret else {})


def _resources(wants: Resources) -> Object:
    """What the scheduler reserves; memory and GPUs are limits too, CPU may be used beyond what is reserved."""
    requests: dict[str, str] = {"cpu": f"{wants.cpus * wants.instance_count:g}"}
    limits: dict[str, str] = {}
    if wants.memory:
        requests["memory"] = limits["memory"] = as_quantity(wants.memory)
    if wants.gpus:
        limits["nvidia.com/gpu"] = str(int(wants.gpus * wants.instance_count))
    return {"requests": requests} | ({"limits": limits} if limits else {})


def as_quantity(text: str) -> str:
    """`2g` as Docker says it, `2Gi` as Kubernetes does."""
    found = _UNIT.match(text.strip())
    if found is None:
        return text
    number, unit = found.groups()
    return f"{number}{unit.upper().replace('K', 'K')}i" if unit else number


def as_label(text: str) -> str:
    """A value a label may have."""
    return _NOT_A_LABEL.sub("-", text)[:63].strip("-_.")


def mount_points(paths: Sequence[str], inner: Mapping[str, bool]) -> tuple[str, ...]:
    """The folders that must be there and writable for `paths` to be laid out; `inner` says which of those are files."""
    folders = sorted({str(Path(p).parent) if inner.get(p) else p for p in paths})
    return tuple(f for f in folders if not any(f.startswith(f"{other}/") for other in folders) and f != "/")
