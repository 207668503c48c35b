"""Versions that are promised and not asked for, and a model that is trained with one and served with another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from tidemill.base.findings import Finding, Severity
from tidemill.base.frozen import frozen
from tidemill.spec.lint.files import LintFile
from tidemill.spec.lint.packages import (
    Wanted,
    child,
    compose,
    conda_packages,
    docker_packages,
    docker_python,
    minor_of,
)

CLAIMED = {
    "tensorflow": "tensorflow",
    "torch": "(?:py)?torch",
    "scikit-learn": "scikit-learn|sklearn",
    "keras": "keras",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "transformers": "transformers",
}
SERVERS = re.compile(
    r"\b(?:uvicorn|gunicorn|fastapi|flask|gradio|streamlit|hypercorn|waitress|mlserver|bentoml)\b", re.IGNORECASE
)
PICKLES = re.compile(r"\bjoblib\.load\b|\bpickle\.load\b|\bmlflow\.sklearn\b|\bcloudpickle\b")
CI_PYTHON = re.compile(r"^\s*python-version:\s*[\"']?(?P<version>\d+\.\d+)(?:\.\d+)?[\"']?\s*$", re.MULTILINE)
MATRIX = re.compile(r"python-version:\s*(?:\[|\$|\n)|matrix:")
Found = Iterator[tuple[Path, Finding]]


@frozen
class Environment:
    """One conda specification and the document that names it."""

    document: LintFile
    root: yaml.Node
    is_asset: bool
    packages: tuple[Wanted, ...]


def lint_versions(files: Sequence[LintFile]) -> Found:
    """What environments promise; then servers and workflows against what the model is trained with."""
    environments = list(_environments(files))
    said: set[tuple[Path, int]] = set()
    for environment in environments:
        for path, finding in _lint_promises(environment):
            if (path, finding.at.line) not in said:
                said.add((path, finding.at.line))
                yield path, finding
    packages = [p for e in environments for p in e.packages]
    library, python = _trained_with(packages, "scikit-learn"), _trained_with(packages, "python")
    for file in files:
        if file.kind == "dockerfile" and (library or python):
            yield from _lint_server(file, files, library, python)
        elif file.kind == "workflow" and python:
            yield from _lint_workflow(file, python)


def _environments(files: Sequence[LintFile]) -> Iterator[Environment]:
    """Every conda specification of the documents; a deployment's is what serves, not what trains."""
    known = {os.path.normpath(f.path.absolute()): f for f in files}
    for file in files:
        if file.kind not in {"azure", "data"} or "conda_file" not in file.text:
            continue
        root = compose(file.text)
        if root is None or child(root, "endpoint_name") is not None:
            continue
        for holder in _holders(root):
            value = child(holder, "conda_file")
            if isinstance(value, yaml.ScalarNode):
                other = known.get(os.path.normpath(file.path.absolute().parent / value.value))
                packages = tuple(conda_packages(compose(other.text), other)) if other is not None else ()
            else:
                packages = tuple(conda_packages(value, file))
            yield Environment(file, holder, holder is root, packages)


def _holders(root: yaml.Node) -> Iterator[yaml.Node]:
    """The mappings with a conda file: the document, or an environment inside."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue  # an anchor that leads back
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            if child(node, "conda_file") is not None:
                yield node
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _lint_promises(environment: Environment) -> Found:
    """A tag, name or image says a version, and the packages do not ask for any."""
    if not environment.is_asset:
        return
    texts = [
        str(n.value) for n in (child(environment.root, k) for k in ("name", "image")) if isinstance(n, yaml.ScalarNode)
    ]
    tags = child(environment.root, "tags")
    pairs = tags.value if isinstance(tags, yaml.MappingNode) else []
    texts += [f"{key.value} {value.value}" for key, value in pairs if isinstance(value, yaml.ScalarNode)]
    for wanted in environment.packages:
        if not wanted.is_free or wanted.name not in CLAIMED:
            continue
        claim = re.compile(
            rf"(?<![a-z0-9])(?:{CLAIMED[wanted.name]})[\s:=_@v-]{{1,3}}(\d+\.\d+(?:\.\d+)*)", re.IGNORECASE
        )
        found = next((m for t in texts if (m := claim.search(t))), None)
        if found:
            said = f"`{wanted.name}` is any version here; `{environment.document.path.name}` says {found[1]}"
            hint = f"Ask for it: `{wanted.name}=={found[1]}`."
            yield wanted.file.path, wanted.file.finding("TM-X35", said, wanted.offset, hint=hint)


def _trained_with(packages: Sequence[Wanted], name: str) -> Wanted | None:
    """The version all environments agree on; None when they do not, for then nobody knows which one trains."""
    found = [p for p in packages if p.name == name]
    if not found or not all(p.minor for p in found) or len({p.minor for p in found}) > 1:
        return None
    return found[0]


def _lint_server(file: LintFile, files: Sequence[LintFile], library: Wanted | None, python: Wanted | None) -> Found:
    """An image that serves, against the environment that trains."""
    installed = list(docker_packages(file))
    if not SERVERS.search(file.bare) and not any(SERVERS.fullmatch(p.name) for p in installed):
        return
    for wanted in installed:
        if library and wanted.name == library.name and wanted.minor and wanted.minor != library.minor:
            yield wanted.file.path, _skew(wanted.file, wanted.offset, "scikit-learn", wanted.version, library)
    found = docker_python(file)
    if found and python and minor_of(found[0]) != python.minor:
        folder = file.path.parent
        unpickles = any(f.kind == "python" and folder in f.path.parents and PICKLES.search(f.text) for f in files)
        severity = Severity.WARNING if unpickles else Severity.INFO
        yield file.path, _skew(file, found[1], "Python", found[0], python, severity)


def _lint_workflow(file: LintFile, python: Wanted) -> Found:
    """A workflow that tests with one Python what is trained with another; a matrix does so on purpose."""
    found = list(CI_PYTHON.finditer(file.bare))
    if not found or MATRIX.search(file.bare) or python.minor in {minor_of(f["version"]) for f in found}:
        return
    version = found[0]["version"]
    yield file.path, _skew(file, found[0].start("version"), "Python", version, python, Severity.INFO)


def _skew(
    file: LintFile, offset: int, name: str, version: str, trained: Wanted, severity: Severity | None = None
) -> Finding:
    text = f"{name} is {version} here; the model is trained with {trained.version} (`{trained.file.path}`)"
    return file.finding("TM-X43", text, offset, severity=severity)
