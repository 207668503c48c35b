"""GitHub workflows: what moves, what hides failures, and controls that do not control."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tidemill.base.findings import Finding, Severity
from tidemill.spec.lint.files import LintFile
from tidemill.spec.lint.runners import lint_script
from tidemill.spec.lint.scripts import lint_roles, lint_shell

PINNED = re.compile(r"@[0-9a-f]{40}\b")
SKIP = re.compile(r"\binputs\.skip\w*", re.IGNORECASE)
ONE_EXPRESSION = re.compile(r"\$\{\{(?:(?!\}\}).)*\}\}", re.DOTALL)
ALWAYS = "Words around `${{ }}` make the condition a text that is never empty: it always holds"
SECRET = re.compile(r"\$\{\{\s*secrets\.\w+\s*\}\}")
SCRIPT_KEYS = ("run", "inlineScript", "script", "azPSScript")
OUTPUT = re.compile(r"\bsteps\.(?P<step>[\w-]+)\.(?P<part>outputs|outcome|conclusion)(?:\.(?P<name>[\w-]+))?")
NEEDED = re.compile(r"\bneeds\.(?P<job>[\w-]+)\.outputs\.(?P<name>[\w-]+)")
CALLS_OUT = re.compile(
    r"\.(?:py|sh|ps1|js|ts|rb)\b|\./|\b(?:make|npm|npx|yarn|tidemill|poetry|uv|nox|tox|cargo|go|just)\b"
)
APPLIES = re.compile(r"\bkubectl\b[^\n]*\b(?:apply|set\s+image|rollout\s+restart)\b")
WAITS = re.compile(r"rollout\s+status|kubectl\b[^\n]*\bwait\b|helm\b[^\n]*--(?:wait|atomic)|tidemill")
CLEANUP = re.compile(r"\b(?:clean\s*-?up|stop|shut\s*down)\b.*\b(?:compute|cluster|machine)\b", re.IGNORECASE)
VARIABLE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)\}|(?P<plain>[A-Za-z_]\w*))")
AZ_LINE = re.compile(r"^[^\n']*\baz\s+(?:[^\n\\]|\\[\s\S])*", re.MULTILINE)
PROVIDED = re.compile(r"^(?:GITHUB_|RUNNER_|ACTIONS_|AZURE_|ARM_|INPUT_)|^(?:HOME|PATH|USER|PWD|CI|TMPDIR|SHELL|HOSTNAME|RANDOM|SECONDS|LINENO|BASHPID|UID|IFS|OLDPWD|LANG|TMP|TEMP|REPLY)$")  # fmt: skip
SED = re.compile(r"\bsed\s+-i[^\n]*\.ya?ml")
KEEPS = re.compile(r"git\s+(?:commit|push)|create-pull-request|auto-commit|kustomize|helm\s")


@dataclass(frozen=True, slots=True)
class _Step:
    """One step: its plain data, and the YAML node of each key."""

    data: Mapping[str, Any]
    nodes: Mapping[str, yaml.Node]
    script: yaml.ScalarNode | None


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    data: Mapping[str, Any]
    steps: Sequence[_Step]
    span: tuple[int, int]


def lint_workflow(file: LintFile) -> Iterator[Finding]:
    """A GitHub workflow or action; nothing when it is not YAML, which `check` says elsewhere."""
    yield from lint_shell(file)
    yield from lint_roles(file)
    try:
        root = yaml.compose(file.text, Loader=yaml.CSafeLoader)
        data = yaml.load(file.text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    if not isinstance(root, yaml.MappingNode) or not isinstance(data, dict):
        return
    jobs = list(_jobs(root, data))
    for job in jobs:
        condition = job.data.get("if")
        if isinstance(condition, str) and _is_always_true(condition):
            yield file.finding("TM-X28", ALWAYS, max(file.bare.find(condition[:20], *job.span), job.span[0]))
        elif isinstance(condition, str) and _is_inverted(condition, f"{job.name} {job.data.get('name', '')}"):
            text = f"It runs when it should be skipped: `{condition}`"
            yield file.finding("TM-X28", text, max(file.bare.find(condition.strip(), *job.span), job.span[0]))
        for step in job.steps:
            yield from _lint_step(file, step)
            if step.script is not None:
                yield from lint_script(file, job.data, step.data, step.script)
        yield from _lint_outputs(file, job, jobs)
        if "jobs" in data:
            yield from _lint_variables(file, data, job)
    yield from _lint_rollout(file, [s for j in jobs for s in j.steps])


def _pairs(node: yaml.Node | None) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): (key, value) for key, value in node.value}


def _jobs(root: yaml.MappingNode, data: Mapping[str, Any]) -> Iterator[_Job]:
    top = _pairs(root)
    for part, always in (("jobs", False), ("runs", True)):
        node = top[part][1] if part in top else None
        entries = {"runs": (node, node)} if always and node is not None else _pairs(node)
        for name, (_, value) in entries.items():
            plain = data[part] if always else data[part].get(name)
            if value is None or not isinstance(plain, dict):
                continue
            steps = _pairs(value).get("steps")
            span = (value.start_mark.index, value.end_mark.index)
            yield _Job(name, plain, list(_steps(steps[1], plain["steps"])) if steps else [], span)


def _steps(node: yaml.Node, data: Any) -> Iterator[_Step]:  # noqa: ANN401
    if not isinstance(node, yaml.SequenceNode) or not isinstance(data, list):
        return
    for item, plain in zip(node.value, data, strict=False):
        if isinstance(plain, dict):
            nodes = {key: value for key, (_, value) in _pairs(item).items()}
            inside = nodes | {key: value for key, (_, value) in _pairs(nodes.get("with")).items()}
            script = next((inside[k] for k in SCRIPT_KEYS if isinstance(inside.get(k), yaml.ScalarNode)), None)
            keys = {f"{key}:": where for key, (where, _) in _pairs(item).items()}
            yield _Step(plain, nodes | keys, script if isinstance(script, yaml.ScalarNode) else None)


def _place(node: yaml.Node) -> int:
    return int(node.start_mark.index)


def _lint_step(file: LintFile, step: _Step) -> Iterator[Finding]:
    uses, name = step.data.get("uses"), str(step.data.get("name", ""))
    if isinstance(uses, str) and not uses.startswith(("./", "docker://")) and not PINNED.search(uses):
        yield file.finding("TM-X35", f"`{uses}` is not pinned to a commit", _place(step.nodes["uses"]))
    step_id = step.data.get("id")
    handled = step_id and re.search(rf"steps\.{re.escape(str(step_id))}\.(?:outcome|conclusion)", file.text)
    if step.data.get("continue-on-error") is True and not handled:
        yield file.finding(
            "TM-X34", "`continue-on-error` ignores every failure", _place(step.nodes["continue-on-error:"])
        )
    condition = str(step.data.get("if", ""))
    if _is_always_true(condition):
        yield file.finding("TM-X28", ALWAYS, _place(step.nodes["if"]))
    elif _is_inverted(condition, name) and not _only_speaks(step):
        yield file.finding("TM-X28", f"It runs when it should be skipped: `{condition}`", _place(step.nodes["if"]))
    if CLEANUP.search(name) and step.script is not None and _only_speaks(step):
        yield file.finding("TM-X29", f"`{name}` only prints: nothing is stopped", _place(step.script))
    if step.script is not None:
        start, end = _place(step.script), int(step.script.end_mark.index)
        for found in SECRET.finditer(file.bare, start, end):
            yield file.finding("TM-X32", f"`{found.group()}` is pasted into a script", found.start())
    credentials = step.data.get("with", {})
    creds = credentials.get("creds") if isinstance(credentials, dict) else None
    if isinstance(creds, str) and creds.lstrip().startswith("{") and SECRET.search(creds):
        yield file.finding(
            "TM-X33", "A JSON text is glued together from secrets", _place(step.nodes["with"]), severity=Severity.INFO
        )


def _is_always_true(condition: str) -> bool:
    """Whether words stand around `${{ }}`: what GitHub makes of it is text that is not empty."""
    return "${{" in condition and not ONE_EXPRESSION.fullmatch(condition.strip())


def _is_inverted(condition: str, name: str) -> bool:
    """Whether something runs because an input says skip, and is not there to say so."""
    return (
        SKIP.search(condition) is not None
        and not re.search(r"!|false|''|no\b", condition)
        and "skip" not in name.lower()
    )


def _only_speaks(step: _Step) -> bool:
    if step.script is None:
        return False
    lines = [line.strip() for line in str(step.script.value).splitlines()]
    spoken = [line for line in lines if line and not line.startswith("#")]
    return bool(spoken) and all(re.match(r"(?:echo|printf)\b", line) and "GITHUB_" not in line for line in spoken)


def _lint_outputs(file: LintFile, job: _Job, jobs: Sequence[_Job]) -> Iterator[Finding]:
    """Outputs that no step and no job sets are empty text, and conditions on them never hold."""
    steps = {str(s.data["id"]): s for s in job.steps if "id" in s.data}
    for found in OUTPUT.finditer(file.bare, *job.span):
        step = steps.get(found["step"])
        if step is None:
            yield file.finding("TM-X49", f"No step of this job has the id `{found['step']}`", found.start())
        elif found["name"] and isinstance(step.data.get("run"), str):
            script = step.data["run"]
            sets = re.search(rf"\b{re.escape(found['name'])}\b", script) and re.search(
                r"GITHUB_OUTPUT|set-output", script
            )
            if not sets and not CALLS_OUT.search(script):
                text = f"Step `{found['step']}` never sets `{found['name']}`"
                yield file.finding("TM-X49", text, found.start())
    known = {j.name: j for j in jobs}
    needs = job.data.get("needs", [])
    needed = [needs] if isinstance(needs, str) else needs if isinstance(needs, list) else []
    for found in NEEDED.finditer(file.bare, *job.span):
        other = known.get(found["job"])
        if found["job"] not in needed:
            yield file.finding(
                "TM-X49", f"This job does not need `{found['job']}`, so its outputs are empty", found.start()
            )
        elif other is not None and "uses" not in other.data and found["name"] not in (other.data.get("outputs") or {}):
            yield file.finding("TM-X49", f"Job `{found['job']}` has no output `{found['name']}`", found.start())


def _lint_variables(file: LintFile, data: Mapping[str, Any], job: _Job) -> Iterator[Finding]:
    """Variables in calls of az that nothing sets. Own machines and local actions may set what is not seen here."""
    if re.search(r"runs-on:[^\n]*self-hosted", file.bare) or "GITHUB_ENV" in file.text or "uses: ./" in file.text:
        return
    given = {str(k) for holder in (data, job.data) for k in (holder.get("env") or {})}
    for step in job.steps:
        if step.script is None or re.search(
            r"\b(?:source|eval)\b|^\s*\.\s|\bset\s+-a\b", str(step.script.value), re.MULTILINE
        ):
            continue
        mine = given | {str(k) for k in (step.data.get("env") or {})}
        text = file.bare[_place(step.script) : step.script.end_mark.index]
        for line in AZ_LINE.finditer(text):
            for found in VARIABLE.finditer(line.group()):
                name = found["braced"] or found["plain"]
                if name in mine or PROVIDED.search(name) or _is_set(name, text):
                    continue
                if found.start() and line.group()[found.start() - 1] == "\\":
                    continue
                mine.add(name)
                place = _place(step.script) + line.start() + found.start()
                yield file.finding("TM-X48", f"Nothing sets `${name}`: az gets an empty word", place)


def _is_set(name: str, script: str) -> bool:
    word = re.escape(name)
    setters = rf"(?<![-\w$]){word}\+?=|\bfor\s+{word}\b|\b(?:read|mapfile|readarray|local|declare|export|getopts)\b[^\n]*\b{word}\b|\$\{{{word}:?[-=?+]"
    return re.search(setters, script) is not None


def _lint_rollout(file: LintFile, steps: Sequence[_Step]) -> Iterator[Finding]:
    spoken = re.compile(r"\b(?:echo|printf)\b[^\n]*")
    scripts = [(s, spoken.sub("", str(s.script.value))) for s in steps if s.script is not None]
    everything = "\n".join(text for _, text in scripts)
    applies = [s for s, text in scripts if APPLIES.search(text) and "--dry-run" not in text]
    if applies and not WAITS.search(everything + file.bare) and applies[0].script is not None:
        yield file.finding("TM-X50", "Nobody waits for what is rolled out", _place(applies[0].script))
    if (
        not applies
        and not KEEPS.search(everything)
        and not re.search(r"commit|pull-request", str([s.data.get("uses") for s in steps]))
    ):
        for found in SED.finditer(file.bare):
            if any(s.script and _place(s.script) <= found.start() < s.script.end_mark.index for s in steps):
                yield file.finding(
                    "TM-X03", "The manifest is changed on the runner and then thrown away", found.start()
                )
                return
