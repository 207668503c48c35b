"""The project file: codes it names must be codes, gates conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from tidemill.base.errors import UsageError
from tidemill.base.files import is_plain_file
from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean, is_slip
from tidemill.spec.codes import CODES
from tidemill.spec.conditions import parse_rule
from tidemill.spec.load import load
from tidemill.spec.references import AssetRef, parse_reference
from tidemill.spec.repository import yaml_files
from tidemill.spec.rules.context import Context
from tidemill.spec.rules.documents import conda_file_findings, missing_path

MAX_READ = 1 << 20
USED = re.compile(r"""azureml:([\w.-]+)|datastores/([\w.-]+)/|\b(?:compute|name):\s*["']?(?!azureml:)([\w.-]+)""")


def check_codes(context: Context) -> Iterator[Finding]:
    """`check.codes` speaks of findings that exist."""
    check = context.document.check
    for code in check.codes if check is not None else ():
        if code not in CODES:
            hint = did_you_mean(code, CODES)
            yield context.finding(
                "TM-X90", f"No finding has the code `{code}`", ("check", "codes", code), hint=hint, key=True
            )


def check_environments(context: Context) -> Iterator[Finding]:
    """What stands for an environment is there, and can be built."""
    for name, mapping in context.document.environments.items():
        yield from conda_file_findings(context, mapping.conda_file, ("environments", name, "conda_file"))
        if mapping.requirements is not None:
            at = ("environments", name, "requirements")
            yield from missing_path(context, mapping.requirements, at, "requirements file")


def check_files(context: Context) -> Iterator[Finding]:
    """The documents it names are there."""
    for field in ("pipeline", "endpoint", "deployment", "sample_request", "monitor"):
        named = getattr(context.document, field)
        if named is not None:
            yield from missing_path(context, named, (field,), field.replace("_", " "))


def check_agreement(context: Context) -> Iterator[Finding]:
    """The deployment it names is of the endpoint and of the model it names: `up` goes by the project, az by the documents."""
    project = context.document
    endpoint, deployment = (_document(context, getattr(project, f)) for f in ("endpoint", "deployment"))
    behind = getattr(deployment, "endpoint_name", None)
    name = getattr(endpoint, "name", None)
    if behind and name and behind != name:
        text = f"`{project.deployment}` is for the endpoint `{behind}`, and `{project.endpoint}` is called `{name}`"
        yield context.finding("TM-R111", text, ("deployment",), hint="Let both name one endpoint.")
    model = getattr(deployment, "model", None)
    ref = parse_reference(model) if isinstance(model, str) else None
    if isinstance(ref, AssetRef) and ref.registry is None and project.model and ref.name != project.model.name:
        text = f"`{project.deployment}` serves the model `{ref.name}`, and the project makes `{project.model.name}`"
        yield context.finding("TM-R111", text, ("deployment",), hint="Let both name one model.")


def _document(context: Context, named: str | None) -> Any:  # noqa: ANN401 - of any kind
    """What a field names, if it can be read."""
    path = context.folder / named if named else None
    return load(path).document if path is not None and is_plain_file(path) else None


def check_mappings(context: Context) -> Iterator[Finding]:
    """What stands for something here is called as the documents call it. Names no document has are left alone unless nearly right."""
    document = context.document
    sections = {f: list(getattr(document, f)) for f in ("environments", "data", "compute", "datastores")}
    mapped = {key.partition(":")[0] for keys in sections.values() for key in keys}
    if not mapped:
        return
    used = _used_names(context)
    for section, keys in sections.items():
        for key in keys:
            name = key.partition(":")[0]
            near = [] if name in used else sorted(n for n in used - mapped if is_slip(name, n))
            if near:
                text = f"No document names `{name}`, so what stands for it here is never used"
                yield context.finding("TM-R110", text, (section, key), hint=f"Did you mean `{near[0]}`?", key=True)


def _used_names(context: Context) -> set[str]:
    """Names of assets, computes and datastores in the documents around the project file."""
    found: set[str] = set()
    for path in yaml_files(context.folder):
        if path.name != context.loaded.path.name:
            try:
                text = path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size < MAX_READ else ""
            except OSError:
                continue
            found |= {name for groups in USED.findall(text) for name in groups if name}
    return found


def check_gates(context: Context) -> Iterator[Finding]:
    """Every gate is a condition. Without the extra that reads them none is judged here: `up` says so."""
    if find_spec("celpy") is None:
        return
    project = context.document
    places: list[tuple[tuple[str, ...], list[str]]] = [(("gates",), project.gates)]
    places += [(("stages", name, "gates"), stage.gates) for name, stage in project.stages.items()]
    for path, texts in places:
        for number, text in enumerate(texts):
            try:
                parse_rule(text)
            except UsageError as exc:
                yield context.finding("TM-D111", exc.message, (*path, number), hint=exc.hint)
