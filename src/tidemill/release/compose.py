"""The same deployment for one machine with Docker: a compose file with the pod's image, limits and restrictions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.release.labels import ENDPOINT_LABEL, PRIMARY_KEY
from tidemill.release.objects import Object
from tidemill.release.package import MODEL

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[KMGT]i?)?\Z")
_FACTORS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_ALIVE = "import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/readyz', timeout=4)"


def make_compose(objects: Sequence[Object], name: str) -> dict[str, Any]:
    """A compose document: one service with what its Deployment says, published on loopback only; before it, what brings the model."""
    deployment = next(o for o in objects if o["kind"] == "Deployment" and ENDPOINT_LABEL in o["metadata"]["labels"])
    server = _service(deployment)
    (first,) = deployment["spec"]["template"]["spec"].get("initContainers") or (None,)
    keys = _keys(deployment)
    if keys:
        source, place = keys
        server["secrets"] = [{"source": source, "target": f"{place}/{PRIMARY_KEY}"}]
    about = {"secrets": {keys[0]: {"file": f"./{keys[0]}"}}} if keys else {}
    if first is None:
        return {"name": name, "services": {name: server}, **about}
    # a volume for each model: nothing of the one before is left in it
    volume = f"model-{first['image'].rpartition(':')[2][:12]}"
    server["volumes"] = [*server.get("volumes", []), f"{volume}:{MODEL}:ro"]
    server["depends_on"] = {"model": {"condition": "service_completed_successfully"}}
    return {"name": name, "services": {"model": _model(first, volume), name: server}, "volumes": {volume: {}}, **about}


def _keys(deployment: Object) -> tuple[str, str] | None:
    """The Secret with the endpoint's keys, and where the server looks for them."""
    pod = deployment["spec"]["template"]["spec"]
    found = next((v["secret"]["secretName"] for v in pod["volumes"] if v["name"] == "keys"), None)
    mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
    return (found, mounts["keys"]) if found else None


def _model(container: Object, volume: str) -> dict[str, Any]:
    """Copies the model into the volume and ends; a new volume is root's, and that is all this container may write."""
    (mount,) = container["volumeMounts"]
    return {
        "image": container["image"],
        "entrypoint": list(container["command"]),
        "user": "0:0",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "network_mode": "none",
        "volumes": [f"{volume}:{mount['mountPath']}"],
    }


def _service(deployment: Object) -> dict[str, Any]:
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    port = container["ports"][0]["containerPort"]
    security = pod["securityContext"]
    probe = container["readinessProbe"]
    service: dict[str, Any] = {
        "image": container["image"],
        "restart": "unless-stopped",
        "user": f"{security['runAsUser']}:{security['runAsGroup']}",
        "read_only": container["securityContext"]["readOnlyRootFilesystem"],
        "cap_drop": list(container["securityContext"]["capabilities"]["drop"]),
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in {"tmp", "captured"}],
        "ports": [f"127.0.0.1:{port}:{port}"],
        "labels": dict(deployment["metadata"]["annotations"]),
        "stop_grace_period": f"{pod['terminationGracePeriodSeconds']}s",
        "healthcheck": {
            "test": ["CMD", "python3", "-c", _ALIVE.format(port=port)],
            "interval": f"{probe['periodSeconds']}s",
            "timeout": f"{probe['timeoutSeconds']}s",
            "retries": probe["failureThreshold"],
            "start_period": f"{_start_s(container['startupProbe'])}s",
        },
        "deploy": {"resources": {"limits": _limits(container["resources"])}},
    }
    if container.get("args"):
        service["command"] = [a.replace("$", "$$") for a in container["args"]]
    if claims := _claims(pod, container):
        service["volumes"] = claims
    if container.get("envFrom"):
        service["env_file"] = [
            f"{named['name']}.env"
            for source in container["envFrom"]
            for named in (source.get("secretRef") or source.get("configMapRef"),)
        ]
    environment = {e["name"]: str(e["value"]).replace("$", "$$") for e in container["env"]}
    return service | ({"environment": environment} if environment else {})


def _claims(pod: Mapping[str, Any], container: Mapping[str, Any]) -> list[str]:
    """A folder beside the compose file for each volume claim, of its name."""
    names = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    return [f"./{names[m['name']]}:{m['mountPath']}" for m in container["volumeMounts"] if m["name"] in names]


def _start_s(probe: Mapping[str, int]) -> int:
    return probe.get("initialDelaySeconds", 0) + probe["periodSeconds"] * probe["failureThreshold"]


def _limits(resources: Mapping[str, Any]) -> dict[str, str]:
    """Compose counts memory in bytes and processors in decimals."""
    limits = resources["limits"]
    found = {"memory": str(int(_number(limits["memory"])))}
    return found | ({"cpus": f"{_number(limits['cpu']):g}"} if "cpu" in limits else {})


def _number(quantity: str) -> float:
    """A Kubernetes quantity (`256Mi`, `500m`, `2`) as a number."""
    found = _QUANTITY.match(str(quantity))
    if found is None:
        return float(quantity)
    value, unit = float(found[1]), found[2] or ""
    return value / 1000 if unit == "m" else value * _FACTORS.get(unit, 1)
