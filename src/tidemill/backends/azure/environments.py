"""Environments where they are used: each becomes an environment version of the workspace, which Azure ML builds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tidemill.backends.azure.uploads import upload_folder
from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.base.errors import SpecError, UsageError
from tidemill.base.hashing import digest_value
from tidemill.plan.graph import EnvironmentRef
from tidemill.run.ports import PreparedEnvironment, Say

BASE_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
PYTHON = Path("/usr/bin/python3")  # a command finds it by the image's own PATH
PUT_TIMEOUT_S = 300.0
NEWEST = (None, "latest")
CURATED, CURATED_PREFIX = "azureml", "AzureML-"


def put_environment(
    workspace: AzureWorkspace, environment: EnvironmentRef, image: str, say: Say
) -> PreparedEnvironment:
    """The id of the environment in the workspace, made there if it is not; `image` stands for what has no document."""
    properties = _properties(workspace, environment, image)
    if not properties:
        found = _find(workspace, environment)
        return PreparedEnvironment(PYTHON, key=found, image=found)
    digest = digest_value(properties)
    path = f"environments/tidemill/versions/{digest[:32]}"
    if workspace.get(path) is None:
        say(f"environment {environment.label}: registering it in the workspace")
        workspace.put(path, {"properties": {**properties, "description": environment.label}}, PUT_TIMEOUT_S)
    return PreparedEnvironment(PYTHON, key=digest, image=f"{workspace.identity}/{path}")


def _properties(workspace: AzureWorkspace, environment: EnvironmentRef, image: str) -> dict[str, Any]:
    """What the version is made of; nothing for an environment that has no document here."""
    document = environment.document
    given, build = getattr(document, "image", None), getattr(document, "build", None)
    conda = getattr(document, "conda_file", None)
    if build is not None:
        context, _ = upload_folder(workspace, environment.folder / build.path)
        dockerfile = build.dockerfile_path or "Dockerfile"
        return {"build": {"contextUri": context, "dockerfilePath": dockerfile}, "osType": "Linux"}
    if conda is not None:
        listed = _conda(conda, environment)
        return {"image": given or image or BASE_IMAGE, "condaFile": listed, "osType": "Linux"}
    return {"image": given or image, "osType": "Linux"} if given or image else {}


def _conda(conda: Any, environment: EnvironmentRef) -> str:  # noqa: ANN401 - inline, or where the file is
    if isinstance(conda, dict):
        return str(yaml.safe_dump(json.loads(json.dumps(conda)), sort_keys=False))
    path = environment.folder / str(conda)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise SpecError(f"No conda file at {path}", hint="The path is relative to the environment's file.") from exc


def _find(workspace: AzureWorkspace, environment: EnvironmentRef) -> str:
    """An environment that the workspace or a registry has already: by version, or the newest."""
    name, wanted = environment.name, environment.version
    if name and not _registry(environment):
        version = wanted
        if version in NEWEST:
            version = (workspace.get(f"environments/{name}") or {}).get("properties", {}).get("latestVersion")
        path = f"environments/{name}/versions/{version}"
        if version and workspace.get(path) is not None:
            return f"{workspace.identity}/{path}"
    registry = _registry(environment) or (CURATED if name and name.startswith(CURATED_PREFIX) else "")
    if name and registry:
        which = "labels/latest" if wanted in NEWEST else f"versions/{wanted}"
        return f"azureml://registries/{registry}/environments/{name.removeprefix(CURATED_PREFIX)}/{which}"
    raise UsageError(
        f"The workspace on Azure has no environment `{environment.label}`, and there is no document of it here",
        hint="Give it an `image` or `conda_file`, or set `image` of the compute in tidemill.yaml.",
    )


def _registry(environment: EnvironmentRef) -> str:
    """`azureml` of `azureml/sklearn-1.5@latest`."""
    head, slash, rest = environment.label.partition("/")
    return head if slash and environment.name and rest.startswith(environment.name) else ""
