"""The packages of an image against a database of known vulnerabilities: `uv audit`, which asks a service that speaks OSV's API.

https://google.github.io/osv.dev/api/ describes that; names and versions of the packages leave this machine, so nobody is asked
unless the stage says so.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.base import proc
from tidemill.base.errors import BackendError, FailedError
from tidemill.spec.project import Stage

PATIENCE_S = 120
FOUND = 1  # the exit code of `uv audit` that found something
PROJECT = """[project]
name = "image"
version = "0"
requires-python = "=={python}.*"
dependencies = {pins}
"""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known weakness of a package in the version that would be deployed."""

    package: str
    version: str
    ids: tuple[str, ...]
    summary: str
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        mend = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "not fixed yet"
        return f"{self.package} {self.version}: {', '.join(self.ids)} ({mend}) {self.summary}".rstrip()


def audit_packages(
    requirements: Sequence[str], python_version: str, stage: Stage, uv: str, say: Callable[[str], None]
) -> None:
    """Ask, if the stage wants that, and say what is known of exact pins.

    With `audit: required` a vulnerability is a `FailedError` and a service that does not answer a `BackendError`.
    """
    if stage.audit == "off":
        return
    try:
        found = find_vulnerabilities(requirements, python_version, stage, uv)
    except BackendError as exc:
        if stage.audit == "required":
            raise
        say(f"the packages were not audited: {exc.message}")
        return
    if not found:
        say(f"{len(requirements)} packages audited, no known vulnerabilities")
    for item in found:
        say(f"vulnerable: {item}")
    if found and stage.audit == "required":
        raise FailedError(
            "Packages of the image have known vulnerabilities:\n" + "\n".join(f"  {v}" for v in found),
            hint="Pin fixed versions in the environment, or accept one by name: audit_ignore: [ID] in the stage.",
        )


def find_vulnerabilities(
    requirements: Sequence[str], python_version: str, stage: Stage, uv: str
) -> tuple[Vulnerability, ...]:
    """What the service knows, without what the stage ignores; `BackendError` when it cannot be asked."""
    options = ["--service-url", stage.audit_url] if stage.audit_url else []
    options += [word for name in stage.audit_ignore for word in ("--ignore", name)]
    with tempfile.TemporaryDirectory(prefix="tidemill-audit-") as name:
        folder = Path(name)
        text = PROJECT.format(python=python_version, pins=json.dumps(sorted(requirements)))
        (folder / "pyproject.toml").write_text(text, encoding="utf-8")
        _uv(uv, folder, ["lock", "--quiet"])
        done = _uv(uv, folder, ["audit", "--frozen", "--no-progress", "--output-format", "json", *options])
    try:
        report = json.loads(done.stdout)["vulnerabilities"]
        return tuple(_read(item) for item in report)
    except (ValueError, KeyError, TypeError) as exc:
        raise BackendError(
            f"`uv audit` answered with something else: {done.stdout[:200]!r}", hint="Bring uv up to date."
        ) from exc


def _uv(uv: str, folder: Path, words: list[str]) -> proc.CompletedProcess[str]:
    # an answer is worth one more try, not the minutes uv takes otherwise where nothing can be reached
    env = {**os.environ, "UV_HTTP_RETRIES": "1", "UV_PREVIEW_FEATURES": "audit-command,json-output"}
    done = proc.run([uv, *words], cwd=folder, env=env, timeout_s=PATIENCE_S)
    if done.returncode not in {0, FOUND if words[0] == "audit" else 0}:
        said = " ".join(done.stderr.split())[-400:]
        raise BackendError(
            f"`uv {words[0]}` failed: {said}", hint="Is the service reachable? `audit_url` names another."
        )
    return done


def _read(item: Any) -> Vulnerability:  # noqa: ANN401 - a JSON value
    about = item["dependency"]
    return Vulnerability(
        str(about["name"]),
        str(about["version"]),
        tuple(dict.fromkeys([str(item["id"]), *map(str, item.get("aliases") or ())])),
        str(item.get("summary") or ""),
        tuple(map(str, item.get("fix_versions") or ())),
    )
