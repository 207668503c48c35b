"""Mistakes of a repository that no single document shows: workflows, Dockerfiles, manifests, scripts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tidemill.base.findings import Finding
from tidemill.spec.lint.files import lint_files

# Rules are imported when a file of their kind is there: one pipeline by itself needs few of them.
EVERY = ("scripts:lint_secrets", "ignores:lint_ignores")
ALONE: Mapping[str, Sequence[str]] = {
    "workflow": ("workflow:lint_workflow",),
    "devops": ("scripts:lint_shell", "scripts:lint_roles"),
    "dockerfile": ("images:lint_dockerfile",),
    "python": ("python:lint_python", "labels:lint_labels", "cors:lint_cors"),
    "shell": ("scripts:lint_shell", "runners:lint_quotes"),
    "azure": ("components:lint_azure",),
}
SCRIPTS = {"workflow", "devops", "shell", "python"}
TOGETHER: Sequence[tuple[Collection[str], str]] = (
    ({"manifest"}, "images:lint_manifests"),
    ({"manifest"}, "pods:lint_pods"),
    ({"dockerfile"}, "images:lint_copies"),
    ({*SCRIPTS, "manifest", "weights"}, "together:lint_together"),
    ({"azure", "data", "dockerfile", "workflow"}, "versions:lint_versions"),
    ({*SCRIPTS, "dockerfile", "manifest", "environment"}, "releases:lint_releases"),
    ({"azure", "python"}, "held_out:lint_held_out"),
)


def lint_repository(root: Path, paths: Sequence[Path]) -> list[tuple[Path, Finding]]:
    """Findings of the files below the folders of `paths`, and of linted files named themselves."""
    files = list(lint_files(root, paths))
    kinds = {f.kind for f in files}
    found = [
        (f.path, finding) for f in files for rule in (*ALONE.get(f.kind, ()), *EVERY) for finding in _rule(rule)(f)
    ]
    for needed, rule in TOGETHER:
        if kinds & set(needed):
            found += _rule(rule)(files)
    if "python" in kinds:
        found += _rule("skew:lint_skew")(files, paths)
    return sorted(found, key=lambda pair: (str(pair[0]), pair[1].at.line, pair[1].at.column, pair[1].code))


@cache
def _rule(place: str) -> Callable[..., Iterable[Any]]:
    """What `pods:lint_pods` names, in this package."""
    module, _, name = place.partition(":")
    rule: Callable[..., Iterable[Any]] = getattr(import_module(f"tidemill.spec.lint.{module}"), name)
    return rule
