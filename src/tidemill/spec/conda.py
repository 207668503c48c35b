"""Conda files: what conda would refuse, or leave out without a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tidemill.base.errors import SpecError
from tidemill.base.files import is_plain_file
from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.codes import CODES
from tidemill.spec.problems import describe, dotted
from tidemill.spec.source import Source, parse_source, read_source

Path_ = tuple[str | int, ...]
LIST = "dependencies"
KEYS = (LIST, "channels", "name", "prefix", "variables")
OPEN = re.compile(r"\{\{|\$\{|<[^<>]+>")  # a template of another tool: what it will say is not known
PYTHON = re.compile(r"(?:[\w.-]+::)?python(?![\w.-])", re.IGNORECASE)
BRINGS_PYTHON = {"anaconda", "pypy"}
PIP_LINE = re.compile(r"-\w|--\w|git\+")
PIP_WITHOUT_COLON = re.compile(r"pip\s+-\s")
REQUIREMENTS = re.compile(r"(?:-r|--requirement)[ =]\s*(?P<file>\S+)")


def read_conda_file(path: Path, text: str | None = None) -> tuple[Any, tuple[Finding, ...]]:
    """The content of a conda file, None when it is no YAML, and everything that is wrong with it. `SpecError` when there is no such file."""
    if text is None and not is_plain_file(path):
        raise SpecError(f"No conda file at {path}", hint="The path is relative to the environment's file.")
    try:
        source = read_source(path) if text is None else parse_source(path, text)
    except SpecError as exc:
        return None, exc.findings
    found = conda_findings(source, source.data(), (), path.absolute().parent)
    return source.data(), (*source.findings, *found)


def is_conda(content: Any) -> bool:  # noqa: ANN401 - any YAML value
    """Whether a file that is no document looks like a conda file, a misspelt one too."""
    keys = set(content) if isinstance(content, Mapping) else set()
    return bool(keys & {LIST, "channels"}) and not keys & {"$schema", "type", "jobs"}


def conda_findings(source: Source, content: Any, at: Path_, folder: Path | None) -> Iterator[Finding]:  # noqa: ANN401 - any YAML value
    """What is wrong with a conda specification that stands at `at` of a file, itself or as a value of an environment."""
    if not isinstance(content, Mapping):
        text = f"A conda file is a mapping with `{LIST}:`, not {describe(content)}"
        yield _finding(source, "TM-E102", text, at, f"Write `{LIST}:` and a list of packages below it.")
        return
    if "pip" in content:
        text = "`pip:` beside `dependencies:` is not read: conda ignores it"
        hint = "Move it into the list under `dependencies:`, as `- pip:` with its packages below, indented."
        yield _finding(source, "TM-E103", text, (*at, "pip"), hint, key=True)
    listed = content.get(LIST)
    if not isinstance(listed, list) or not listed:
        yield _no_list(source, content, at)
        return
    for number, entry in enumerate(listed):
        yield from _entry(source, entry, (*at, LIST, number), folder)
    names = [entry for entry in listed if isinstance(entry, str)]
    if not any(PYTHON.match(n) or OPEN.search(n) or n.split("=")[0] in BRINGS_PYTHON for n in names):
        text = "No `python` among the packages: which version is installed is left to the day it is built"
        yield _finding(
            source, "TM-E104", text, (*at, LIST), "Add `- python=3.11`, or the version the code needs.", key=True
        )


def _no_list(source: Source, content: Mapping[Any, Any], at: Path_) -> Finding:
    if LIST in content:
        listed = content[LIST]
        text = f"`{LIST}` must be a list of packages, not {'an empty one' if listed == [] else describe(listed)}"
        return _finding(source, "TM-E102", text, (*at, LIST), "Write one `- package=version` per line.")
    for key in content:
        if key not in KEYS and did_you_mean(str(key), KEYS) == (hint := f"Did you mean `{LIST}`?"):
            return _finding(source, "TM-E102", f"There are no `{LIST}`, but `{key}`", (*at, key), hint, key=True)
    return _finding(source, "TM-E102", f"There are no `{LIST}`", at, f"Add `{LIST}:` and a list of packages.", key=True)


def _entry(source: Source, entry: Any, at: Path_, folder: Path | None) -> Iterator[Finding]:  # noqa: ANN401
    if isinstance(entry, Mapping):
        yield from _mapping(source, entry, at, folder)
    elif isinstance(entry, list) or entry is None:
        text = f"A package is a line of text, not {describe(entry)}"
        yield _finding(source, "TM-E102", text, at, "Write one `- package=version` per line.")
    elif PIP_WITHOUT_COLON.match(str(entry)):
        yield _finding(source, "TM-E103", "`pip` has packages below it and no colon", at, "Write `- pip:`.")
    elif PIP_LINE.match(str(entry)):
        hint = "Move it below `- pip:`, indented."
        yield _finding(source, "TM-E103", f"`{entry}` is for pip; conda does not understand it", at, hint)


def _mapping(source: Source, entry: Mapping[Any, Any], at: Path_, folder: Path | None) -> Iterator[Finding]:
    for key, value in entry.items():
        if key != "pip":
            hint = "Quote the line, or write `- package=version`." if value is not None else "Leave the colon out."
            yield _finding(
                source,
                "TM-E102",
                f"`{key}:` is no package; only `pip:` has a list below it",
                (*at, key),
                hint,
                key=True,
            )
        elif not isinstance(value, list | None):
            text = f"`pip` must be a list of packages, not {describe(value)}"
            yield _finding(source, "TM-E103", text, (*at, "pip"), "Write one `- package==version` per line, indented.")
        for number, line in enumerate(value if isinstance(value, list) else ()):
            named = REQUIREMENTS.match(str(line))
            if (
                named
                and folder is not None
                and not OPEN.search(named["file"])
                and not is_plain_file(folder / named["file"])
            ):
                text = f"No requirements file at `{named['file']}`"
                yield _finding(source, "TM-R101", text, (*at, key, number), "The path is relative to the conda file.")


def _finding(source: Source, code: str, message: str, path: Path_, hint: str, *, key: bool = False) -> Finding:
    return Finding(code, CODES[code].severity, message, hint, source.locate(path, key=key), dotted(path))
