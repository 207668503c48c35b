"""How a model gets from the registry to the server: which one is taken, and by which name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tidemill.base.findings import Finding, Severity
from tidemill.spec.lint.files import LintFile

Found = Iterator[tuple[Path, Finding]]
SCRIPTS = {"workflow", "devops", "shell"}
# The rest of one command: quoted words whole, over continued lines, up to a pipe or the end.
REST = r"(?:\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\n\\|;&\"'()]|\\[\s\S]){0,400}"

NUMBERED = (
    r"(?P<name>[\w.-]*(?:model|weights)[\w.]*[-_]v?\d+(?:\.\d+)*\.(?:zip|tar\.gz|tgz|onnx|keras|joblib|pkl|h5|pt))"
)
ASSET = re.compile(rf"(?:\[[\"']name[\"']\]|\.get\([\"']name[\"']\)|\.name)\s*==\s*[\"']{NUMBERED}[\"']")
DOWNLOAD = re.compile(rf"/releases/latest/download/{NUMBERED}")

MODELS = re.compile(rf"\baz\s+ml\s+model\s+list\b(?P<rest>{REST})")
NAMED = re.compile(r"(?<!\S)(?:--name|-n)[ =]|name\s*==|contains\(\s*name|starts_with\(\s*name")
PICK = re.compile(r"\[-?[01]\]")
KEPT = re.compile(r"\b(?P<name>\w+)=[\"']?\$\(\s*$")
PICKS_NAME = re.compile(r"\[-?[01]\]\s*(?:\[\\?[\"']name\\?[\"']\]|\.(?:get\(\\?[\"'])?name\b)")
SDK = re.compile(
    r"\b(?P<name>\w+)\s*=\s*(?:list|sorted)\(\s*\w+\.models\.list\(\s*\)"
    r"|(?P<pick>list\(\s*\w+\.models\.list\(\s*\)\s*\)\[-?[01]\])"
)

REGISTER = re.compile(rf"\baz\s+ml\s+(?P<noun>environment|component)\s+create\b(?P<rest>{REST})")
VERSIONED = re.compile(r"--set\s+(?:\S+\s+)*?version=|(?<!\S)(?:--version|-v)[ =]")
EXISTS = re.compile(r"\|\|\s*echo\s[^\n]*\bexists?\b", re.IGNORECASE)
NAMED_FILE = re.compile(r"(?:--file|-f)[ =][\"']?(?P<file>[\w./-]+\.ya?ml)")
GUARD = re.compile(
    rf"\bif\s+(?:!\s*)?(?P<place>az\s+ml\s+(?P<noun>environment|component)\s+show\b{REST}"
    r"(?<!\S)(?:--version|-v)[ =][\"']?(?P<version>\d[\w.-]*))(?P<block>[\s\S]{0,1200}?)\bfi\b"
)
SKIPPED = re.compile(r"\b(?P<noun>environment|component)\b[^\n]{0,60}already exists[^\n]{0,40}skip", re.IGNORECASE)
CALLS = re.compile(r"[\"'](?P<noun>environment|component)[\"'],\s*[\"']create[\"']")

LEAKED = re.compile(r"(?<=[/\"'])INPUT_(?P<name>[a-z]\w*)(?=[/\"'\s]|$)")
REGISTERS = re.compile(r"^\s+registration_details\w*:", re.MULTILINE)


def lint_releases(files: Sequence[LintFile]) -> Found:
    """Findings of the scripts, manifests and serving code that bring a model to its server."""
    documents = [f for f in files if f.kind == "azure"]
    for file in files:
        for finding in (*_assets(file), *_any_model(file), *_stale(file, documents), *_leaks(file, documents)):
            yield file.path, finding


def _assets(file: LintFile) -> Iterator[Finding]:
    """The newest release is asked for, but a file of one version is looked for in it."""
    if "releases/latest" not in file.bare or file.kind not in {"python", *SCRIPTS}:
        return
    for found in (*ASSET.finditer(file.bare), *DOWNLOAD.finditer(file.bare)):
        text = f"The newest release is asked for `{found['name']}`, the file of one version"
        yield file.finding("TM-X06", text, found.start("name"))


def _any_model(file: LintFile) -> Iterator[Finding]:
    """The first or last of all models, of whatever name, is taken."""
    if file.kind == "python":
        yield from _any_model_of_sdk(file)
    if file.kind not in SCRIPTS or "model" not in file.bare:
        return
    for found in MODELS.finditer(file.bare):
        if NAMED.search(found["rest"]):
            continue
        kept = KEPT.search(file.bare, max(0, found.start() - 80), found.start())
        pick = PICK.search(found["rest"])
        if pick:
            yield file.finding("TM-X09", "The list holds models of every name", found.start("rest") + pick.start())
        elif kept:
            yield from _picks_of(file, kept["name"], found.end())


def _picks_of(file: LintFile, variable: str, start: int) -> Iterator[Finding]:
    """The first place where a line that reads `$variable` takes a name out of it."""
    for line in re.finditer(rf"^[^\n]*\$\{{?{re.escape(variable)}\b[^\n]*$", file.bare[start:], re.MULTILINE):
        pick = PICKS_NAME.search(line.group())
        if pick:
            place = start + line.start() + pick.start()
            yield file.finding("TM-X09", f"`${variable}` holds models of every name", place)
            return


def _any_model_of_sdk(file: LintFile) -> Iterator[Finding]:
    if ".models.list(" not in file.bare or "azure.ai.ml" not in file.bare:
        return
    for found in SDK.finditer(file.bare):
        place = found if found["pick"] else None
        if found["name"]:
            used = re.compile(rf"\b{re.escape(found['name'])}\[-?[01]\]\.(?:name|version)\b")
            place = used.search(file.bare, found.end())
        if place is not None:
            yield file.finding("TM-X09", "The list holds models of every name", place.start())


def _stale(file: LintFile, documents: Sequence[LintFile]) -> Iterator[Finding]:
    """An environment or component is registered under a version that does not move with its content."""
    if file.kind == "python":
        nouns = {found["noun"] for found in CALLS.finditer(file.bare)}
        for found in SKIPPED.finditer(file.bare):
            if found["noun"].lower() in nouns:
                yield file.finding("TM-X12", f"The registered {found['noun'].lower()} is kept as it is", found.start())
    if file.kind not in SCRIPTS:
        return
    guarded: list[tuple[int, int]] = []
    for found in GUARD.finditer(file.bare):
        if re.search(rf"\baz\s+ml\s+{found['noun']}\s+create\b", found["block"]):
            guarded.append(found.span())
            text = f"Version {found['version']} of the {found['noun']} is kept when it exists, whatever its file says"
            yield file.finding("TM-X12", text, found.start("place"))
    for found in REGISTER.finditer(file.bare):
        if not VERSIONED.search(found["rest"]) and not any(a <= found.start() < b for a, b in guarded):
            yield from _registered(file, found, documents)


def _registered(file: LintFile, call: re.Match[str], documents: Sequence[LintFile]) -> Iterator[Finding]:
    named = NAMED_FILE.search(call["rest"])
    document = _document(named["file"], documents) if named else None
    version = re.search(r"^version:\s*[\"']?(?P<version>[\w.-]+)", document.bare, re.MULTILINE) if document else None
    if document is not None and version is None:
        return  # without a version Azure ML gives a new one
    if EXISTS.match(file.bare, call.end()):
        text = f"A changed {call['noun']} is refused under its old version, and the refusal is ignored"
        yield file.finding("TM-X12", text, call.start())
    elif version is not None:
        text = f"The {call['noun']} is registered as version {version['version']} every time"
        yield file.finding("TM-X12", text, call.start(), severity=Severity.INFO)


def _document(name: str, documents: Sequence[LintFile]) -> LintFile | None:
    tail = f"/{posixpath.normpath(name).lstrip('./')}"
    matching = [d for d in documents if f"/{d.path.as_posix()}".endswith(tail)]
    return matching[0] if len(matching) == 1 else None


def _leaks(file: LintFile, documents: Sequence[LintFile]) -> Iterator[Finding]:
    """A path holds the name of an input of the component that registered the model."""
    if file.kind in {"data", "azure", "weights"} or "INPUT_" not in file.bare:
        return
    found = LEAKED.search(file.bare)
    if not found:
        return
    inputs = _registering_inputs(documents)
    name = found["name"]
    gone = bool(inputs) and name not in inputs
    text = f"`{found.group()}` is called after an input of the component that registered the model"
    if gone:
        text = f"`{found.group()}`: no component that registers a model has an input `{name}`"
    yield file.finding("TM-X17", text, found.start(), severity=Severity.WARNING if gone else Severity.INFO)


def _registering_inputs(documents: Sequence[LintFile]) -> set[str]:
    """The inputs of the components that register models; keys below them too, which only makes this quieter."""
    names: set[str] = set()
    for document in documents:
        if re.search(r"^jobs:", document.bare, re.MULTILINE) or not REGISTERS.search(document.bare):
            continue
        block = re.search(r"^inputs:[^\n]*\n(?P<block>(?:[ \t]+[^\n]*\n|\n)*)", f"{document.bare}\n", re.MULTILINE)
        if block:
            names.update(re.findall(r"^[ \t]+(\w+):", block["block"], re.MULTILINE))
    return names
