"""Images of a version: its locked packages, the serving runtime and the model, proven before they are pushed."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tidemill
from tidemill.app.audit import audit_packages
from tidemill.app.candidate import Candidate
from tidemill.app.conversions import keep_conversion
from tidemill.app.deploy import document_folder, load_documents, serving_environment
from tidemill.app.lineage import image_labels, image_tags
from tidemill.app.project import Project
from tidemill.app.proof import make_proof
from tidemill.app.recording import recording_requirements
from tidemill.app.server_python import serve_requirements, serving_python
from tidemill.app.serves import stage_recording
from tidemill.app.serving import ScoringCode, limit_arguments, scoring_code
from tidemill.app.wiring import App
from tidemill.base import proc
from tidemill.base.errors import FailedError, UsageError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_file
from tidemill.plan.graph import EnvironmentRef
from tidemill.record.ports import ModelVersion
from tidemill.release.package import (
    CODE,
    CONVERTED,
    BuiltImage,
    ImageFile,
    ImageLayer,
    Package,
    PackageRequest,
    make_package,
    split_package,
)
from tidemill.release.sbom import make_sbom
from tidemill.release.workload import Workload
from tidemill.run.snapshot import take_snapshot
from tidemill.spec.deployment import OnlineDeployment
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


def build_images(app: App, project: Project, candidate: Candidate, stage: Stage, say: Say) -> Images:
    """As the stage's `model_delivery` says: the model in the image, or beside it."""
    if stage.model_delivery == "image":
        built = build_image(app, project, candidate, stage, say)
        say(f"pushed {built.reference} ({built.sent_bytes / 1e6:.1f} MB sent)")
        return Images(built.reference)
    whole, request = _package(app, project, candidate, stage, say)
    server, model = split_package(whole)
    server = _with_sbom(
        server, app.home / "images", replace(request, model_name="server", model_version="", model_digest="")
    )
    version = candidate.version
    base = f"{stage.registry}/{version.name}"
    parts = {"server": app.builder.build(server, f"{base}-server", tags=["current"])}
    parts["model"] = app.builder.build(model, f"{base}-model", tags=image_tags(candidate.origin, version))
    for name, part in parts.items():
        say(f"pushed the {name}'s image {part.reference} ({part.sent_bytes / 1e6:.1f} MB sent)")
    return Images(parts["server"].reference, parts["model"].reference, whole.arguments)


def build_image(app: App, project: Project, candidate: Candidate, stage: Stage, say: Say) -> BuiltImage:
    """Package, prove and push; equal inputs give an equal digest, and a new model moves only its own layer."""
    version = candidate.version
    package, request = _package(app, project, candidate, stage, say)
    package = _with_sbom(package, app.home / "images", request)
    tags = image_tags(candidate.origin, version)
    built: BuiltImage = app.builder.build(
        package, f"{stage.registry}/{version.name}", tags=tags, prove=make_proof(version, stage, say)
    )
    return built


def _package(
    app: App, project: Project, candidate: Candidate, stage: Stage, say: Say
) -> tuple[Package, PackageRequest]:
    """The version's layers, the model on top; scoring code, environment and limits as the deployment's document says."""
    version = candidate.version
    document = load_documents(project)[1] or OnlineDeployment()
    folder = document_folder(project)
    code = scoring_code(folder, document)
    environment = serving_environment(app, document, folder) or candidate.environment
    also = recording_requirements(stage_recording(project, document, stage))
    work = app.home / "images"
    request = PackageRequest(
        model_path=version.path,
        model_name=version.name,
        model_version=version.version,
        model_digest=version.digest,
        base_image=stage.base_image or BASE_IMAGE,
        requirements=tuple(locked_requirements(app, environment, version.path, code, also)),
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        arguments=(
            "--name",
            version.name,
            "--version",
            version.version,
            "--allow-pickle",
            "--model-digest",
            version.digest,
            *(("--code", CODE, "--script", code.script) if code else ("--converted", CONVERTED)),
            *limit_arguments(document, instances=1),
        ),
        code=_code_files(code) if code else (),
        converted=() if code else _converted(app, environment, version, say),
        labels=image_labels(candidate.origin, candidate.job.name),
    )
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    audit_packages(request.requirements, request.python_version, stage, uv, say)
    package = make_package(request, runtime=Path(tidemill.__file__).parent, work=work, uv=uv)
    return package, request


def _converted(app: App, environment: EnvironmentRef, version: ModelVersion, say: Say) -> tuple[Path, ...]:
    """Made in the environment whose packages the image gets, so that its server finds them under its own libraries' versions."""
    files, reason = keep_conversion(app, version, *serving_python(app, environment))
    if reason:
        say(f"the image holds no converted model: {reason}")
    return files


def _code_files(code: ScoringCode) -> tuple[ImageFile, ...]:
    """What of the folder counts as code, as for a step: no `.env`, nothing that `.amlignore` names."""
    found = take_snapshot(code.folder)
    pairs = zip(found.sources, found.entries, strict=True)
    return tuple(ImageFile(path, f"{CODE}/{e.path}", e.digest, e.executable) for path, e in pairs)


def _with_sbom(package: Package, work: Path, request: PackageRequest) -> Package:
    """The bill of materials as the topmost small layer."""
    site = next((Path(f.source) for layer in package.layers if layer.name == "packages" for f in layer.files), work)
    root = next((p for p in site.parents if p.parent == work), work)
    path = work / f"sbom-{request.model_digest[:16]}.json"
    sbom = make_sbom(root, name=request.model_name, version=request.model_version, model_digest=request.model_digest)
    write_atomic(path, json.dumps(sbom, sort_keys=True))
    layer = ImageLayer("bill of materials", (ImageFile(path, "/opt/tidemill/sbom.json", digest_file(path)),))
    return replace(package, layers=(*package.layers, layer))


def locked_requirements(
    app: App, environment: EnvironmentRef, model: Path, code: ScoringCode | None = None, also: Sequence[str] = ()
) -> list[str]:
    """Exact versions of what the model was trained with and the server needs: what is installed now, of what is asked for.

    A scoring script may use all of its environment; of this machine's own Python it gets what it imports. Without what is
    asked for `also`, a `UsageError`.
    """
    python, _ = serving_python(app, environment, also)
    done = proc.run([sys.executable, "-m", "uv", "pip", "freeze", "--python", str(python)], timeout_s=60)
    if done.returncode != 0:
        raise FailedError(f"The packages of `{environment.label}` cannot be listed: {done.stderr.strip()[-300:]}")
    installed = {
        line.partition("==")[0].lower().replace("_", "-"): line for line in done.stdout.splitlines() if "==" in line
    }
    converters = () if code is not None else ("onnxruntime", "skl2onnx")  # a script answers in its own way
    asked = {*_model_requirements(model), *(_bare(r) for r in serve_requirements()), *converters}
    if missing := [n for n in map(_bare, also) if n not in installed]:
        raise UsageError(
            f"Pods that record need `{missing[0]}`, which is not installed",
            hint="pip install 'tidemill[capture,remote]'",
        )
    asked |= {_bare(r) for r in also}
    if code is not None:
        asked |= _imported(code) if environment.kind == "host" else set(installed)
    wanted = _closure(asked, set(installed))
    return sorted(installed[n] for n in wanted if n in installed and n not in NOT_SERVING)


def _imported(code: ScoringCode) -> set[str]:
    """The packages of this Python that the code imports somewhere."""
    homes = importlib.metadata.packages_distributions()
    found: set[str] = set()
    for path in take_snapshot(code.folder).sources:
        if path.suffix == ".py":
            found |= {_bare(name) for module in _modules(path) for name in homes.get(module, ())}
    return found


def _modules(path: Path) -> set[str]:
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as exc:
        raise FailedError(f"{path} is not Python: {exc}", hint="Mend it, or name it in .amlignore.") from exc
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names}


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
