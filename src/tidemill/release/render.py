"""The objects of a deployment as files: plain YAML, a Kustomize base or a Helm chart, all of them the same objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tidemill.base.errors import UsageError
from tidemill.release.chart import make_chart
from tidemill.release.compose import make_compose
from tidemill.release.labels import PRIMARY_KEY
from tidemill.release.objects import Object

STYLES = ("yaml", "kustomize", "helm", "compose")
STABLE_BUDGETS = 21  # minor version with policy/v1
HEADER = "# Rendered by Tidemill; the next render into this folder replaces it.\n"


def render(objects: Sequence[Object], *, style: str, name: str, version: str) -> dict[str, str]:
    """File name → content; `style` is one of STYLES. Applying any of the cluster's gives exactly `objects`."""
    if style == "compose":
        return {"compose.yaml": _about_keys(objects, style) + _dump(make_compose(objects, name))}
    if style == "yaml":
        return {f"{name}.yaml": _about_keys(objects, style) + _dump_all(objects)}
    files = {_file_name(o): _dump(o) for o in objects}
    if style == "kustomize":
        listing = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(files)}
        return {"kustomization.yaml": _about_keys(objects, style) + _dump(listing), **files}
    return make_chart(objects, name, version)


def _about_keys(objects: Sequence[Object], style: str) -> str:
    """Where requests' keys come from, in a comment: no file holds one."""
    pods = [(o["metadata"]["namespace"], o["spec"]["template"]["spec"]) for o in objects if o["kind"] == "Deployment"]
    found = [(n, v["secret"]["secretName"]) for n, p in pods for v in p["volumes"] if v["name"] == "keys"]
    if not found:
        return ""
    namespace, secret = found[0]
    if style == "compose":
        return f"# Requests need the key in the file {secret}. Once: openssl rand -hex 32 > {secret}\n"
    return (
        f"# Requests need a key of the Secret {secret}, which `tidemill up` makes. By hand, once:\n"
        f"#   kubectl -n {namespace} create secret generic {secret} "
        f'--from-literal={PRIMARY_KEY}="$(openssl rand -hex 32)"\n'
    )


def for_kubernetes(objects: Sequence[Object], version: str) -> tuple[Object, ...]:
    """The objects in the words of a cluster of that version: before 1.21 a disruption budget was still beta."""
    found = re.fullmatch(r"v?1\.(\d+)(\.\d+)?", version)
    if found is None:
        raise UsageError(f"`{version}` is not a version of Kubernetes", hint="Example: --kubernetes 1.20")
    if int(found[1]) >= STABLE_BUDGETS:
        return tuple(objects)
    return tuple({**o, "apiVersion": "policy/v1beta1"} if o["apiVersion"] == "policy/v1" else o for o in objects)


def _file_name(item: Mapping[str, Any]) -> str:
    return f"{item['kind'].lower()}-{item['metadata']['name']}.yaml"


def _dump(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, width=1000)


def _dump_all(objects: Sequence[Object]) -> str:
    return yaml.safe_dump_all(objects, sort_keys=False, width=1000)
