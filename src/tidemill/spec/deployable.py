"""What of a stage, or of the deployment it names, its target would refuse late: said when the file is read, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.base.findings import Finding, Severity
from tidemill.spec.cluster_values import (
    LABEL,
    SUBDOMAIN,
    cpu_problem,
    image_problem,
    memory_problem,
    read_quantity,
    steps_problem,
    unresolved,
    variable_problems,
)
from tidemill.spec.problems import dotted
from tidemill.spec.source import Source

CODE, MISSING = "TM-D110", "TM-D102"
NEEDED = {
    "kubernetes": ("namespace", "registry"),
    "azureml": ("registry", "subscription", "resource_group", "workspace"),
    "huggingface": ("repository",),
}
NOT_THERE = {
    "kubernetes": {
        "host": "the cluster decides where pods listen: `ingress_host`, or `route`, names the way in",
        "port": "the Service listens on port 80: `node_port` opens one on every node",
    }
}
HOW = {"namespace": "namespace: mlops-ns", "registry": "registry: ghcr.io/me"}
QUANTITIES = {"cpu": cpu_problem, "memory": memory_problem}
Path = tuple[str | int, ...]
Said = tuple[Path, str]


def stage_findings(data: Any, source: Source) -> Iterator[Finding]:  # noqa: ANN401 - any YAML value
    """Of every stage of a project file, whatever else is wrong in it."""
    stages = data.get("stages") if isinstance(data, Mapping) else None
    for name, stage in stages.items() if isinstance(stages, Mapping) else ():
        if not isinstance(stage, Mapping):
            continue
        target = stage.get("target", "local")
        for field in _needed(stage, target):
            if not stage.get(field):
                words = f"Required field `{field}` is missing in `stages.{name}`: a stage on {target} needs it"
                hint = f"Add `{HOW.get(field, field + ': …')}`."
                at = source.locate(("stages", name), key=True)
                yield Finding(MISSING, Severity.ERROR, words, hint, at, f"stages.{name}.{field}")
        yield from _findings(_stage_problems(stage, target), ("stages", name), source)


def _needed(stage: Mapping[Any, Any], target: Any) -> tuple[str, ...]:  # noqa: ANN401
    """The fields without which the target cannot be deployed to; a Space runs an image."""
    needed = NEEDED.get(target, ()) if isinstance(target, str) else ()
    return (*needed, "registry") if target == "huggingface" and stage.get("space") else needed


def deployment_findings(data: Any, source: Source) -> Iterator[Finding]:  # noqa: ANN401
    """Of the document of an online deployment."""
    if isinstance(data, Mapping):
        yield from _findings(_deployment_problems(data), (), source)


def _findings(problems: Iterator[Said], where: Path, source: Source) -> Iterator[Finding]:
    for path, words in problems:
        place = (*where, *path)
        yield Finding(CODE, Severity.ERROR, words, "", source.locate(place), dotted(place))


def _stage_problems(stage: Mapping[Any, Any], target: Any) -> Iterator[Said]:  # noqa: ANN401
    for field, value in stage.items():
        if isinstance(value, str) and field != "environment_variables" and (left := unresolved(value)):
            yield (field,), f"`{field}` still holds `{left}`"
        elif field in QUANTITIES and value is not None and (words := QUANTITIES[field](value)):
            yield (field,), words
    for field, why in NOT_THERE.get(target, {}).items() if isinstance(target, str) else ():
        if stage.get(field) is not None:
            yield (field,), f"`{field}` means nothing on {target}: {why}"
    yield from _name_problems(stage)
    yield from _place_problems(stage)
    yield from _shift_problems(stage)
    yield from _variable_problems(stage)
    image = stage.get("base_image")
    if isinstance(image, str) and not unresolved(image) and (words := image_problem(image)):
        yield ("base_image",), words


def _name_problems(stage: Mapping[Any, Any]) -> Iterator[Said]:
    kinds = {"namespace": (LABEL, "namespace", 63), "pull_secret": (SUBDOMAIN, "Secret", 253)}
    for field, (pattern, what, most) in kinds.items():
        value = stage.get(field)
        if isinstance(value, str) and value and not unresolved(value) and not pattern.match(value):
            words = f"`{value}` cannot name a {what}: lower-case letters, digits and `-`, at most {most}"
            yield (field,), words


def _place_problems(stage: Mapping[Any, Any]) -> Iterator[Said]:
    """Names of Secrets and ConfigMaps elsewhere in a stage."""
    sources = stage.get("env_from")
    for number, source in enumerate(sources if isinstance(sources, list) else ()):
        for kind, name in source.items() if isinstance(source, Mapping) else ():
            if isinstance(name, str) and not SUBDOMAIN.match(name):
                yield ("env_from", number, kind), f"`{name}` cannot name a Secret or a ConfigMap"
    route = stage.get("route")
    tls = route.get("tls") if isinstance(route, Mapping) else None
    if isinstance(tls, str) and not SUBDOMAIN.match(tls):
        yield ("route", "tls"), f"`{tls}` cannot name a Secret"


def _shift_problems(stage: Mapping[Any, Any]) -> Iterator[Said]:
    steps, strategy = stage.get("steps"), stage.get("strategy", "blue-green")
    if steps is None:
        return
    if words := steps_problem(steps):
        yield ("steps",), words
    if strategy != "canary":
        yield ("steps",), f"`steps` are a canary's: the strategy is `{strategy}`, which knows none"


def _variable_problems(where: Mapping[Any, Any]) -> Iterator[Said]:
    variables = where.get("environment_variables")
    for name, words in variable_problems(variables) if isinstance(variables, Mapping) else ():
        yield ("environment_variables", name), words


def _deployment_problems(data: Mapping[Any, Any]) -> Iterator[Said]:
    yield from _variable_problems(data)
    resources = data.get("resources")
    if not isinstance(resources, Mapping):
        return
    known: dict[str, dict[str, float]] = {"requests": {}, "limits": {}}
    for part, amounts in resources.items():
        if part not in known:
            yield ("resources", part), f"`resources` has no `{part}`: there are `requests` and `limits`"
            continue
        for kind, amount in amounts.items() if isinstance(amounts, Mapping) else ():
            words = _amount_problem(str(kind), amount)
            if words:
                yield ("resources", part, kind), words
            else:
                known[part][str(kind)] = read_quantity(amount) or 0.0
    for kind, asked in known["requests"].items():
        if asked > known["limits"].get(kind, asked):
            yield ("resources", "requests", kind), f"more `{kind}` is asked for than `limits` allows"


def _amount_problem(kind: str, amount: Any) -> str:  # noqa: ANN401
    if kind in QUANTITIES:
        return QUANTITIES[kind](amount)
    number = read_quantity(amount)
    if number is None:
        return f"`{amount}` is no quantity of `{kind}`"
    if "/" in kind and number != int(number):
        return f"`{kind}` is counted in whole numbers, not {amount}"
    return "" if "/" in kind or kind == "ephemeral-storage" else f"Kubernetes knows no resource `{kind}`"
