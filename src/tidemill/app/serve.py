"""`serve`: the inference server alone, for a registered model or a folder."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tidemill.app.conversions import conversions
from tidemill.app.wiring import App
from tidemill.base import proc
from tidemill.base.errors import NotFoundError, UsageError
from tidemill.record.ports import ModelVersion

RELEASED = "TIDEMILL_CONVERSIONS"
MODEL = re.compile(r"\{model:([^{}]+)\}")


def serve(app: App, model: str, arguments: Sequence[str], *, allow_pickle: bool) -> int:
    """Run the server in the foreground until it is stopped; its exit code. A scoring script needs no model."""
    path = Path(model)
    argv = [sys.executable, "-m", "tidemill.serve.workers"]
    if not model:
        return proc.replace_by([*argv, *arguments])
    if path.exists():
        argv += ["--model", str(path), "--name", path.name, *(["--allow-pickle"] if allow_pickle else [])]
    else:
        if "/" in model and not model.startswith("azureml:"):
            raise NotFoundError(
                f"There is no file or folder `{path.absolute()}`", hint="A registered model is named without `/`."
            )
        name, version = split_model(model)
        found = app.registry.get(name, version)
        argv += [
            "--model",
            str(found.path),
            "--name",
            found.name,
            "--version",
            found.version,
            "--model-digest",
            found.digest,
            "--allow-pickle",
        ]
        os.environ[RELEASED] = str(conversions(app))
    return proc.replace_by([*argv, *arguments])


def serve_application(app: App, name: str, folder: Path, variables: Sequence[str], arguments: Sequence[str]) -> int:
    """The user's own application, with `{model:NAME@LABEL}` in its variables as the folder of that model; its exit code."""
    argv = [sys.executable, "-m", "tidemill.serve.workers", "--app", name, "--app-dir", str(folder.absolute())]
    mounted: list[ModelVersion] = []
    environment = {}
    for given in variables:
        key, equals, value = given.partition("=")
        if not equals or not key:
            raise UsageError(f"`{given}` sets no variable", hint="--env NAME=VALUE")
        for text in MODEL.findall(value):
            mounted.append(app.registry.get(*split_model(text)))
            value = value.replace(f"{{model:{text}}}", str(mounted[-1].path))
        environment[key] = value
    if mounted:
        first = mounted[0]
        argv += ["--model", str(first.path), "--name", first.name, "--version", first.version]
        argv += ["--model-digest", first.digest]
    os.environ.update(environment)
    return proc.replace_by([*argv, *arguments])


def split_model(text: str) -> tuple[str, str]:
    """`name`, `name:version`, `name@label`, with or without `azureml:`."""
    rest = text.removeprefix("azureml:")
    name, at, label = rest.partition("@")
    if at:
        return name, label
    name, colon, version = rest.partition(":")
    if not name:
        raise UsageError(f"`{text}` names no model", hint="NAME, NAME:VERSION, NAME@LABEL, or a folder.")
    return name, version if colon else "latest"
