"""Paths that must exist, names that must be legal, deployments that can answer, ports whose defaults fit."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tidemill.base.files import is_folder, is_plain_file, is_there
from tidemill.base.findings import Finding, Severity
from tidemill.base.suggest import did_you_mean
from tidemill.spec.command import CommandJob
from tidemill.spec.conda import conda_findings, read_conda_file
from tidemill.spec.environment import Environment
from tidemill.spec.fields import InputValue, Open
from tidemill.spec.kinds import Kind
from tidemill.spec.references import FileRef, parse_reference
from tidemill.spec.rules.context import Context, Path_
from tidemill.spec.rules.values import complaint

if TYPE_CHECKING:
    from tidemill.spec.deployment import BatchDeployment, OnlineDeployment

ASSET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")
ENDPOINT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]\Z")
DEPLOYMENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,30}[A-Za-z0-9]\Z")
OPEN_PLACE = re.compile(
    r"\{\{|<[^<>]+>|\$\w|\$\{|\$\(|__\w+__|%\w+%|#\{"
)  # to be filled in: {{X}}, <x>, $X, $(X), __X__, #{X}#
PORT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
ASKS_FOR_MODEL = re.compile(r"AZUREML_MODEL_DIR|get_model_path|model_dir", re.IGNORECASE)
ALL = 100
LOOKED_AT = 2000  # names of a folder, when one in it is not there


def check_asset_name(context: Context) -> Iterator[Finding]:
    """Names and versions of assets and jobs."""
    for field in ("name", "version"):
        value = getattr(context.document, field, None)
        if value is not None and not OPEN_PLACE.search(value) and not ASSET_NAME.match(value):
            yield context.finding(
                "TM-D201",
                f"`{value}` cannot be a {field}",
                (field,),
                hint="Letters, digits, `_`, `.` and `-`; at most 255, beginning with a letter or digit.",
            )


def check_endpoint_name(context: Context) -> Iterator[Finding]:
    """Endpoint and deployment names are part of host names."""
    deployment = hasattr(context.document, "endpoint_name")
    for field in ("name", "endpoint_name"):
        value = getattr(context.document, field, None)
        pattern = DEPLOYMENT_NAME if deployment else ENDPOINT_NAME
        if value is not None and not OPEN_PLACE.search(value) and not pattern.match(value):
            hint = "A letter, then letters, digits and `-`; 3 to 32 characters, not ending in `-`."
            yield context.finding("TM-D201", f"`{value}` cannot name an endpoint or deployment", (field,), hint=hint)


def check_ports(context: Context) -> Iterator[Finding]:
    """Names of a component's inputs and outputs, and defaults that fit."""
    for side in ("inputs", "outputs"):
        for name in getattr(context.document, side):
            if not PORT_NAME.match(name):
                yield context.finding(
                    "TM-D201",
                    f"`{name}` cannot name an input or output",
                    (side, name),
                    hint="Letters, digits and `_`, not beginning with a digit.",
                    key=True,
                )
    for name, port in context.document.inputs.items():
        if port.default is None or port.is_data:
            continue
        wrong = complaint(port, port.default)
        if wrong:
            yield context.finding("TM-B113", f"The default of `{name}`: {wrong[1]}", ("inputs", name, "default"))


def check_environment(context: Context) -> Iterator[Finding]:
    """An environment's conda file and build context."""
    yield from environment_findings(context, context.document, ())


def environment_findings(context: Context, environment: Environment, path: Path_) -> Iterator[Finding]:
    """The same for one that stands inside another document."""
    yield from conda_file_findings(context, environment.conda_file, (*path, "conda_file"))
    if environment.build is not None and isinstance(parse_reference(environment.build.path), FileRef):
        yield from missing_path(context, environment.build.path, (*path, "build", "path"), "build context")
        dockerfile = environment.build.dockerfile_path or "Dockerfile"
        folder = (context.folder / environment.build.path).absolute()
        if is_folder(folder) and not is_plain_file(folder / dockerfile):
            field = "dockerfile_path" if environment.build.dockerfile_path else "path"
            yield context.finding(
                "TM-R101",
                f"No `{dockerfile}` in `{environment.build.path}`",
                (*path, "build", field),
                hint="Add it, or set `dockerfile_path:`.",
            )


def conda_file_findings(context: Context, conda_file: str | dict[str, Any] | None, path: Path_) -> Iterator[Finding]:
    """What is wrong with a conda specification, in the file where it stands."""
    if isinstance(conda_file, dict):
        yield from conda_findings(context.loaded.source, conda_file, (*path,), context.folder)
    elif conda_file is not None:
        yield from missing_path(context, conda_file, path, "conda file")
        ref = parse_reference(conda_file)
        if isinstance(ref, FileRef) and is_plain_file(ref.resolve(context.folder)):
            yield from read_conda_file(Path(os.path.normpath(context.loaded.path.parent / ref.path)))[1]


def check_code(context: Context) -> Iterator[Finding]:
    """`code:`, `additional_includes:`, the environment, and local data of a job or component."""
    yield from step_paths(context, context.document, ())


def step_paths(context: Context, document: Any, path: Path_) -> Iterator[Finding]:  # noqa: ANN401 - any job, component or step
    """Local paths below one job, component or step."""
    code = getattr(document, "code", None)
    if isinstance(code, str):
        yield from missing_path(context, code, (*path, "code"), "code folder")
    for place, include in enumerate(getattr(document, "additional_includes", None) or []):
        if isinstance(include, str):
            yield from missing_path(context, include, (*path, "additional_includes", place), "file or folder")
    environment = getattr(document, "environment", None)
    if isinstance(environment, Environment):
        yield from environment_findings(context, environment, (*path, "environment"))
    elif isinstance(environment, str) and environment.startswith(("./", "../", "file:")):
        yield from missing_path(context, environment, (*path, "environment"), "environment file")
    inputs = getattr(document, "inputs", None)
    for name, value in (
        inputs.items() if isinstance(inputs, Mapping) else ()
    ):  # control steps keep what they do not know
        if isinstance(value, InputValue) and value.path is not None:
            yield from missing_path(context, value.path, (*path, "inputs", name, "path"), "file or folder")


def check_pipeline_paths(context: Context) -> Iterator[Finding]:
    """Local paths of a pipeline and all its steps."""
    yield from step_paths(context, context.document, ())
    for name, step in (context.document.jobs or {}).items():
        yield from step_paths(context, step, ("jobs", name))
        component = getattr(step, "component", None)
        if isinstance(component, BaseModel):
            yield from step_paths(context, component, ("jobs", name, "component"))


def check_data_path(context: Context) -> Iterator[Finding]:
    """A data asset's or model's local path."""
    document = context.document
    if document.path is not None and getattr(document, "datastore", None) is None:  # else the path is in the datastore
        yield from missing_path(context, document.path, ("path",), "file or folder")


def check_feature_set(context: Context) -> Iterator[Finding]:
    """The folder of a feature set's specification."""
    yield from missing_path(context, context.document.specification.path, ("specification", "path"), "folder")


def missing_path(context: Context, text: str, path: Path_, what: str) -> Iterator[Finding]:
    """A finding when `text` is a local path that leads to nothing."""
    ref = parse_reference(text)
    if not isinstance(ref, FileRef):
        return
    target = ref.resolve(context.folder)
    if "*" not in text and not OPEN_PLACE.search(text) and not is_there(target):
        yield context.finding(
            "TM-R101", f"No {what} at `{text}`", path, hint=near_name(target) or "The path is relative to this file."
        )


def near_name(target: Path) -> str:
    """The nearest name in the folder the path leads to: another case works on Windows and fails on Azure."""
    if not is_folder(target.parent):
        return ""
    names = [p.name for p in itertools.islice(target.parent.iterdir(), LOOKED_AT)]
    if any(n.casefold() == target.name.casefold() for n in names):
        same = next(n for n in names if n.casefold() == target.name.casefold())
        return f"There is `{same}`; case matters."
    hint = did_you_mean(target.name, names)
    return hint if hint.startswith("Did") else ""


def check_tolerated(context: Context) -> Iterator[Finding]:
    """Fields Azure ignores: in steps and under `settings`."""
    document = context.document
    yield from _tolerated(context, getattr(document, "settings", None), ("settings",))
    for name, step in (getattr(document, "jobs", None) or {}).items():
        yield from _tolerated(context, step, ("jobs", name))


def _tolerated(context: Context, part: Any, path: Path_) -> Iterator[Finding]:  # noqa: ANN401
    if not isinstance(part, Open):
        return
    for name, value in (part.model_extra or {}).items():
        if path[0] == "jobs" and name == "name" and value == path[-1]:
            continue  # a step is called so in any case
        near = did_you_mean(name, [k for k in type(part).model_fields if k not in part.model_fields_set])
        hint = near if near.startswith("Did") else "Remove it or correct its name."
        yield context.finding(
            "TM-D106", f"Azure ignores the unknown field `{name}`", (*path, name), hint=hint, key=True
        )


def check_online_deployment(context: Context) -> Iterator[Finding]:
    """A deployment must have something to answer with, and somebody to answer."""
    document: OnlineDeployment = context.document
    yield from _deployment_paths(context, document)
    # A container of one's own may bring its model with it.
    if document.model is None and (document.environment is None or document.code_configuration is not None):
        yield from _no_model(context, document)
    if document.instance_count is not None and document.instance_count < 1:
        yield context.finding(
            "TM-L102", "The deployment asks for no instance", ("instance_count",), hint="Set it to 1 or more."
        )
    if document.code_configuration is not None and document.environment is None:
        yield context.finding(
            "TM-L104",
            "Scoring code needs an `environment`",
            ("code_configuration",),
            hint="Add `environment:`.",
            key=True,
        )


def check_batch_deployment(context: Context) -> Iterator[Finding]:
    """The same for batch."""
    document: BatchDeployment = context.document
    yield from _deployment_paths(context, document)
    if isinstance(document.component, str):
        yield from missing_path(context, document.component, ("component",), "component")
    pipeline = document.type == "pipeline" or document.component is not None or document.job_definition is not None
    if not pipeline and document.model is None:
        yield from _no_model(context, document)
    if document.resources is None and document.instance_count is not None and document.instance_count < 1:
        yield context.finding(
            "TM-L102", "The deployment asks for no instance", ("instance_count",), hint="Set it to 1 or more."
        )


def _no_model(context: Context, document: OnlineDeployment | BatchDeployment) -> Iterator[Finding]:
    """An error; a warning where a scoring script never asks for the model's folder, and so may do without."""
    code = document.code_configuration
    script = (code.scoring_script or code.entry_script) if code is not None else None
    found = context.finding("TM-L101", "The deployment names no model", (), hint="Add `model: azureml:name@latest`.")
    if context.loaded.kind is Kind.ONLINE_DEPLOYMENT and code is not None and script is not None:
        text = _text_of(context.folder / (code.code or ".") / script)
        if text is not None and not ASKS_FOR_MODEL.search(text):
            found = replace(found, severity=Severity.WARNING)
    yield found


def _text_of(path: Path) -> str | None:
    """The text of a script; None when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if is_plain_file(path) else None
    except OSError:
        return None


def _deployment_paths(context: Context, document: OnlineDeployment | BatchDeployment) -> Iterator[Finding]:
    if not isinstance(document.model, str | None) and document.model.path is not None:
        yield from missing_path(context, document.model.path, ("model", "path"), "model")
    if isinstance(document.environment, Environment):
        yield from environment_findings(context, document.environment, ("environment",))
    code = document.code_configuration
    if code is None:
        return
    script = code.scoring_script or code.entry_script
    if code.code is not None:
        yield from missing_path(context, code.code, ("code_configuration", "code"), "code folder")
    folder = context.folder / (code.code or ".")
    if script is None:
        yield context.finding(
            "TM-D102",
            "`code_configuration` names no `scoring_script`",
            ("code_configuration",),
            hint="Add `scoring_script: score.py`.",
            key=True,
        )
    elif OPEN_PLACE.search(script):
        return
    elif (
        isinstance(parse_reference(code.code or "."), FileRef)
        and is_folder(folder)
        and not is_plain_file(folder / script)
    ):
        field = "scoring_script" if code.scoring_script else "entry_script"
        yield context.finding(
            "TM-R101", f"No scoring script `{script}` in `{code.code or '.'}`", ("code_configuration", field)
        )


def check_traffic(context: Context) -> Iterator[Finding]:
    """Percentages add up to 100, or nobody gets any."""
    traffic: Mapping[str, int] = context.document.traffic or {}
    if traffic and sum(traffic.values()) not in {0, ALL}:
        yield context.finding(
            "TM-L103", f"The traffic adds up to {sum(traffic.values())} %", ("traffic",), hint="Let it add up to 100."
        )


def check_literals(context: Context) -> Iterator[Finding]:
    """A stand-alone job has nobody to bind to."""
    document: CommandJob = context.document
    for name, value in document.inputs.items():
        text = value.path if isinstance(value, InputValue) else value
        if isinstance(text, str) and "${{parent" in text.replace(" ", ""):
            yield context.finding(
                "TM-B110",
                f"`{text}` has no meaning in a stand-alone job",
                ("inputs", name),
                hint="Give a value or a path.",
            )
