"""Mistakes that show only when the files of a repository are seen together."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from tidemill.base.findings import Finding, Severity
from tidemill.spec.lint.files import LintFile
from tidemill.spec.lint.scripts import CREATE

Found = Iterator[tuple[Path, Finding]]
DOWNLOAD = re.compile(r"\bml[\"',\s]{1,6}job[\"',\s]{1,6}download\b")
WAITS = re.compile(r"\bjob[\"',\s]{1,6}(?:stream|show)\b|--stream\b")
CREATE_LIST = re.compile(r"[\"']ml[\"'],\s*[\"']job[\"'],\s*[\"']create[\"'](?P<rest>[^\]]*)\]")
TARGET = re.compile(
    r"job\s+download\b(?:[^\n\\]|\\[\s\S]){0,500}?(?P<place>--download-path[ =][\"']?(?P<folder>[\w./-]+))"
)
APPLY = re.compile(r"kubectl\s+(?:-\S+\s+)*apply\b[^\n]*?-f[ =](?P<folder>[\w./-]+)")
CONTEXT = re.compile(r"^\s*context:\s*[\"']?(?P<folder>[\w./-]+)", re.MULTILINE)
FETCHED = re.compile(
    r"uses:\s*actions/download-artifact@[^\n]*\n\s*with:\s*\n(?:\s+[\w-]+:[^\n]*\n)*?\s+path:\s*[\"']?(?P<folder>[\w./-]+)"
)
SCRIPTS = {"workflow", "devops", "shell", "python"}


def lint_together(files: Sequence[LintFile]) -> Found:
    """Findings that need more than one file."""
    scripts = [f for f in files if f.kind in SCRIPTS]
    yield from _downloads(scripts)
    yield from _layouts(files, scripts)
    yield from _contexts(files)
    yield from _namespaces(files, scripts)
    yield from _weights(files)


def _downloads(scripts: Sequence[LintFile]) -> Found:
    """A job is created and not waited for, and its outputs are downloaded."""
    if not any(DOWNLOAD.search(f.bare) for f in scripts) or any(WAITS.search(f.bare) for f in scripts):
        return
    for file in scripts:
        for found in (*CREATE.finditer(file.bare), *CREATE_LIST.finditer(file.bare)):
            yield (
                file.path,
                file.finding("TM-X01", "The job's outputs are downloaded, but nobody waits for it", found.start()),
            )


def _layouts(files: Sequence[LintFile], scripts: Sequence[LintFile]) -> Found:
    """`az ml job download` writes into `named-outputs/<output>/`; those who read elsewhere find an old file."""
    if any("named-outputs" in f.text for f in files):
        return
    for file in scripts:
        for found in TARGET.finditer(file.bare):
            folder = found["folder"]
            if folder.strip("./"):
                text = f"The files arrive in `{folder.rstrip('/')}/named-outputs/…`, which nothing here reads"
                yield file.path, file.finding("TM-X02", text, found.start("place"))


def _contexts(files: Sequence[LintFile]) -> Found:
    """The model is fetched into one folder, the image is built from another of the same name."""
    for file in files:
        if file.kind != "workflow":
            continue
        fetched = {posixpath.normpath(f["folder"]) for f in FETCHED.finditer(file.bare)}
        for found in CONTEXT.finditer(file.bare):
            context = posixpath.normpath(found["folder"])
            inside = any(context in (f, ".") or f.startswith(f"{context}/") for f in fetched)
            twin = next((f for f in sorted(fetched) if posixpath.basename(f) == posixpath.basename(context)), None)
            if twin and not inside:
                text = f"The image is built from `{context}`, but the files were fetched into `{twin}`"
                hint = f"Fetch them into `{context}`, or build from `{twin}`."
                yield (
                    file.path,
                    file.finding("TM-X04", text, found.start("folder"), hint=hint, severity=Severity.WARNING),
                )


def _namespaces(files: Sequence[LintFile], scripts: Sequence[LintFile]) -> Found:
    """`kubectl apply -f folder/` goes by file name: what sorts before its namespace is refused the first time."""
    applied = {posixpath.normpath(m["folder"]) for f in scripts for m in APPLY.finditer(f.text)}
    folders: dict[Path, list[LintFile]] = {}
    for file in files:
        if file.kind == "manifest":
            folders.setdefault(file.path.parent, []).append(file)
    for folder, members in folders.items():
        if not any(folder.as_posix().endswith(a) for a in applied) or (folder / "kustomization.yaml").exists():
            continue
        for file in members:
            made = re.search(r"^kind:\s*Namespace\s*$", file.bare, re.MULTILINE)
            name = _namespace_name(file) if made else ""
            early = [
                m
                for m in members
                if m.path.name < file.path.name and re.search(rf"namespace:\s*[\"']?{re.escape(name)}\b", m.bare)
            ]
            if made and name and early:
                text = f"`{early[0].path.name}` is applied before its namespace `{name}` is made"
                yield file.path, file.finding("TM-X37", text, made.start())


def _namespace_name(file: LintFile) -> str:
    try:
        for item in yaml.load_all(file.text, Loader=yaml.CSafeLoader):
            if isinstance(item, dict) and item.get("kind") == "Namespace" and isinstance(item.get("metadata"), dict):
                return str(item["metadata"].get("name", ""))
    except (yaml.YAMLError, ValueError, RecursionError):
        return ""
    return ""


def _weights(files: Sequence[LintFile]) -> Found:
    """A SavedModel whose index is there and whose numbers are not cannot be loaded."""
    for file in files:
        model = file.kind == "weights" and (file.path.parent.parent / "saved_model.pb").exists()
        if model and not any(file.path.parent.glob("variables.data-*")):
            yield file.path, file.finding("TM-X40", "`variables.data-*` is missing: the model cannot be loaded", 0)
