"""Mistakes of a repository that no single document shows: workflows, Dockerfiles, manifests, scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tidemill.base.findings import Finding
from tidemill.spec.lint.components import lint_azure
from tidemill.spec.lint.cors import lint_cors
from tidemill.spec.lint.files import LintFile, lint_files
from tidemill.spec.lint.held_out import lint_held_out
from tidemill.spec.lint.ignores import lint_ignores
from tidemill.spec.lint.images import lint_copies, lint_dockerfile, lint_manifests
from tidemill.spec.lint.labels import lint_labels
from tidemill.spec.lint.pods import lint_pods
from tidemill.spec.lint.python import lint_python
from tidemill.spec.lint.releases import lint_releases
from tidemill.spec.lint.runners import lint_quotes
from tidemill.spec.lint.scripts import lint_secrets, lint_shell
from tidemill.spec.lint.skew import lint_skew
from tidemill.spec.lint.together import lint_together
from tidemill.spec.lint.versions import lint_versions
from tidemill.spec.lint.workflow import lint_workflow


def lint_repository(root: Path, paths: Sequence[Path]) -> list[tuple[Path, Finding]]:
    """Findings of the files below the folders of `paths`, and of linted files named themselves."""
    files = list(lint_files(root, paths))
    found = [(f.path, finding) for f in files for finding in (*RULES[f.kind](f), *lint_secrets(f), *lint_ignores(f))]
    found += [(f.path, finding) for f in files if f.kind == "python" for finding in (*lint_labels(f), *lint_cors(f))]
    manifests = [f for f in files if f.kind == "manifest"]
    found += [*lint_manifests(manifests), *lint_pods(manifests)]
    found += lint_copies(files)
    found += lint_together(files)
    found += lint_versions(files)
    found += [*lint_releases(files), *lint_held_out(files), *lint_skew(files, paths)]
    return sorted(found, key=lambda pair: (str(pair[0]), pair[1].at.line, pair[1].at.column, pair[1].code))


def _lint_shell_file(file: LintFile) -> Iterator[Finding]:
    yield from lint_shell(file)
    yield from lint_quotes(file)


def _nothing(_file: LintFile) -> Iterator[Finding]:
    return iter(())


RULES: Mapping[str, Callable[[LintFile], Iterator[Finding]]] = {
    "workflow": lint_workflow,
    "dockerfile": lint_dockerfile,
    "python": lint_python,
    "shell": _lint_shell_file,
    "azure": lint_azure,
    "manifest": _nothing,
    "environment": _nothing,
    "data": _nothing,
    "weights": _nothing,
}
