"""Dockerfiles and Kubernetes manifests: what moves, what is missing, what cannot match."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from tidemill.base.findings import Finding, Severity
from tidemill.spec.lint.files import LintFile

FROM = re.compile(
    r"^FROM\s+(?:--platform=\S+\s+)?(?P<image>\S+)(?:\s+AS\s+(?P<name>\S+))?", re.IGNORECASE | re.MULTILINE
)
COPY = re.compile(r"^(?:COPY|ADD)\s+(?P<words>[^\n\\]+)$", re.IGNORECASE | re.MULTILINE)
PLACEHOLDER = re.compile(r"\$\{\w+\}|\$\(\w+\)|\{\{[^}]*\}\}|<[A-Z_]+>")
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet"}
RELOADS = re.compile(r"^(?:CMD|ENTRYPOINT)\b[^\n]*(?P<option>--reload\b)", re.IGNORECASE | re.MULTILINE)
SCRIPTS = {"workflow", "devops", "shell", "python"}
KUSTOMIZE = {"kustomization.yaml", "kustomization.yml"}
TAGGED = re.compile(
    r"^\s*-\s+name:\s*[\"']?([\w./-]+)[\"']?\s*\n(?:\s+newName:.*\n)?\s+(?:newTag|digest):", re.MULTILINE
)
MOVABLE = {"latest", "main", "master", "dev", "develop", "stable", "edge"}


def lint_dockerfile(file: LintFile) -> Iterator[Finding]:
    """Base images that move, and development servers."""
    stages = {found["name"] for found in FROM.finditer(file.text) if found["name"]}
    for found in FROM.finditer(file.text):
        image = found["image"]
        if image not in stages and image != "scratch" and "$" not in image and _moves(image):
            yield file.finding("TM-X35", f"The base image `{image}` can change under you", found.start("image"))
    for found in RELOADS.finditer(file.bare):
        yield file.finding("TM-X46", "A development server: `--reload` is on", found.start("option"))


def lint_copies(files: Sequence[LintFile]) -> Iterator[tuple[Path, Finding]]:
    """Files that are copied from nowhere: not in any folder here, and no script or .gitignore knows of them."""
    images = [f for f in files if f.kind == "dockerfile"]
    if not images:
        return
    folders = {parent for f in files for parent in list(f.path.absolute().parents)[:3]}
    scripts = "\n".join(f.text for f in files if f.kind in {"workflow", "devops", "shell", "data", "python"})
    for file in images:
        for found in COPY.finditer(file.bare):
            words = [w for w in found["words"].split() if not w.startswith("--")]
            if "--from=" in found["words"] or found["words"].lstrip().startswith(("[", "<<")):
                continue
            for source in words[:-1]:
                name = source.rstrip("/").rpartition("/")[2].lstrip("*")
                if _there(file.path.parent, source, folders) or (name and name in scripts):
                    continue
                if not _is_ignored(file.path.parent, source):
                    offset = file.text.index(source, found.start("words"))
                    yield file.path, file.finding("TM-X04", f"`{source}` is not in the build context", offset)


def _is_ignored(folder: Path, source: str) -> bool:
    """Whether a .gitignore names it, so that it is made elsewhere."""
    parts = {p for p in source.strip("/").split("/") if p not in {".", ".."}}
    for parent in (folder.absolute(), *list(folder.absolute().parents)[:3]):
        ignore = parent / ".gitignore"
        if ignore.is_file():
            for line in ignore.read_text(errors="replace").splitlines():
                pattern = line.strip().strip("/")
                if (
                    pattern
                    and not pattern.startswith("#")
                    and any(fnmatch(p, pattern.rpartition("/")[2]) for p in parts)
                ):
                    return True
    return False


def _moves(image: str) -> bool:
    if "@sha256:" in image:
        return False
    tag = image.rpartition("/")[2].partition(":")[2]
    return not tag or tag in MOVABLE


def _there(folder: Path, source: str, others: Collection[Path]) -> bool:
    """Beside the Dockerfile, or in another folder that may be the context; a URL or a variable is not judged."""
    if "$" in source or "://" in source:
        return True
    roots = [folder.absolute(), *list(folder.absolute().parents)[:3], *sorted(others)]
    clean = source.lstrip("/").rstrip("/") or "."
    return any(
        next(iter(root.glob(clean)), None) is not None if "*" in clean else (root / clean).exists() for root in roots
    )


@dataclass(slots=True)
class _Seen:
    """What the manifests of one folder have."""

    services: list[tuple[LintFile, dict[str, Any]]] = field(default_factory=list)
    workloads: list[tuple[LintFile, dict[str, Any]]] = field(default_factory=list)

    @property
    def pods(self) -> list[dict[str, Any]]:
        """The pods the workloads make."""
        return [_get(item, "spec", "template") for _, item in self.workloads]

    def is_asked(self, pod: dict[str, Any], container: dict[str, Any]) -> bool:
        """Whether requests come to a container: it opens a port, or a Service selects its pod."""
        return bool(container.get("ports")) or any(_selects(service, pod) for _, service in self.services)


def lint_manifests(files: Sequence[LintFile]) -> Iterator[tuple[Path, Finding]]:
    """Each manifest, and the Services of a folder against its pods."""
    folders: dict[Path, _Seen] = {}
    for file in (f for f in files if f.kind == "manifest" and not _is_chart(f)):
        seen = folders.setdefault(file.path.parent, _Seen())
        for item in _objects(file.text):
            if item.get("kind") == "Service":
                seen.services.append((file, item))
            elif item.get("kind") in WORKLOADS:
                seen.workloads.append((file, item))
    scripts = "\n".join(f.bare for f in files if f.kind in SCRIPTS)
    tagged = {name for f in files if f.path.name in KUSTOMIZE for name in TAGGED.findall(f.text)}
    for seen in folders.values():
        for file, item in seen.workloads:
            is_filled = "envsubst" in scripts or re.search(rf"\b(?:sed|yq)\b[^\n]*{re.escape(file.path.name)}", scripts)
            found = _lint_workload(file, item, seen, tagged)
            yield from ((file.path, f) for f in found if f.code != "TM-X21" or not is_filled)
        for file, service in seen.services:
            yield from ((file.path, f) for f in _lint_service(file, service, seen.pods))


def _is_chart(file: LintFile) -> bool:
    """Whether Helm fills it in."""
    return "{{" in file.text and any(
        (folder / "Chart.yaml").exists() for folder in list(file.path.absolute().parents)[:3]
    )


def _objects(text: str) -> list[dict[str, Any]]:
    try:
        return [d for d in yaml.load_all(text, Loader=yaml.CSafeLoader) if isinstance(d, dict)]
    except (yaml.YAMLError, ValueError, RecursionError):
        return []


def _get(value: Any, *path: str) -> dict[str, Any]:  # noqa: ANN401
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    found = _get(pod, "spec").get("containers")
    return [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []


def _lint_workload(file: LintFile, item: dict[str, Any], seen: _Seen, tagged: Collection[str]) -> Iterator[Finding]:
    pod = _get(item, "spec", "template")
    for container in _containers(pod):
        image = str(container.get("image", ""))
        offset = max(file.bare.find(image), 0) if image else 0
        if PLACEHOLDER.search(image):
            yield file.finding("TM-X21", f"The image `{image}` still holds a variable", offset)
        elif image and _moves(image) and image.partition(":")[0] not in tagged:
            yield file.finding("TM-X05", f"The image `{image}` can change without a trace", offset)
        # Without an image it is a patch of another file.
        if image and "readinessProbe" not in container and seen.is_asked(pod, container):
            name = str(container.get("name", ""))
            before, after = (file.bare.rfind(f"name: {name}", 0, offset), file.bare.find(f"name: {name}", offset))
            near = before if after < 0 or 0 <= offset - before < after - offset else after
            yield file.finding("TM-X42", f"The container `{name}` has no readinessProbe", max(near, 0))


def _selects(service: dict[str, Any], pod: dict[str, Any]) -> bool:
    selector = _get(service, "spec", "selector")
    return bool(selector) and selector.items() <= _get(pod, "metadata", "labels").items()


def _lint_service(file: LintFile, service: dict[str, Any], pods: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    """A Service whose pods are in the same folder must reach a port they declare."""
    opened: set[Any] = set()
    for pod in (p for p in pods if _selects(service, p)):
        for container in _containers(pod):
            for port in container.get("ports") or []:
                opened |= {port.get("containerPort"), port.get("name")} if isinstance(port, dict) else set()
    found = _get(service, "spec").get("ports")
    ports = [p for p in found if isinstance(p, dict)] if opened and isinstance(found, list) else []
    targets = [p.get("targetPort", p.get("port")) for p in ports]
    for target in (t for t in targets if t is not None and t not in opened):
        known = ", ".join(str(o) for o in sorted(map(str, opened - {None})))
        offset = max(file.bare.find(f"targetPort: {target}"), file.bare.find(f"port: {target}"), 0)
        # A number nobody declared may be open all the same; a name must be declared.
        doubtful = isinstance(target, int) and any(t in opened for t in targets)
        severity = Severity.WARNING if doubtful else None
        text = f"The Service sends to port {target}; its pods open {known}"
        yield file.finding("TM-X36", text, offset, severity=severity)
