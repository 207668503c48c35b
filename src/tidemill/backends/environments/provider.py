"""Environments of every kind behind the one port: the host's interpreter, a venv built from a package list, a container."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tidemill.backends.environments.container import container_key, prepare_container
from tidemill.backends.environments.packages import PackageList, read_packages, read_text
from tidemill.backends.environments.venv import build_venv, read_built, venv_key
from tidemill.plan.graph import EnvironmentRef
from tidemill.run.ports import PreparedEnvironment, Say

SHOWN = 3
HOST = "host:"


class Environments:
    """An `EnvironmentProvider`; venvs lie below `folder`, each built once for all jobs."""

    def __init__(self, folder: Path, *, relax_pins: bool = False) -> None:
        self._folder = folder
        self._relax = relax_pins

    def key(self, environment: EnvironmentRef) -> str:
        """Content for a venv, interpreter for the host, image for a container."""
        if environment.kind == "venv":
            return venv_key(self._packages(environment))
        if environment.kind == "container":
            return container_key(environment)
        return f"{HOST}{sys.version_info.major}.{sys.version_info.minor}:{environment.label}"

    def prepare(self, environment: EnvironmentRef, say: Say) -> PreparedEnvironment:
        """Ready to start processes in; `UsageError` for pins or engines that cannot be had."""
        if environment.kind == "venv":
            packages = self._packages(environment)
            venv = build_venv(
                packages,
                self._folder,
                relax=self._relax or environment.pins == "relaxed",
                label=environment.label,
                say=say,
            )
            env = {"VIRTUAL_ENV": str(venv.folder)}
            return PreparedEnvironment(venv.python, (venv.python.parent,), env, self.key(environment), venv.relaxed)
        if environment.kind == "container":
            return prepare_container(environment, self._folder, say)
        python = Path(sys.executable)
        return PreparedEnvironment(python, (python.parent,), {}, self.key(environment))

    def files(self, environment: EnvironmentRef) -> dict[Path, str]:
        """What is read to know its packages: conda file, requirements, Dockerfile; none if there are no such packages."""
        found: dict[Path, str] = {}

        def read(path: Path) -> str:
            return found.setdefault(Path(os.path.normpath(path)), read_text(path))

        if environment.kind == "venv":
            read_packages(environment.document, environment.folder, environment.label, read)
        return found

    def compare(self, before: str, environment: EnvironmentRef) -> str:
        """What is other in it than in the one with that key, in a few words; empty when that is not known."""
        if before.startswith(HOST) and environment.kind != "host":
            return f"host → {environment.kind}"
        old = read_built(self._folder, before) if environment.kind == "venv" else None
        if old is None:
            return ""
        packages = self._packages(environment)
        new = {*packages.conda, *packages.pip}
        words = [*(f"{name} (new)" for name in sorted(new - old)), *(f"{name} (gone)" for name in sorted(old - new))]
        return ", ".join(words) if len(words) <= SHOWN else f"{', '.join(words[:SHOWN])} and {len(words) - SHOWN} more"

    def _packages(self, environment: EnvironmentRef) -> PackageList:
        return read_packages(environment.document, environment.folder, environment.label)


def open_environments(home: Path, settings: Mapping[str, object]) -> Environments:
    """The provider of a workspace."""
    return Environments(home / "envs", relax_pins=bool(settings.get("relax_pins")))
