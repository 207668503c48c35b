"""The pod of a version: its server, what copies the model in, probes, resources and what it may not do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from tidemill.release.package import COPY_MODEL, MODEL, MODEL_VOLUME
from tidemill.release.workload import Workload
from tidemill.serve.workers import TIMEOUT_S, drain_s

Object = dict[str, Any]

KEYS = "/etc/tidemill/keys"
GROUP_READS = 0o440
LEAVE_S, INSIST_S, SEND_S = 5, 5, 30

NO_RIGHTS = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def make_pod(workload: Workload) -> Object:
    """The specification of a version's pods: not root, a read-only file system, no token."""
    return {
        "serviceAccountName": workload.endpoint,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": _end_s(workload),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": keep_spread(workload.selector),
        **_place(workload),
        **({"initContainers": [_model_container(workload)]} if workload.model_image else {}),
        "containers": [_container(workload)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            *([{"name": "model", "emptyDir": {}}] if workload.model_image else []),
            *(workload.recording.volumes() if workload.recording else []),
            *([_keys(workload)] if workload.token_secret else []),
        ],
    }


def _end_s(workload: Workload) -> int:
    """How long a pod may take to end: it leaves the rotation, answers what is inside, and sends the last records on."""
    said = dict(itertools.pairwise(workload.arguments))
    answers_s = drain_s(float(said.get("--timeout", TIMEOUT_S)))
    return math.ceil(LEAVE_S + answers_s + INSIST_S) + (SEND_S if workload.recording else 0)


def keep_spread(labels: Mapping[str, str]) -> list[Object]:
    """Pods of these labels on different nodes as far as there are any."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(labels)},
        }
    ]


def _place(workload: Workload) -> Object:
    """On which nodes, and before whom."""
    asked = {
        "nodeSelector": dict(workload.node_selector),
        "tolerations": [dict(t) for t in workload.tolerations],
        "priorityClassName": workload.priority_class,
    }
    return {k: v for k, v in asked.items() if v}


def _model_container(workload: Workload) -> Object:
    """Copies the model out of its image, which the node fetched and checked by digest: no network, no login in the pod."""
    return {
        "name": "model",
        "image": workload.model_image,
        "command": list(COPY_MODEL),
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": dict(NO_RIGHTS),
        "volumeMounts": [{"name": "model", "mountPath": MODEL_VOLUME}],
    }


def _container(workload: Workload) -> Object:
    limits = {"memory": workload.memory_limit} | ({"cpu": workload.cpu_limit} if workload.cpu_limit else {})
    asked = {"cpu": workload.cpu, "memory": workload.memory, **workload.devices}
    told = workload.probes
    container: Object = {
        "name": "server",
        "image": workload.image,
        "env": [{"name": k, "value": v} for k, v in sorted(_environment(workload).items())],
        "ports": [{"name": "http", "containerPort": workload.port, "protocol": "TCP"}],
        "resources": {"requests": asked, "limits": {**limits, **workload.devices}},
        "securityContext": dict(NO_RIGHTS),
        "startupProbe": _probe("/readyz", 1, workload.start_timeout_s, told.get("startup", {})),
        "readinessProbe": _probe("/readyz", 5, 2, told.get("readiness", {})),
        "livenessProbe": _probe("/healthz", 10, 3, told.get("liveness", {})),
        # endpoints are taken out of rotation a moment after the signal: keep answering until then
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(LEAVE_S)]}}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - inside the container
    }
    if workload.model_image:
        container["volumeMounts"].append({"name": "model", "mountPath": MODEL, "readOnly": True})
    if workload.recording:
        container["volumeMounts"] += workload.recording.mounts()
    if others := _others_variables(workload):
        container["envFrom"] = others
    if workload.token_secret:
        container["volumeMounts"].append({"name": "keys", "mountPath": KEYS, "readOnly": True})
    if workload.arguments:
        container["args"] = list(workload.arguments)
    return container


def _environment(workload: Workload) -> dict[str, str]:
    """The pod's variables: which deployment it is, for its log, metrics and traces, what the user says, and where the keys are."""
    recording = workload.recording.variables() if workload.recording else {}
    keys = {"TIDEMILL_TOKEN_FILE": KEYS} if workload.token_secret else {}
    return {"TIDEMILL_DEPLOYMENT": workload.deployment, **recording, **workload.environment, **keys}


def _others_variables(workload: Workload) -> list[Object]:
    """Variables that Secrets and ConfigMaps of the namespace hold; what is said by name has the last word."""
    kinds = {"secret": "secretRef", "config_map": "configMapRef"}
    named: list[Object] = [{kinds[kind]: {"name": name}} for item in workload.env_from for kind, name in item.items()]
    return [*named, *(workload.recording.secrets() if workload.recording else [])]


def _keys(workload: Workload) -> Object:
    """The Secret with the endpoint's keys as files: in no argument and no variable, and new keys arrive without new pods."""
    return {"name": "keys", "secret": {"secretName": workload.token_secret, "defaultMode": GROUP_READS}}


def _probe(path: str, period_s: int, failures: int, told: Mapping[str, int]) -> Object:
    """What the document does not say is ours."""
    usual = {"periodSeconds": period_s, "failureThreshold": failures, "timeoutSeconds": 5}
    return {"httpGet": {"path": path, "port": "http"}, **usual, **told}
