"""Test data that is put aside and then forgotten: no metric, so nothing to decide by."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.base.files import is_plain_file
from tidemill.base.findings import Finding
from tidemill.spec.lint.files import LintFile, offset_of, parse_quietly, read_yaml

Found = Iterator[tuple[Path, Finding]]
FITS = re.compile(r"\.fit\w*\(")
KEEPS = re.compile(r"\bdump\(|\.save\w*\(|\bsave\w*\(|log_model\(|\.to_onnx\(|\.export\(")
# Another way to a metric: then the test set is wasted, and nothing worse.
SCORED = re.compile(r"cross_val|SearchCV|validation_(?:data|split)|eval_set|autolog")
TEST = re.compile(r"(?:^|_)test(?:ing)?(?:_|$)", re.IGNORECASE)
TRAIN = re.compile(r"(?:^|_)train(?:ing)?(?:_|$)", re.IGNORECASE)
HALVES = (2, 4)  # a table, or features and labels; more are weights and groups, which a metric may not need
COMPONENT = re.compile(r"^(?:file:|azureml:)?(?P<file>\.{1,2}/[\w./-]+\.ya?ml)$")


def lint_held_out(files: Sequence[LintFile]) -> Found:
    """Findings of training scripts and of pipelines with a step that splits."""
    for file in files:
        rule = {"python": _scripts, "azure": _pipelines}.get(file.kind)
        for finding in rule(file) if rule else ():
            yield file.path, finding


def _scripts(file: LintFile) -> Iterator[Finding]:
    """`train_test_split` whose test labels no line reads: whoever computes a metric needs them."""
    text = file.text
    if "train_test_split(" not in text or not (FITS.search(text) and KEEPS.search(text)) or SCORED.search(text):
        return
    try:
        nodes = list(ast.walk(parse_quietly(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    if read & {"locals", "globals", "vars", "exec", "eval"}:
        return
    for node in nodes:
        name = _last_half(node)
        if name and not name.startswith("_") and name not in read:
            words = f"`{name}` is put aside and never looked at: this model has no metric"
            yield file.finding("TM-X23", words, offset_of(text, node))


def _last_half(node: ast.AST) -> str:
    """The last name that a call of `train_test_split` fills, if it fills plain names."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call) or len(node.targets) != 1:
        return ""
    called = node.value.func
    target = node.targets[0]
    if "train_test_split" not in {getattr(called, "id", ""), getattr(called, "attr", "")}:
        return ""
    if not isinstance(target, ast.Tuple | ast.List) or len(target.elts) not in HALVES:
        return ""
    last = target.elts[-1]
    return last.id if isinstance(last, ast.Name) else ""


def _pipelines(file: LintFile) -> Iterator[Finding]:
    """A step that splits: its training half is read by a step, its test half by nobody."""
    if not re.search(r"^jobs:", file.bare, re.MULTILINE):
        return
    data = read_yaml(file.text)
    jobs = data.get("jobs") if isinstance(data, dict) else None
    for name, step in jobs.items() if isinstance(jobs, dict) else ():
        if isinstance(step, dict):
            yield from _unread(file, str(name), step)


def _unread(file: LintFile, name: str, step: Mapping[str, Any]) -> Iterator[Finding]:
    outputs = _outputs(file, step)
    given = step.get("outputs")
    bound = set(given) if isinstance(given, dict) else set()
    read = {o for o in outputs if re.search(rf"jobs\.{re.escape(name)}\.outputs\.{re.escape(o)}\b", file.bare)}
    if not any(TRAIN.search(o) for o in read):
        return
    place = re.search(rf"^[ \t]+(?P<name>[\"']?{re.escape(name)}[\"']?):", file.bare, re.MULTILINE)
    for output in outputs:
        # An output that is bound or only written down with a path is for somebody outside.
        if TEST.search(output) and not TRAIN.search(output) and output not in read | bound and place:
            text = f"No step reads `{output}` of `{name}`: the model is never tested"
            yield file.finding("TM-X23", text, place.start("name"))


def _outputs(file: LintFile, step: Mapping[str, Any]) -> list[str]:
    """The outputs of the step's component, when that is a file beside us."""
    named = COMPONENT.match(str(step.get("component", "")))
    if not named:
        return []
    path = file.path.parent / named["file"]
    if not is_plain_file(path):
        return []
    try:
        data = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return []
    outputs = data.get("outputs") if isinstance(data, dict) else None
    return [str(o) for o in outputs] if isinstance(outputs, dict) else []
