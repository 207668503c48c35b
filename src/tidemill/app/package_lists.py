"""Package lists no environment can be built from, known before the first step runs rather than when the last one wants its environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tidemill.app.inputs import all_steps
from tidemill.base.errors import SpecError
from tidemill.base.findings import Finding
from tidemill.plan.graph import EnvironmentRef, Plan, Step
from tidemill.spec.codes import CODES
from tidemill.spec.conda import read_conda_file

HOST = "host"
MISSING = "TM-R101"


def package_list_findings(plan: Plan) -> Iterator[Finding]:
    """What is wrong with the conda files of the environments that steps need built."""
    seen: set[Path] = set()
    for step in all_steps(plan.steps):
        path = _conda_file(step.environment)
        if path is not None and path not in seen:
            seen.add(path)
            yield from _read(path, step)


def _conda_file(environment: EnvironmentRef) -> Path | None:
    named = getattr(environment.document, "conda_file", None)
    if environment.kind == HOST or not isinstance(named, str):
        return None
    return Path(os.path.normpath(environment.folder / named))


def _read(path: Path, step: Step) -> Iterator[Finding]:
    try:
        yield from read_conda_file(path)[1]
    except SpecError as exc:
        text = f"Environment `{step.environment.label}` of `{step.name}`: {exc.message}"
        yield Finding(MISSING, CODES[MISSING].severity, text, exc.hint, step.at)
