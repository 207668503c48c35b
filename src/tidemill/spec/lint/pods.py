"""What the containers of a manifest may take and may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tidemill.base.findings import Finding, Severity
from tidemill.spec.lint.files import LintFile

WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet"}
KUSTOMIZE = ("kustomization.yaml", "kustomization.yml")
POD = ("spec", "template", "spec")


def lint_pods(files: Sequence[LintFile]) -> Iterator[tuple[Path, Finding]]:
    """Containers without limits, and those that may be root; where Kustomize adds to them, nobody can say from here."""
    files = [f for f in files if f.kind == "manifest"]
    limited = {f.path.parent for f in files if "kind: LimitRange" in f.bare}
    for file in files:
        if any((file.path.parent / name).exists() for name in KUSTOMIZE):
            continue
        for item in _documents(file.text):
            if _word(_child(item, "kind")) in WORKLOADS:
                for finding in _lint_workload(file, item, is_limited=file.path.parent in limited):
                    yield file.path, finding


def _documents(text: str) -> list[yaml.Node]:
    try:
        return [n for n in yaml.compose_all(text, Loader=yaml.CSafeLoader) if isinstance(n, yaml.MappingNode)]
    except (yaml.YAMLError, ValueError, RecursionError):
        return []


def _child(node: yaml.Node | None, *path: str) -> yaml.Node | None:
    for part in path:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in pairs if key.value == part), None)
    return node


def _word(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _lint_workload(file: LintFile, item: yaml.Node, *, is_limited: bool) -> Iterator[Finding]:
    pod = _child(item, *POD)
    containers = _child(pod, "containers")
    for container in containers.value if isinstance(containers, yaml.SequenceNode) else ():
        image = _child(container, "image")
        if image is None:
            continue  # a patch of what another file says in full
        name, place = _word(_child(container, "name")), int(container.start_mark.index)
        if not is_limited and _child(container, "resources", "limits", "memory") is None:
            yield file.finding("TM-X60", f"The container `{name}` has no memory limit", place)
        privileged = _child(container, "securityContext", "privileged")
        if privileged is not None and _word(privileged).lower() == "true":
            text = f"The container `{name}` is privileged: it may do what the machine's root may"
            at = int(privileged.start_mark.index)
            yield file.finding("TM-X61", text, at, severity=Severity.WARNING)
        elif not _is_unprivileged(_settings(pod) | _settings(container)):
            yield file.finding("TM-X61", f"The container `{name}` may run as root", place)


def _settings(node: yaml.Node | None) -> dict[str, str]:
    found = _child(node, "securityContext")
    pairs: Sequence[Any] = found.value if isinstance(found, yaml.MappingNode) else []
    return {str(key.value): _word(value) for key, value in pairs}


def _is_unprivileged(settings: Mapping[str, str]) -> bool:
    return settings.get("runAsNonRoot", "").lower() == "true" or settings.get("runAsUser", "0") != "0"
