"""A stage's wishes in a cluster's terms: one place for `up`, `rollback` and `render`, so that they mean the same objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from tidemill.app.deploy import asks_for_key, load_documents
from tidemill.app.pod_probes import pod_probes
from tidemill.app.project import Project
from tidemill.app.recording import recording_requirements
from tidemill.app.serves import describe_server, server_variables, stage_recording
from tidemill.app.wiring import App
from tidemill.base.hashing import digest_value
from tidemill.release.labels import MODEL_ANNOTATION, POD_ANNOTATION, SETTINGS_ANNOTATION, keys_name
from tidemill.release.objects import make_objects
from tidemill.release.recording import read_recording
from tidemill.release.workload import Workload, find_problems
from tidemill.spec.deployment import OnlineDeployment
from tidemill.spec.project import Stage

MODEL_NAME = MODEL_ANNOTATION
MODEL_DIGEST = "tidemill.dev/model-digest"
NO_IMAGE = f"none@sha256:{'0' * 64}"


def stage_workload(  # noqa: PLR0913 - what a workload is made of
    app: App,
    project: Project,
    stage: Stage,
    *,
    endpoint: str,
    deployment: str,
    image: str,
    annotations: Mapping[str, str],
) -> Workload:
    """The version `deployment` of `endpoint` as its document and the stage ask for it, with what tells it from others; not checked yet."""
    workload = plain_workload(project, stage, endpoint=endpoint, deployment=deployment, image=image)
    serves = (*describe_server(app, project), *recording_requirements(workload.recording))
    return replace(workload, annotations={**annotations, **describe_settings(workload, stage, serves)})


def plain_workload(
    project: Project, stage: Stage, *, endpoint: str, deployment: str, image: str = NO_IMAGE
) -> Workload:
    """What the document and the stage ask for, the stage having the last word; `UsageError` for what no pod can do."""
    _, found, auth_mode = load_documents(project)
    document = found or OnlineDeployment()
    return Workload(
        endpoint=endpoint,
        deployment=deployment,
        namespace=stage.namespace or "",
        image=image,
        **_pods(document, stage),
        environment=server_variables(document, stage),
        pull_secret=stage.pull_secret or "",
        **_route(stage),
        node_port=stage.node_port or 0,
        frontend_image=stage.frontend_image or "",
        frontend_port=stage.frontend_port,
        frontend_replicas=stage.frontend_replicas or 0,
        env_from=tuple(source.named() for source in stage.env_from),
        node_selector=stage.node_selector or {},
        tolerations=tuple(t.as_kubernetes() for t in stage.tolerations),
        priority_class=stage.priority_class or "",
        token_secret=keys_name(endpoint) if asks_for_key(stage, auth_mode) else "",
        start_timeout_s=int(stage.start_timeout_s),
        **_resources(document, stage),
        recording=stage_recording(project, document, stage),
        probes=pod_probes(document),
    )


def describe_settings(workload: Workload, stage: Stage, serves: tuple[str, ...] = ()) -> dict[str, str]:
    """The annotations by which a later `up` sees that more than the model is to be other than it is.

    One over all objects; one over the pods alone, for what can change without a pod being replaced.
    """
    blank = replace(workload, deployment="any", image=NO_IMAGE, annotations={})
    if find_problems(blank):
        return {}  # refused in a moment, by whoever asked
    objects = make_objects(blank)
    ours = next(o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"] == blank.name)
    how = [stage.model_delivery, stage.base_image, *serves]
    return {
        POD_ANNOTATION: digest_value([ours["spec"]["template"], *how])[:16],
        SETTINGS_ANNOTATION: digest_value([list(objects), *how])[:16],
    }


def workload_record(workload: Workload) -> dict[str, Any]:
    """A workload as a release keeps it: what a rollback puts back."""
    return asdict(workload)


def read_workload(record: Mapping[str, Any]) -> Workload:
    """A kept workload; fields that a later Tidemill knows are left out."""
    known = {f.name for f in fields(Workload)}
    kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k in known}
    return Workload(**{**kept, "recording": read_recording(record.get("recording"))})


def with_model_image(workload: Workload, release: Mapping[str, Any]) -> Workload:
    """The release's model beside its server, where it was deployed so."""
    model = str(release.get("model_image") or "")
    return replace(workload, model_image=model, arguments=tuple(release.get("arguments") or ())) if model else workload


def describe_version(model: str, version: str, digest: str, job: str) -> dict[str, str]:
    """The annotations that tell what a Deployment serves."""
    return {
        MODEL_NAME: f"{model}:{version}",
        MODEL_DIGEST: digest,
        "tidemill.dev/job": job,
    }


def _route(stage: Stage) -> dict[str, Any]:
    """How requests come in; a host said for an Ingress is that of any route."""
    asked = stage.route
    return {
        "route": asked.kind,
        "host": asked.host or stage.ingress_host or "",
        "ingress_class": asked.class_ or "",
        "gateway": asked.gateway or "",
        "proxy_namespace": asked.proxy_namespace or "",
        "tls": asked.tls or "",
        "route_annotations": asked.annotations or {},
    }


def _pods(document: OnlineDeployment, stage: Stage) -> dict[str, Any]:
    """How many pods, and at most how many; what the stage does not say, the document may."""
    scale = document.scale_settings
    scaled = scale if scale is not None and scale.type == "target_utilization" else None
    least = (scaled.min_instances if scaled else None) or document.instance_count or 1
    most = (scaled.max_instances if scaled else None) or 0
    said = stage.model_fields_set
    target = scaled.target_utilization_percentage if scaled else None
    return {
        **({"busy_percent": target} if target else {}),
        "replicas": stage.replicas if "replicas" in said else least,
        "max_replicas": (stage.max_replicas or 0) if "max_replicas" in said else most,
    }


def _resources(document: OnlineDeployment, stage: Stage) -> dict[str, Any]:
    """CPU and memory: what is asked for and what is allowed, and what else of a node, GPUs for one. What is only allowed is asked for, as Kubernetes has it."""
    asked, limits = ((document.resources or {}).get(k) or {} for k in ("requests", "limits"))
    given = {
        "cpu": stage.cpu or asked.get("cpu") or limits.get("cpu"),
        "memory": stage.memory or asked.get("memory") or limits.get("memory"),
        "memory_limit": stage.memory or limits.get("memory") or asked.get("memory"),
        "cpu_limit": limits.get("cpu"),
    }
    more = {k: str(v) for k, v in {**asked, **limits}.items() if k not in {"cpu", "memory"}}
    return {**{k: str(v) for k, v in given.items() if v}, "devices": more}
