"""A version onto a cluster: package, push by digest, become ready beside the old one, prove it, switch."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import tidemill
from tidemill.app.candidate import Candidate
from tidemill.app.deploy import Deployed, endpoint_name, load_documents, sample_of, serve_requirements
from tidemill.app.project import Project
from tidemill.app.proof import make_proof
from tidemill.app.releases import hold
from tidemill.app.shift import BakeFailedError
from tidemill.app.shift_kubernetes import shift_on_cluster
from tidemill.app.signatures import sign_image, signing_key, trusted_keys, verify_image
from tidemill.app.wiring import App
from tidemill.app.workloads import describe_version, stage_workload
from tidemill.base import proc
from tidemill.base.errors import BackendError, FailedError, UsageError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_file
from tidemill.plan.graph import EnvironmentRef
from tidemill.release.objects import Workload, check_workload
from tidemill.release.package import BuiltImage, ImageFile, ImageLayer, Package, PackageRequest, make_package
from tidemill.release.sbom import make_sbom
from tidemill.spec.project import Stage

Say = Callable[[str], None]
BASE_IMAGE = "python:3.11-slim"
NOT_SERVING = {"pip", "setuptools", "wheel", "uv", "tidemill"}


def deploy_kubernetes(
    app: App, project: Project, candidate: Candidate, stage_name: str, stage: Stage, say: Say
) -> Deployed:
    """Make the version serve in its namespace; what fails is taken away again and the previous version keeps serving."""
    base, document, _ = load_documents(project)
    endpoint = endpoint_name(base, stage_name, {stage_name: stage})
    version = candidate.version
    name = f"{document.name if document and document.name else 'blue'}-{version.version}"
    workload = make_workload(project, candidate, endpoint, name, stage)
    target = app.kubernetes(stage.context or "")
    states = {s.deployment: s for s in target.observe(workload.namespace, endpoint)}
    url = f"http://{endpoint}.{workload.namespace}.svc"
    there = states.get(name)
    if (
        there is not None
        and there.serving
        and there.state == "Healthy"
        and there.annotations.get("tidemill.dev/model-digest") == version.digest
    ):
        _take_away(target, workload, states, name)  # what an `up` that was killed left standing
        return Deployed(endpoint, stage_name, url, name, version.name, version.version, changed=False)
    say("building the image")
    image = build_image(app, candidate, stage, say)
    say(f"pushed {image.reference} ({image.sent_bytes / 1e6:.1f} MB sent)")
    key, keys = signing_key(project.folder, stage), trusted_keys(project, stage_name, stage)
    if key is not None:
        sign_image(app, image.reference, key)
    if keys:
        say(f"the image is signed by {verify_image(app, image.reference, keys)}")
    workload = replace(workload, image=image.reference)
    serving = target.serving(workload.namespace, endpoint)
    target.apply(workload, serving=serving)
    try:
        target.wait_ready(workload, timeout_s=stage.start_timeout_s)
        if not serving:
            target.switch(workload)
        evidence = smoke_in_cluster(target, workload, sample_of(project, candidate), before_switch=bool(serving))
    except (FailedError, BackendError):
        if there is None:
            target.delete_version(workload)
        raise
    before = states.get(serving) if serving != name else None
    try:
        moved = shift_on_cluster(target, workload, before, stage, say)
    except BakeFailedError as exc:
        hold(app, stage_name, {"digest": version.digest, "version": version.version}, exc.message)
        raise FailedError(
            exc.message,
            hint=f"The previous version serves again, this one is held back. Lift: tidemill rollback --lift --stage {stage_name}",
        ) from exc
    _take_away(target, workload, states, name)
    return Deployed(
        endpoint,
        stage_name,
        url,
        name,
        version.name,
        version.version,
        changed=True,
        evidence="; ".join((evidence, *moved)),
        image=image.reference,
    )


def _take_away(target: Any, workload: Workload, states: Mapping[str, Any], name: str) -> None:  # noqa: ANN401 - its own small interface
    """Every version but `name`."""
    for old in states:
        if old != name:
            target.delete_version(replace(workload, deployment=old))


def make_workload(project: Project, candidate: Candidate, endpoint: str, name: str, stage: Stage) -> Workload:
    """The stage's wishes in a cluster's terms; `UsageError` before anything is built when they cannot be met."""
    if not stage.registry:
        raise UsageError(
            "A kubernetes stage needs a `registry`",
            hint="Example: registry: ghcr.io/me, or --set stages.NAME.registry=127.0.0.1:5000",
        )
    version = candidate.version
    about = describe_version(version.name, version.version, version.digest, candidate.job.name)
    image = f"{stage.registry}/{version.name}@sha256:{'0' * 64}"
    workload = stage_workload(project, stage, endpoint, name, image, about)
    check_workload(workload)
    return workload


def build_image(app: App, candidate: Candidate, stage: Stage, say: Say) -> BuiltImage:
    """Package, prove and push; equal inputs give an equal digest, and a new model moves only its own layer."""
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
    package = _with_sbom(package, work, request)
    tags = [f"v{version.version}", version.digest[:12]]
    built: BuiltImage = app.builder.build(
        package, f"{stage.registry}/{version.name}", tags=tags, prove=make_proof(version, stage, say)
    )
    return built


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


def smoke_in_cluster(target: Any, workload: Workload, sample: bytes | None, *, before_switch: bool) -> str:  # noqa: ANN401
    """A real request to the version through the API server's proxy; before the switch to its pod, else to the Service."""
    path, body = ("/score", sample) if sample is not None else ("/readyz", None)
    headers = {"content-type": "application/json"}
    if before_switch:
        status, answer = target.request_pod(workload, path, body=body, headers=headers)
    else:
        status, answer = target.request(workload.namespace, workload.endpoint, path, body=body, headers=headers)
    text = answer[:300].decode(errors="replace")
    if status != HTTPStatus.OK:
        raise FailedError(
            f"The smoke test failed: {path} answered HTTP {status}: {text}",
            hint="The previous version is still serving.",
        )
    return f"{path} answered {text[:120]}"
