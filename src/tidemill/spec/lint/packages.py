"""Which packages, in which versions, conda files, requirements and Dockerfiles ask for, and where they say so."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from tidemill.base.files import is_plain_file
from tidemill.base.frozen import frozen
from tidemill.spec.lint.files import MAX_BYTES, LintFile

WANTED = re.compile(
    r"(?:[\w.-]+::)?(?P<name>[A-Za-z][\w.-]*)(?:\[[^\]]*\])?\s*(?P<rest>(?P<op>===?|=|~=|!=|[<>]=?)?\s*(?P<version>[\w.*]*).*)"
)
FROM = re.compile(
    r"^FROM\s+(?:--platform=\S+\s+)?(?P<image>\S+)(?:\s+AS\s+(?P<name>\S+))?", re.IGNORECASE | re.MULTILINE
)
PYTHON = re.compile(r"(?:^|/)python:(?P<version>\d+\.\d+)")
INSTALL = re.compile(r"\bpip3?\s+install\b(?P<words>(?:[^\n\\;&|]|\\[\s\S])*)")
WORD = re.compile(r"[^\s\\\"']+")
SAME = {"sklearn": "scikit-learn", "pytorch": "torch", "tensorflow-cpu": "tensorflow", "tensorflow-gpu": "tensorflow"}


@frozen
class Wanted:
    """One package as asked for; `version` is empty unless it is exactly one, `is_free` when nothing is said of it."""

    name: str
    version: str
    is_free: bool
    file: LintFile
    offset: int

    @property
    def minor(self) -> tuple[int, ...]:
        """The first two numbers of the version: (1, 4); empty when it does not say so much."""
        return minor_of(self.version)


def minor_of(version: str) -> tuple[int, ...]:
    """`1.4.2` → (1, 4)."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else ()


def parse_wanted(text: str, file: LintFile, offset: int) -> Wanted | None:
    """`scikit-learn==1.4.2`, `python=3.8`, `conda-forge::numpy`; None for options, paths and URLs."""
    found = WANTED.match(text)
    if found is None or "/" in text or text.startswith("-"):
        return None
    name = found["name"].lower().replace("_", "-")
    is_exact = found["op"] in {"=", "==", "==="} and "," not in found["rest"]
    version = found["version"].removesuffix(".*") if is_exact else ""
    return Wanted(
        SAME.get(name, name), version, not found["op"] and not found["rest"].split(";")[0].strip(), file, offset
    )


def conda_packages(node: yaml.Node | None, file: LintFile) -> Iterator[Wanted]:
    """The packages of a conda specification, with those of its `pip:`."""
    for entry in items(child(node, "dependencies")):
        for part in items(child(entry, "pip")) if isinstance(entry, yaml.MappingNode) else (entry,):
            found = parse_wanted(part.value, file, place(part)) if isinstance(part, yaml.ScalarNode) else None
            if found is not None:
                yield found


def docker_packages(file: LintFile) -> Iterator[Wanted]:
    """What a Dockerfile installs by pip: named itself, and in requirement files beside it."""
    for install in INSTALL.finditer(file.bare):
        words = list(WORD.finditer(install["words"]))
        for number, word in enumerate(words):
            before = words[number - 1].group() if number else ""
            if before in {"-r", "--requirement"}:
                yield from _requirements(file.path, word.group())
            elif not before.startswith("-") or before in {
                "--no-cache-dir",
                "--upgrade",
                "-U",
                "-q",
                "--quiet",
                "--user",
            }:
                found = parse_wanted(word.group(), file, install.start("words") + word.start())
                if found is not None:
                    yield found


def _requirements(dockerfile: Path, name: str) -> Iterator[Wanted]:
    """The file as the build finds it: beside the Dockerfile, or below a folder above that is the context."""
    folder = dockerfile.absolute().parent
    places = [f / name.lstrip("/") for f in (folder, *list(folder.parents)[:2])] + [folder / Path(name).name]
    path = next((p for p in places if is_plain_file(p) and p.stat().st_size <= MAX_BYTES), None)
    if path is None:
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    shown = path if dockerfile.is_absolute() else Path(os.path.relpath(path))
    file = LintFile(shown, "requirements", text, text)
    for line in re.finditer(r"^[ \t]*(?P<wanted>[^\s#-][^\n#]*)", text, re.MULTILINE):
        found = parse_wanted(line["wanted"].strip(), file, line.start("wanted"))
        if found is not None:
            yield found


def docker_python(file: LintFile) -> tuple[str, int] | None:
    """The Python of the last stage, where an official image says it."""
    stages = list(FROM.finditer(file.bare))
    named = {s["name"]: s for s in stages if s["name"]}
    last = stages[-1] if stages else None
    for _ in stages:
        if last is None or last["image"] not in named or named[last["image"]] is last:
            break
        last = named[last["image"]]
    found = PYTHON.search(last["image"]) if last is not None else None
    return (found["version"], last.start("image")) if found and last is not None else None


def compose(text: str) -> yaml.Node | None:
    """The nodes of a document; None when it is no YAML."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return node


def child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key; None when there is none."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def items(node: yaml.Node | None) -> list[yaml.Node]:
    """The entries of a list; none when it is something else."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def place(node: yaml.Node) -> int:
    """Where a node begins in its text."""
    return int(node.start_mark.index)
