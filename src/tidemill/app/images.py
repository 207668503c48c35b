"""Images of a version: its locked packages, the serving runtime and the model, proven before they are pushed."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import tidemill
from tidemill.app.candidate import Candidate
from tidemill.app.deploy import serve_requirements
from tidemill.app.proof import make_proof
from tidemill.app.wiring import App
from tidemill.base import proc
from tidemill.base.errors import FailedError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_file
from tidemill.plan.graph import EnvironmentRef
from tidemill.release.objects import Workload
from tidemill.release.package import (
    BuiltImage,
    ImageFile,
    ImageLayer,
    Package,
    PackageRequest,
    make_package,
    split_package,
)
from tidemill.release.sbom import make_sbom
from tidemill.spec.project import Stage

Say = Callable[[str], None]
BASE_IMAGE = "python:3.11-slim"
NOT_SERVING = {"pip", "setuptools", "wheel", "uv", "tidemill"}


@dataclass(frozen=True, slots=True)
class Images:
    """What a version runs from: one image, or a server's without a model and a model's that an init container copies from."""

    server: str
    model: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def references(self) -> tuple[str, ...]:
        """All of them, by digest."""
        return (self.server, self.model) if self.model else (self.server,)

    def onto(self, workload: Workload) -> Workload:
        """The workload with these images."""
        return replace(workload, image=self.server, model_image=self.model, arguments=self.arguments)


def build_images(app: App, candidate: Candidate, stage: Stage, say: Say) -> Images:
    """As the stage's `model_delivery` says: the model in the image, or beside it."""
    if stage.model_delivery == "image":
        built = build_image(app, candidate, stage, say)
        say(f"pushed {built.reference} ({built.sent_bytes / 1e6:.1f} MB sent)")
        return Images(built.reference)
    whole, request = _package(app, candidate, stage)
    server, model = split_package(whole)
    server = _with_sbom(
        server, app.home / "images", replace(request, model_name="server", model_version="", model_digest="")
    )
    version = candidate.version
    base, tag = f"{stage.registry}/{version.name}", version.digest[:12]
    parts = {"server": app.builder.build(server, f"{base}-server", tags=["current"])}
    parts["model"] = app.builder.build(model, f"{base}-model", tags=[f"v{version.version}", tag])
    for name, part in parts.items():
        say(f"pushed the {name}'s image {part.reference} ({part.sent_bytes / 1e6:.1f} MB sent)")
    return Images(parts["server"].reference, parts["model"].reference, whole.arguments)


def build_image(app: App, candidate: Candidate, stage: Stage, say: Say) -> BuiltImage:
    """Package, prove and push; equal inputs give an equal digest, and a new model moves only its own layer."""
    version = candidate.version
    package, request = _package(app, candidate, stage)
    package = _with_sbom(package, app.home / "images", request)
    tags = [f"v{version.version}", version.digest[:12]]
    built: BuiltImage = app.builder.build(
        package, f"{stage.registry}/{version.name}", tags=tags, prove=make_proof(version, stage, say)
    )
    return built


def _package(app: App, candidate: Candidate, stage: Stage) -> tuple[Package, PackageRequest]:
    """The version's layers, the model on top."""
    version = candidate.version
    work = app.home / "images"
    request = PackageRequest(
        model_path=version.path,
        model_name=version.name,
        model_version=version.version,
        model_digest=version.digest,
        base_image=stage.base_image or BASE_IMAGE,
        requirements=tuple(locked_requirements(app, candidate.environment, version.path)),
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        arguments=(
            "--name",
            version.name,
            "--version",
            version.version,
            "--allow-pickle",
            "--model-digest",
            version.digest,
        ),
        labels={"io.tidemill.job": candidate.job.name},
    )
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    package = make_package(request, runtime=Path(tidemill.__file__).parent, work=work, uv=uv)
    return package, request


def _with_sbom(package: Package, work: Path, request: PackageRequest) -> Package:
    """The bill of materials as the topmost small layer."""
    site = next((Path(f.source) for layer in package.layers if layer.name == "packages" for f in layer.files), work)
    root = next((p for p in site.parents if p.parent == work), work)
    path = work / f"sbom-{request.model_digest[:16]}.json"
    sbom = make_sbom(root, name=request.model_name, version=request.model_version, model_digest=request.model_digest)
    write_atomic(path, json.dumps(sbom, sort_keys=True))
    layer = ImageLayer("bill of materials", (ImageFile(path, "/opt/tidemill/sbom.json", digest_file(path)),))
    return replace(package, layers=(*package.layers, layer))


def locked_requirements(app: App, environment: EnvironmentRef, model: Path) -> list[str]:
    """Exact versions of what the model was trained with and the server needs: what is installed now, of what is asked for."""
    python = app.environments().prepare(environment, lambda _: None).python
    done = proc.run([sys.executable, "-m", "uv", "pip", "freeze", "--python", str(python)], timeout_s=60)
    if done.returncode != 0:
        raise FailedError(f"The packages of `{environment.label}` cannot be listed: {done.stderr.strip()[-300:]}")
    installed = {
        line.partition("==")[0].lower().replace("_", "-"): line for line in done.stdout.splitlines() if "==" in line
    }
    wanted = _closure(
        {*_model_requirements(model), *(_bare(r) for r in serve_requirements()), "onnxruntime", "skl2onnx"},
        set(installed),
    )
    return sorted(installed[n] for n in wanted if n in installed and n not in NOT_SERVING)


def _model_requirements(model: Path) -> set[str]:
    """What the model's own requirements.txt names, without what only trains."""
    names: set[str] = set()
    for path in model.rglob("requirements.txt"):
        names |= {
            _bare(line)
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.strip() and not line.startswith(("#", "-"))
        }
    return names - {"mlflow", "mlflow-skinny"}


def _bare(requirement: str) -> str:
    for mark in "=<>!~[; ":
        requirement = requirement.partition(mark)[0]
    return requirement.strip().lower().replace("_", "-")


def _closure(names: set[str], installed: set[str]) -> set[str]:
    """The packages and everything they need, as far as they are installed here."""
    done: set[str] = set()
    todo = set(names)
    while todo:
        name = todo.pop()
        if name in done or name not in installed:
            continue
        done.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            needs = []
        todo |= {_bare(n) for n in needs if "extra ==" not in n} - done
    return done
