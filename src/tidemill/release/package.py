"""One immutable thing to deploy: model, serving code, locked environment and the labels that say where it came from."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tidemill.base import proc
from tidemill.base.errors import FailedError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_value, hash_folder
from tidemill.release.bytecode import compile_once, copy_once

SITE = "/opt/tidemill/site"
RUNTIME = "/opt/tidemill/runtime"
MODEL = "/opt/tidemill/model"  # what goes with a version: copied out of its image as one, mounted as one
REGISTERED = (
    f"{MODEL}/model"  # a scoring script looks for the folder's own name below AZUREML_MODEL_DIR: mostly `model`
)
CONVERTED = f"{MODEL}/converted"
CODE = "/opt/tidemill/code"
PORT = 8080
MODEL_VOLUME = "/model"
COPY_MODEL = ("cp", "-r", f"{MODEL}/.", MODEL_VOLUME)
NOBODY = "65532:65532"
OF_A_VERSION = ("model", "converted model")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file of an image: source here, absolute path there, digest of its bytes."""

    source: Path
    target: str
    digest: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """Files that change together; a later layer changes more often."""

    name: str
    files: tuple[ImageFile, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """What an `ImageBuilder` turns into an image; equal packages give equal digests."""

    base_image: str
    layers: tuple[ImageLayer, ...]
    entrypoint: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    user: str = NOBODY
    working_dir: str = "/opt/tidemill"
    port: int = PORT


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image in a registry: `reference` names it by digest; `sent_bytes` is what had to travel."""

    reference: str
    digest: str
    tags: tuple[str, ...]
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """What goes into a package. `requirements` are exact pins of the training environment and the server's own."""

    model_path: Path
    model_name: str
    model_version: str
    model_digest: str
    base_image: str
    requirements: tuple[str, ...]
    python_version: str
    arguments: tuple[str, ...] = ()
    code: tuple[ImageFile, ...] = ()
    converted: tuple[Path, ...] = ()
    environment: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None


def make_package(request: PackageRequest, *, runtime: Path, work: Path, uv: str) -> Package:
    """Put the layers together, the model on top: a new model of the same environment changes that layer alone.

    `runtime` is the folder that holds the installed `tidemill` package; `work` keeps resolved packages between builds.
    Raises `FailedError` when a requirement cannot be had for the image's Python.
    """
    site = install_requirements(request.requirements, request.python_version, work, uv)
    compile_once(site, SITE, request.python_version)
    layers = [
        ImageLayer("packages", files_of(site, SITE, bytecode=True)),
        ImageLayer("serving runtime", runtime_files(runtime, work, request.python_version)),
    ]
    layers.append(ImageLayer("scoring code", request.code))
    layers.append(ImageLayer("model", files_of(request.model_path, REGISTERED)))
    layers.append(ImageLayer("converted model", tuple(f for p in request.converted for f in files_of(p, CONVERTED))))
    environment = {
        "PYTHONPATH": f"{RUNTIME}:{SITE}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",  # noqa: S108 - the only writable folder of a read-only container
        **(request.environment or {}),
    }
    labels = {
        "org.opencontainers.image.title": request.model_name,
        "org.opencontainers.image.version": request.model_version,
        "io.tidemill.model.digest": request.model_digest,
        **(request.labels or {}),
    }
    arguments = ("--model", model_path_inside(request.model_path), "--host", "0.0.0.0", "--port", str(PORT))  # noqa: S104 - inside a pod
    return Package(
        base_image=request.base_image,
        layers=tuple(layer for layer in layers if layer.files),
        entrypoint=("python3", "-m", "tidemill.serve"),
        arguments=(*arguments, *request.arguments),
        environment=environment,
        labels=labels,
    )


def split_package(package: Package) -> tuple[Package, Package]:
    """The server without the model, the same for every version of one environment; and the model alone, which copies itself out."""
    model = tuple(layer for layer in package.layers if layer.name in OF_A_VERSION)
    own = ("org.opencontainers.image.", "io.tidemill.")
    labels = {k: v for k, v in package.labels.items() if not k.startswith(own)}
    server = replace(
        package,
        layers=tuple(layer for layer in package.layers if layer.name not in OF_A_VERSION),
        arguments=(),
        labels=labels,
    )
    carrier = replace(package, layers=model, entrypoint=COPY_MODEL, arguments=(), environment={})
    return server, carrier


def model_path_inside(model_path: Path) -> str:
    """Where the model lies in the image: the folder itself, or the single file below it."""
    return REGISTERED if model_path.is_dir() else f"{REGISTERED}/{model_path.name}"


def runtime_files(package: Path, work: Path, python_version: str) -> tuple[ImageFile, ...]:
    """The part of Tidemill that runs in an image: `base` and `serve`, nothing else; compiled in a copy of its own."""
    wanted = [package / "__init__.py", package / "py.typed"]
    for part in ("base", "serve"):
        wanted += [p for p in sorted((package / part).rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    entries = hash_folder(package, wanted)
    folder = copy_once({f"tidemill/{e.path}": (package / e.path, e.digest) for e in entries}, work)
    compile_once(folder, RUNTIME, python_version)
    return files_of(folder, RUNTIME, bytecode=True)


def install_requirements(
    requirements: Sequence[str],
    python_version: str,
    work: Path,
    uv: str,
    constraints: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Path:
    """A folder with `requirements` installed for Linux and that Python; made once per set of pins.

    `constraints` are the versions of whatever comes along; `options` name further package indexes.
    """
    key = digest_value([sorted(requirements), python_version, *([sorted(constraints)] if constraints else [])])[:24]
    site = work / f"site-{key}"
    ready = work / f"site-{key}.ready"
    if ready.exists():
        os.utime(ready)  # what is in use is young, for who collects what is old
        return site
    wanted = work / f"site-{key}.txt"
    write_atomic(wanted, "\n".join(sorted(requirements)) + "\n")
    limits = work / f"site-{key}-constraints.txt"
    write_atomic(limits, "\n".join(constraints) + "\n")
    target = ["--target", site, "--python", sys.executable, "--python-version", python_version]
    wheels = ["--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:", "--link-mode", "copy"]
    argv = [uv, "pip", "install", "--quiet", *target, *wheels, "-r", wanted, "-c", limits, *options]
    done = proc.run([str(a) for a in argv], timeout_s=900)
    if done.returncode != 0:
        raise FailedError(
            f"The image's packages cannot be installed for Python {python_version}:\n{done.stderr.strip()[-1500:]}",
            hint="Loosen the pins of the environment, or choose a base image with another Python.",
        )
    write_atomic(ready, "")
    return site


def files_of(source: Path, target: str, *, bytecode: bool = False) -> tuple[ImageFile, ...]:
    """A file, or every file of a folder, below `target`; without caches of bytecode, unless they were made for the image."""
    if source.is_file():
        (entry,) = hash_folder(source.parent, [source])
        return (ImageFile(source, f"{target}/{source.name}", entry.digest, entry.executable),)
    paths = [p for p in sorted(source.rglob("*")) if p.is_file() and (bytecode or "__pycache__" not in p.parts)]
    entries = hash_folder(source, paths)
    return tuple(ImageFile(source / e.path, f"{target}/{e.path}", e.digest, e.executable) for e in entries)
