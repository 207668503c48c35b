"""Environments in containers: an image as it is, one built from a Docker context, or one with packages beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tidemill.backends import containers
from tidemill.backends.environments.packages import PackageList, read_packages
from tidemill.backends.environments.venv import counted, install_beside
from tidemill.base.errors import UsageError
from tidemill.base.files import locked, write_atomic
from tidemill.base.hashing import digest_tree, digest_value, hash_folder
from tidemill.plan.graph import EnvironmentRef
from tidemill.run.ports import PreparedEnvironment, Say

READY = "tidemill-ready"


def container_key(environment: EnvironmentRef) -> str:
    """What decides about a container's content: the image as written or its context's bytes, and the package list."""
    document = environment.document
    build = getattr(document, "build", None)
    if build is not None:
        context = environment.folder / build.path
        return digest_value(["container", digest_tree(hash_folder(context)), build.dockerfile_path or "Dockerfile"])
    packages = _packages(environment)
    listed = [packages.python, packages.conda, packages.pip, packages.options] if packages else []
    return digest_value(["container", _image(environment), *listed])


def prepare_container(environment: EnvironmentRef, root: Path, say: Say) -> PreparedEnvironment:
    """The image by its id, and the packages that stand beside it; `UsageError` for what has no image."""
    build = getattr(environment.document, "build", None)
    key = container_key(environment)
    if build is not None:
        context = environment.folder / build.path
        image = containers.build(context, build.dockerfile_path or "Dockerfile", say, label=environment.label)
        return PreparedEnvironment(Path("/usr/bin/python"), key=key, image=image)
    image = containers.pull(_image(environment), say)
    packages = _packages(environment)
    if packages is None:
        return PreparedEnvironment(Path("/usr/bin/python"), key=key, image=image)
    folder = _install(environment, packages, image, root, say)
    return PreparedEnvironment(Path("/usr/bin/python"), env={"PYTHONPATH": str(folder)}, key=key, image=image)


def _install(environment: EnvironmentRef, packages: PackageList, image: str, root: Path, say: Say) -> Path:
    """Packages for the image's Python, installed on the host with its indexes and credentials, mounted into the step."""
    folder = root / f"beside-{digest_value([image, packages.conda, packages.pip, packages.options])[:20]}"
    with locked(root / f"{folder.name}.lock"):
        if not (folder / READY).exists():
            shutil.rmtree(folder, ignore_errors=True)
            say(f"environment {environment.label}: installing {counted(len(packages.conda) + len(packages.pip))}")
            install_beside(packages, folder, python=containers.python_of(image), label=environment.label)
            write_atomic(folder / READY, image)
    return folder


def _packages(environment: EnvironmentRef) -> PackageList | None:
    if getattr(environment.document, "conda_file", None) is None:
        return None
    return read_packages(environment.document, environment.folder, environment.label)


def _image(environment: EnvironmentRef) -> str:
    image = str(getattr(environment.document, "image", "") or "")
    if not image:
        raise UsageError(
            f"Environment `{environment.label}` is to be a container, and names no image",
            hint=f"Add one in tidemill.yaml: environments: {{{environment.name or 'NAME'}: {{python: container, image: python:3.11-slim}}}}",
        )
    return image
