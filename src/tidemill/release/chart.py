"""The same objects as a Helm chart: installed into any namespace, with what people change by hand as its values."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from tidemill.release.labels import ENDPOINT_LABEL, FRONTEND_LABEL, PRIMARY_KEY, SECONDARY_KEY
from tidemill.release.objects import Object

_MARK = "TIDEMILL-VALUE"
_ONE = re.compile(rf"'?{_MARK}\[(one):([\w.]+)\]'?")
_MANY = re.compile(rf"(?m)^(?P<lead> *(?:- )?)(?P<key>[\w.]+): '?{_MARK}\[many:(?P<path>[\w.]+)\]'?$")
_MORE = re.compile(rf"(?m)^(?P<lead> *)- '?{_MARK}\[more:(?P<path>[\w.]+)\]'?$")
OWN = "TIDEMILL_"
_NAMESPACE = f"{_MARK}-NAMESPACE"
_KEYS = """{{{{- $found := lookup "v1" "Secret" .Release.Namespace "{name}" }}}}
{{{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" (default dict $found) }}}}
{{{{- if and (not .Values.existingKeysSecret) (or (not $found) (eq $owner .Release.Name)) }}}}
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: {{{{ .Release.Namespace }}}}
  labels:
{labels}
type: Opaque
data:
  {{{{- if $found }}}}
  {{{{- toYaml $found.data | nindent 2 }}}}
  {{{{- else }}}}
  {primary}: {{{{ randAlphaNum 43 | b64enc }}}}
  {secondary}: {{{{ randAlphaNum 43 | b64enc }}}}
  {{{{- end }}}}
{{{{- end }}}}
"""
_NOTES = """{name} {{{{ .Chart.AppVersion }}}} is in the namespace {{{{ .Release.Namespace }}}}.
{keys}
  kubectl -n {{{{ .Release.Namespace }}}} rollout status deployment -l {label}={name}
"""
_ASK = """Requests need a key:
  kubectl -n {{{{ .Release.Namespace }}}} get secret {{{{ .Values.existingKeysSecret | default "{secret}" }}}} -o jsonpath='{{.data.{primary}}}' | base64 -d
"""


def make_chart(objects: Sequence[Object], name: str, version: str) -> dict[str, str]:
    """File name → text. A chart has no Namespace of its own: `helm install -n NS --create-namespace` makes it."""
    namespace = next(o["metadata"]["name"] for o in objects if o["kind"] == "Namespace")
    values: dict[str, Any] = {}
    templates: dict[str, str] = {}
    secret = ""
    for item in objects:
        if item["kind"] == "Namespace":
            continue
        opened = _open(item, values)
        secret = secret or _keys_of(item)
        _release_into(opened, namespace)
        templates[f"templates/{item['kind'].lower()}-{item['metadata']['name']}.yaml"] = _as_template(opened)
    if secret:
        values["existingKeysSecret"] = ""
        labels = next(o for o in objects if o["kind"] == "ServiceAccount")["metadata"]["labels"]
        lines = "\n".join(f"    {k}: {v}" for k, v in labels.items())
        templates[f"templates/secret-{secret}.yaml"] = _KEYS.format(
            name=secret, labels=lines, primary=PRIMARY_KEY, secondary=SECONDARY_KEY
        )
    ask = _ASK.format(secret=secret, primary=PRIMARY_KEY) if secret else ""
    templates["templates/NOTES.txt"] = _NOTES.format(name=name, keys=ask, label=ENDPOINT_LABEL)
    about = {
        "apiVersion": "v2",
        "name": name,
        "description": f"The endpoint {name}, rendered by Tidemill.",
        "version": _semantic(version),
        "appVersion": version,
        "type": "application",
    }
    return {"Chart.yaml": _dump(about), "values.yaml": _dump(values), **templates}


def _keys_of(item: Object) -> str:
    """The Secret with keys that a Deployment's pods mount."""
    if item["kind"] != "Deployment":
        return ""
    volumes = item["spec"]["template"]["spec"]["volumes"]
    return next((v["secret"]["secretName"] for v in volumes if v["name"] == "keys"), "")


def _open(item: Object, values: dict[str, Any]) -> Object:
    """A copy with marks in place of what goes to `values`."""
    changed: Object = copy.deepcopy(item)
    labels, spec = item["metadata"]["labels"], changed.get("spec", {})
    if item["kind"] == "HorizontalPodAutoscaler":
        _take(spec, "minReplicas", "replicas", values)
        _take(spec, "maxReplicas", "maxReplicas", values)
    elif item["kind"] == "ServiceAccount":
        _take(changed, "imagePullSecrets", "imagePullSecrets", values, many=True)
    elif item["kind"] == "Ingress":
        _open_ingress(changed, values)
    elif item["kind"] == "Deployment" and ENDPOINT_LABEL in labels:
        _open_server(spec, values)
    elif item["kind"] == "Deployment" and FRONTEND_LABEL in labels:
        pod = spec["template"]["spec"]
        _take(spec, "replicas", "frontend.replicas", values)
        _take(pod["containers"][0], "image", "frontend.image", values)
        _take(pod["containers"][0], "resources", "frontend.resources", values, many=True)
        pod.setdefault("imagePullSecrets", [])
        _take(pod, "imagePullSecrets", "imagePullSecrets", values, many=True)
        for variable in pod["containers"][0]["env"]:
            _open_secret(variable.get("valueFrom", {}).get("secretKeyRef"), "name")
    return changed


def _open_server(spec: Object, values: dict[str, Any]) -> None:
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    _take(container, "image", "image", values)
    for first in pod.get("initContainers", []):
        _take(first, "image", "modelImage", values)
    if "replicas" in spec:  # else the autoscaler's
        _take(spec, "replicas", "replicas", values)
    own = [e for e in container["env"] if e["name"].startswith(OWN)]
    values["env"] = [e for e in container["env"] if e not in own]
    container["env"] = [*own, f"{_MARK}[more:env]"]  # other variables of yours leave ours, the keys' place for one
    container.setdefault("envFrom", [])
    for key in ("resources", "envFrom"):
        _take(container, key, key, values, many=True)
    for key, empty in (("nodeSelector", {}), ("tolerations", [])):
        pod.setdefault(key, empty)
        _take(pod, key, key, values, many=True)
    for volume in pod["volumes"]:
        _open_secret(volume.get("secret") if volume["name"] == "keys" else None, "secretName")


def _open_secret(holder: Object | None, key: str) -> None:
    if holder is not None:
        holder[key] = f"{_MARK}[keys:{holder[key]}]"


def _open_ingress(item: Object, values: dict[str, Any]) -> None:
    """The host is everywhere the same; annotations and certificates are the cluster's affair."""
    _take(item["spec"]["rules"][0], "host", "ingress.host", values)
    if item["metadata"]["name"].endswith("-canary"):
        return  # beside the main one: no annotation or certificate of its own
    item["metadata"].setdefault("annotations", {})
    _take(item["metadata"], "annotations", "ingress.annotations", values, many=True)
    item["spec"].setdefault("tls", [])
    _take(item["spec"], "tls", "ingress.tls", values, many=True)
    if "ingressClassName" in item["spec"]:
        _take(item["spec"], "ingressClassName", "ingress.className", values)


def _take(holder: Object, key: str, path: str, values: dict[str, Any], *, many: bool = False) -> None:
    """Move a value into `values` at a dotted path."""
    *folders, name = path.split(".")
    for folder in folders:
        values = values.setdefault(folder, {})
    values[name] = holder[key]
    holder[key] = f"{_MARK}[{'many' if many else 'one'}:{path}]"


def _release_into(item: Any, namespace: str) -> None:  # noqa: ANN401 - any value of an object
    """The release's namespace wherever the objects name theirs."""
    children: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(item, dict):
        children = iter(list(item.items()))
    elif isinstance(item, list):
        children = iter(list(enumerate(item)))
    for key, value in children:
        if key == "namespace" and value == namespace:
            item[key] = _NAMESPACE
        elif isinstance(value, str) and f".{namespace}.svc" in value:
            item[key] = value.replace(f".{namespace}.svc", f".{_NAMESPACE}.svc")
        else:
            _release_into(value, namespace)


def _as_template(item: Object) -> str:
    text = _dump(item).replace("{{", '{{ "{{" }}')
    text = _MORE.sub(_more, text)
    text = _MANY.sub(_many, text)
    text = _ONE.sub(r"{{ .Values.\2 }}", text)
    text = re.sub(rf"{_MARK}\[keys:([^\]]+)\]", r'{{ .Values.existingKeysSecret | default "\1" }}', text)
    return text.replace(_NAMESPACE, "{{ .Release.Namespace }}")


def _many(found: re.Match[str]) -> str:
    """A list or mapping of the values, at its depth."""
    depth = len(found["lead"]) + 2
    return f"{found['lead']}{found['key']}:\n{' ' * depth}{{{{- toYaml .Values.{found['path']} | nindent {depth} }}}}"


def _more(found: re.Match[str]) -> str:
    """Items of the values behind those of a list."""
    lead = found["lead"]
    items = f"{lead}{{{{- toYaml . | nindent {len(lead)} }}}}"
    return f"{lead}{{{{- with .Values.{found['path']} }}}}\n{items}\n{lead}{{{{- end }}}}"


def _semantic(version: str) -> str:
    """Helm wants three numbers; a model version is usually one."""
    if version.count(".") == 2 and version.replace(".", "").isdigit():  # noqa: PLR2004 - major.minor.patch
        return version
    return f"0.{version if version.isdigit() else 0}.0"


def _dump(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, width=1000)
