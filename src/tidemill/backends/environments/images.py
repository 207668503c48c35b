"""Environments as images in a registry, for executors whose machines are not this one; each is made and pushed once."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tidemill.backends import containers
from tidemill.backends.builders.oci.builder import OciBuilder
from tidemill.backends.environments.container import container_key
from tidemill.backends.environments.packages import PackageList, name_of, read_packages
from tidemill.backends.environments.venv import counted
from tidemill.base import proc
from tidemill.base.errors import BackendError, UsageError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_value
from tidemill.plan.graph import EnvironmentRef
from tidemill.release.package import SITE, ImageLayer, Package, files_of, install_requirements
from tidemill.run.ports import EnvironmentProvider, PreparedEnvironment, Say

PYTHON = Path("/usr/bin/python3")  # a step's command finds it by the image's own PATH
REPOSITORY = "tidemill-environment"
LIST_S = 120.0
_PIN = re.compile(r"\s*(===?|[<>~!]=?).*")


@dataclass(frozen=True, slots=True)
class ImageEnvironments:
    """Makes images. `base` has Python and stands below every package list; `registry` is where machines pull from.

    `{python}` in the base's name becomes the Python that an environment asks for.

    `local` makes the same environments on this machine: its exact versions go into the images, so that a step gives the
    same here and there.
    """

    folder: Path
    local: EnvironmentProvider
    base: str = ""
    registry: str = ""

    def prepare(self, environment: EnvironmentRef, say: Say) -> PreparedEnvironment:
        """The image of an environment, pushed if the registry does not have it; `UsageError` for what it lacks."""
        document = environment.document
        build, image = getattr(document, "build", None), getattr(document, "image", None)
        if environment.kind == "container" and build is not None:
            return self._from_context(environment, say)
        has_list = getattr(document, "conda_file", None) is not None or build is not None
        if not has_list:
            return PreparedEnvironment(PYTHON, key=self.local.key(environment), image=image or self._base_for(""))
        packages = read_packages(document, environment.folder, environment.label)
        base = str(image) if image and environment.kind == "container" else ""
        return self._from_list(environment, packages, base, say)

    def _from_context(self, environment: EnvironmentRef, say: Say) -> PreparedEnvironment:
        """Built by the engine, as the Docker context says, and pushed by it."""
        build = environment.document.build
        reference = f"{self._registry_for(environment)}:{container_key(environment)[:24]}"
        made = containers.build(
            environment.folder / build.path, build.dockerfile_path or "Dockerfile", say, label=environment.label
        )
        containers.push(made, reference, say)
        return PreparedEnvironment(PYTHON, key=container_key(environment), image=reference)

    def _from_list(
        self, environment: EnvironmentRef, packages: PackageList, base: str, say: Say
    ) -> PreparedEnvironment:
        """The base image, and a layer with the packages in the versions they have on this machine."""
        repository = self._registry_for(environment)
        python, pins = self._versions(environment, say)
        wanted = [_unpinned(p, pins) for p in (*packages.conda, *packages.pip)]
        base = base or self._base_for(python)
        key = digest_value(["image", base, python, sorted(wanted), [pins[n] for n in sorted(pins)]])
        record = self.folder / f"environment-{key[:24]}.txt"
        known = record.read_text(encoding="utf-8") if record.is_file() else ""
        if not known or not OciBuilder(self.folder).holds(known):
            _require_python(environment, base, OciBuilder(self.folder).python_of(base), python)
            say(f"environment {environment.label}: an image with {counted(len(wanted))} for {repository}")
            uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
            pinned = tuple(sorted(pins.values()))
            site = install_requirements(wanted, python, self.folder, uv, pinned, packages.options)
            known = self._push(site, environment.label, base, f"{repository}:{key[:24]}")
            write_atomic(record, known)
        return PreparedEnvironment(PYTHON, env={"PYTHONPATH": SITE}, key=key, image=known, version=python)

    def _push(self, site: Path, label: str, base: str, image: str) -> str:
        """The base and the packages as an image of the registry; its name by digest."""
        repository, _, tag = image.rpartition(":")
        package = Package(
            base_image=base,
            layers=(ImageLayer("packages", files_of(site, SITE)),),
            entrypoint=("python3",),
            arguments=(),
            environment={"PYTHONPATH": SITE, "PYTHONDONTWRITEBYTECODE": "1"},
            labels={"io.tidemill.environment": label},
        )
        return OciBuilder(self.folder).build(package, repository, tags=(tag,)).reference

    def _versions(self, environment: EnvironmentRef, say: Say) -> tuple[str, Mapping[str, str]]:
        """The Python of the environment on this machine, and `name==version` of all it has, by name."""
        if (
            environment.kind == "container"
        ):  # its packages stand beside an image's own Python: none of this machine counts
            return f"{sys.version_info.major}.{sys.version_info.minor}", {}
        python = str(self.local.prepare(environment, say).python)
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        version = proc.run([python, "-I", "-c", code], timeout_s=LIST_S)
        frozen = proc.run([sys.executable, "-m", "uv", "pip", "freeze", "--python", python], timeout_s=LIST_S)
        if version.returncode or frozen.returncode:
            said = (version.stderr + frozen.stderr).strip()[-300:]
            raise BackendError(f"The packages of `{environment.label}` cannot be listed: {said}")
        lines = [line for line in frozen.stdout.splitlines() if "==" in line]
        return version.stdout.strip(), {name_of(line): line for line in lines}

    def _base_for(self, python: str) -> str:
        python = python or f"{sys.version_info.major}.{sys.version_info.minor}"
        return self.base.replace("{python}", python) or f"python:{python}-slim"

    def _registry_for(self, environment: EnvironmentRef) -> str:
        if not self.registry:
            raise UsageError(
                f"Environment `{environment.label}` needs an image of its own, and its compute names no registry to put it into",
                hint="In tidemill.yaml: compute: {NAME: {executor: kubernetes, registry: ghcr.io/me}}",
            )
        return f"{self.registry}/{REPOSITORY}"


def _require_python(environment: EnvironmentRef, image: str, has: str, wanted: str) -> None:
    if has and has != wanted:
        raise UsageError(
            f"Environment `{environment.label}` has packages for Python {wanted}, and the image below them, {image}, has {has}",
            hint=f"In tidemill.yaml, give the compute no `image`, or one with Python {wanted}: `{{python}}` in its name becomes {wanted}.",
        )


def _unpinned(requirement: str, pins: Mapping[str, str]) -> str:
    """What is asked for without its version where that is known to be another, exact one."""
    head, marker, condition = requirement.partition(";")
    return _PIN.sub("", head) + marker + condition if name_of(requirement) in pins else requirement
